package detect_test

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// What is advised is about what is wrong in the answer: the address, or the port alone.
func TestElsewhereAdvice(t *testing.T) {
	for as, advice := range map[string]string{
		"198.51.100.77":     "it has to answer from 198.51.100.9",
		"198.51.100.77:444": "it has to answer from 198.51.100.9",
		":444":              "translates port 443 to 444",
	} {
		s := scenario{network: "router 10.0.1.1 delay=1ms\ntarget 198.51.100.9 delay=1ms answers-as=" + as}
		all := detect.Findings(s.evidence(t, 1, nil))
		if len(all) == 0 || all[0].Code != detect.AnsweredFromElsewhere || !strings.Contains(all[0].Advice, advice) {
			t.Errorf("%s: %v\n%s", as, text(all), details(all))
		}
	}
}
