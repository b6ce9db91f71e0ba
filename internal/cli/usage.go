package cli

import (
	"fmt"
	"strings"
)

// versionText is the block that -v prints.
func versionText() string {
	return fmt.Sprintf("\ntcptraceroute %s\nTraces the path of a TCP connection.\nLicensed under the Apache License 2.0.\n\n", Version)
}

// usageText is the synopsis and a line for each option.
func usageText(table []group) string {
	var b strings.Builder
	b.WriteString(`Usage: tcptraceroute [-46nNFSAEd] [-i interface] [-f first ttl] [-l length]
       [-q queries] [-t tos] [-m max ttl] [-p|-P source port]
       [-s source address] [-w wait] host [port] [length]

`)
	for _, g := range table {
		fmt.Fprintf(&b, "%s:\n", g.title)
		for _, o := range g.options {
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
			fmt.Fprintf(&b, "  %-21s %s\n", name, o.help)
		}
		b.WriteString("\n")
	}
	b.WriteString(`Exit code: 0 the target was reached, 1 it was not or the command line is wrong,
2 this host could not send, 130 and 143 interrupted.

`)
	return b.String()
}
