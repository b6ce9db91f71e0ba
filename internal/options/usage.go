package options

import (
	"fmt"
	"strings"
)

const synopsis = `Usage: tcptraceroute [-46nNFSAEd] [-i interface] [-f first ttl] [-l length]
       [-q queries] [-t tos] [-m max ttl] [-p|-P source port]
       [-s source address] [-w wait] host [port] [length]

`

// Screen is how wide a text for a terminal may be.
const Screen = 80

// UsageText is one screen: the synopsis, and the options that have a half line there, in two columns. Those of the
// groups after the first stand apart.
func UsageText(table []group) string {
	var b strings.Builder
	b.WriteString(synopsis)
	var classic, more []string
	for i, g := range table {
		for _, o := range g.Options {
			switch cell := fmt.Sprintf("  %-17s %s", o.Form("", ""), o.Brief); {
			case o.Brief == "":
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
		fmt.Fprintf(b, "%-*s%s\n", Screen/2-1, cells[i], cells[i+half])
	}
}

// HelpText is the synopsis and a paragraph for each option that is meant to be seen.
func HelpText(table []group) string {
	var b strings.Builder
	b.WriteString(synopsis)
	for _, g := range table {
		fmt.Fprintf(&b, "%s:\n", g.title)
		for _, o := range g.Options {
			if o.Help == "" {
				continue
			}
			entry(&b, o.Form("<", ">"), o.Whole())
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

// Form is how an option is written, with all its names and its value.
func (o *Option) Form(open, end string) string {
	s := strings.Join(o.Names(), ", ")
	switch {
	case o.Arg != "":
		s += " " + open + o.Arg + end
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
		if !empty && len(line)+1+len(word) > Screen-1 {
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
