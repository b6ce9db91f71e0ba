package cli

import (
	"fmt"
	"strings"
)

func versionText() string {
	return fmt.Sprintf("tcptraceroute %s\n", Version)
}

// usageText is the short form that follows a mistake.
func usageText() string {
	return `Usage: tcptraceroute [-46nNFSAEd] [-i interface] [-f first ttl] [-l length]
       [-q queries] [-t tos] [-m max ttl] [-p|-P source port]
       [-s source address] [-w wait] host [port] [length]
Try 'tcptraceroute --help' for all options.
`
}

// helpText explains every option.
func helpText(table []option) string {
	var b strings.Builder
	b.WriteString(versionText())
	b.WriteString(`
Usage: tcptraceroute [options] host [port] [length]

Traces the path of a TCP connection to a port of a host (80), as a number or a
service's name.

`)
	for _, o := range table {
		if o.help == "" {
			continue
		}
		name := o.name()
		if o.short != 0 && o.long != "" {
			name += ", --" + o.long
		}
		if o.arg != "" {
			name += " <" + o.arg + ">"
		}
		fmt.Fprintf(&b, "  %-22s %s\n", name, o.help)
	}
	b.WriteString(`
Exit code: 0 the target was reached, 1 it was not or the command line was wrong,
2 this host could not send, 130 and 143 interrupted.
`)
	return b.String()
}
