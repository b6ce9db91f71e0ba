package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
)

// findingsWidth leaves room on a terminal of old to indent findings: in a man page, in a mail.
const findingsWidth = 75

// Findings writes what the answers say about the path, in plain words, with nothing beyond column 75. Of what is
// a detail it says the title alone. It returns the first error in writing.
func Findings(w io.Writer, all []detect.Finding) error {
	var b strings.Builder
	for i, x := range all {
		if i > 0 && !x.Detail() {
			b.WriteString("\n")
		}
		fold(&b, "", "", fmt.Sprintf("%s. [%s, %v]", x.Title, x.Code, x.Confidence))
		if x.Detail() {
			continue
		}
		for _, e := range x.Evidence {
			fold(&b, "  - ", "    ", e)
		}
		if x.Advice != "" {
			fold(&b, "  > ", "    ", x.Advice)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// FindingTitles are the titles of findings that are more than a detail, a line each that begins with indent.
func FindingTitles(indent string, all []detect.Finding) string {
	var b strings.Builder
	for _, x := range all {
		if !x.Detail() {
			fmt.Fprintf(&b, "%s%s. [%s, %v]\n", indent, record.Printable(x.Title), x.Code, x.Confidence)
		}
	}
	return b.String()
}

// Explanation writes, below what stands on w, the findings, and before them what came of ordinary connections of this
// host, if it was asked for any. What a finding's evidence says of them is not said twice. host may be nil. If there is
// nothing to say, it writes nothing.
func Explanation(w io.Writer, host *detect.Host, all []detect.Finding) error {
	if len(all) == 0 && host == nil {
		return nil
	}
	var b strings.Builder
	said := func(text string) bool {
		return slices.ContainsFunc(all, func(x detect.Finding) bool { return slices.Contains(x.Evidence, text) })
	}
	if host != nil {
		for i := range host.Controls {
			text := host.Controls[i].String()
			if i > 0 {
				text = "A second one: " + text
			}
			if !said(text) {
				fold(&b, "", "", text)
			}
		}
	}
	if b.Len() > 0 && len(all) > 0 {
		b.WriteString("\n")
	}
	Findings(&b, all) // a Builder takes all
	if _, err := io.WriteString(w, "\n"+b.String()); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// fold writes words in lines that begin with first, and from the second on with next.
func fold(b *strings.Builder, first, next, text string) {
	line := first
	begun := false
	for _, word := range strings.Fields(record.Printable(text)) {
		if begun && len(line)+1+len(word) > findingsWidth {
			b.WriteString(line + "\n")
			line, begun = next, false
		}
		if begun {
			line += " "
		}
		line += word
		begun = true
	}
	b.WriteString(line + "\n")
}
