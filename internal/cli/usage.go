package cli

import (
	"fmt"
	"strings"
)

// versionText is the block that -v prints.
func versionText() string {
	return fmt.Sprintf("\ntcptraceroute %s\nTraces the path of a TCP connection.\nLicensed under the Apache License "+
		"2.0.\n\n", version())
}

const synopsis = `Usage: tcptraceroute [-46nNFSAEd] [-i interface] [-f first ttl] [-l length]
       [-q queries] [-t tos] [-m max ttl] [-p|-P source port]
       [-s source address] [-w wait] host [port] [length]

`

// screen is how wide a text for a terminal may be.
const screen = 80

// usageText is one screen: the synopsis, and the options that have a half line there, in two columns. Those of the
// groups after the first stand apart.
func usageText(table []group) string {
	var b strings.Builder
	b.WriteString(synopsis)
	var classic, more []string
	for i, g := range table {
		for _, o := range g.options {
			switch cell := fmt.Sprintf("  %-17s %s", o.form("", ""), o.brief); {
			case o.brief == "":
			case i == 0 || g.title == helpTitle:
				classic = append(classic, cell)
			default:
				more = append(more, cell)
			}
		}
	}
	columns(&b, classic)
	if len(more) > 0 {
		b.WriteString("\n")
		columns(&b, more)
	}
	b.WriteString("\nAll options: tcptraceroute --help all. Port: number or name (80); HOST:PORT too.\nExit code: 0 " +
		"target reached, 1 not, or wrong usage, 2 could not send.\n\n")
	return b.String()
}

// columns writes cells in two columns, to be read downwards.
func columns(b *strings.Builder, cells []string) {
	half := (len(cells) + 1) / 2
	for i := range half {
		if i+half == len(cells) {
			fmt.Fprintf(b, "%s\n", cells[i])
			continue
		}
		fmt.Fprintf(b, "%-*s%s\n", screen/2-1, cells[i], cells[i+half])
	}
}

// helpText is the synopsis and a paragraph for each option that is meant to be seen.
func helpText(table []group) string {
	var b strings.Builder
	b.WriteString(synopsis)
	for _, g := range table {
		fmt.Fprintf(&b, "%s:\n", g.title)
		for _, o := range g.options {
			if o.help == "" {
				continue
			}
			entry(&b, o.form("<", ">"), o.whole())
		}
		b.WriteString("\n")
	}
	b.WriteString(`Host: a name or an address. HOST:PORT, [IPv6]:PORT and URLs are taken too.
Port: a number or the name of a service (80).
Exit code: 0 the target was reached, 1 it was not or the command line is wrong,
2 this host could not send, 129, 130 and 143 a signal ended it.
`)
	return b.String()
}

// form is how an option is written, with all its names and its value.
func (o *option) form(open, end string) string {
	s := strings.Join(o.names(), ", ")
	switch {
	case o.arg != "":
		s += " " + open + o.arg + end
	case o.word != "" && open != "":
		s += " [" + o.word + "]"
	}
	return s
}

// entry writes what an option is called, and beside it, or below where that is long, what it does.
func entry(b *strings.Builder, name, help string) {
	const indent = 24
	line := "  " + name
	if len(line) > indent-2 {
		fmt.Fprintf(b, "%s\n", line)
		line = ""
	}
	line = fmt.Sprintf("%-*s", indent, line)
	empty := true
	for word := range strings.FieldsSeq(help) {
		if !empty && len(line)+1+len(word) > screen-1 {
			fmt.Fprintf(b, "%s\n", line)
			line, empty = strings.Repeat(" ", indent), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintf(b, "%s\n", line)
}
