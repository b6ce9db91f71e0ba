package cli

import (
	"fmt"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// sayECN tells what became of ECN, with what is explained, or else aside. A plain -E says no more than the old
// program: it has its scripts.
func (p *program) sayECN(t *trace.Trace) {
	w := p.stderr
	switch {
	case p.Explain && p.ForPeople():
		w = p.stdout
	case !p.SYN.AccECN:
		return
	}
	for _, line := range report.ECN(t) {
		fmt.Fprintln(w, record.Printable(line))
	}
}
