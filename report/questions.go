package report

import (
	"cmp"
	"fmt"
	"strings"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/trace"
)

// Questions says how many probes the questions about a path take at the most, and which.
func Questions(all []detect.Question, most int, path trace.PathOptions) string {
	then := ""
	if most > detect.Probes(all) {
		then = fmt.Sprintf(", then SYNs to this port and to port %d", detect.OtherPort(path).Port())
	}
	which := cmp.Or(kinds(all), "the same from other source ports")
	return fmt.Sprintf("Up to %d more probes to tell what happened: %s%s", most, which, then)
}

// kinds says which probes are sent.
func kinds(questions []detect.Question) string {
	var kinds []string
	for _, q := range questions {
		switch q.Ask {
		case detect.AskFlow:
			kinds = append(kinds, "the same from another source port")
		case detect.AskPort:
			kinds = append(kinds, fmt.Sprintf("to port %d", q.Options.Target.Port()))
		case detect.AskACK:
			kinds = append(kinds, "ACKs")
		case detect.AskSYN:
			kinds = append(kinds, "SYNs")
		case detect.AskEcho:
			kinds = append(kinds, "ICMP echo")
		case detect.AskLoose:
			kinds = append(kinds, "the same, --loose")
		case detect.AskShort:
			kinds = append(kinds, "shorter ones")
		case detect.AskUnmarked:
			kinds = append(kinds, "unmarked ones")
		case detect.AskOptions:
			kinds = append(kinds, "SYNs with other options")
		}
	}
	return strings.Join(kinds, ", ")
}
