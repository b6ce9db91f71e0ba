package cli

import (
	"fmt"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// synConfig says what the SYNs look like, beyond the classic flags.
type synConfig struct {
	shape  string // of shapes; "": see linuxSYN
	mss    int    // 0: what the shape has
	accecn bool
}

// The shapes of a SYN.
const (
	shapeBare  = "bare"
	shapeLinux = "linux"
)

func synOptions() []option {
	return []option{
		{long: "syn", facts: []fact{
			used(func(c *config) bool { return c.syn.shape != "" }),
			{words: "linux", on: func(c *config) bool { return c.syn.shape == shapeLinux }, raw: true},
		}, arg: "bare|linux",
			help: "bare: a SYN without options, as the old program sends it (the default); linux: the SYN that this host's " +
				"own connections begin with, for firewalls that look at it", set: func(c *config, v string) error {
				if v != shapeBare && v != shapeLinux {
					return fmt.Errorf("Argument of --syn must be bare or linux: %s", given(v))
				}
				c.syn.shape = v
				return nil
			}},
		{long: "mss", facts: needsRawSockets(func(c *config) bool { return c.syn.mss > 0 }), arg: "bytes",
			help: "maximum segment size that the SYN tells, 1 to 65535 (none; with --syn linux what the interface allows)",
			set:  between("--mss", 1, 65535, func(c *config, n int) { c.syn.mss = n })},
		{long: "accecn",
			facts: needsRawSockets(func(c *config) bool { return c.syn.accecn }),
			help: "an Accurate ECN SYN (RFC 9768): set AE, CWR and ECE; says what the hops and the target " +
				"made of it, as -E does with --explain", set: do(func(c *config) {
				c.syn.accecn = true
				c.path.Flags |= packet.AE | packet.CWR | packet.ECE
			})},
	}
}

// linuxSYN reports whether the SYNs are to look like those of real connections. With --explain they do unless told
// otherwise: firewalls treat them as the user's own, and there is something to meddle with.
func (c *config) linuxSYN() bool {
	return c.syn.shape == shapeLinux || c.syn.shape == "" && c.explain &&
		(!c.path.Flags.Has(packet.ACK) || c.path.Flags.Has(packet.SYN))
}

// sayECN tells what became of ECN, with what is explained, or else aside. A plain -E says no more than the old
// program: it has its scripts.
func (p *program) sayECN(t *trace.Trace) {
	w := p.stderr
	switch {
	case p.explain && p.forPeople():
		w = p.stdout
	case !p.syn.accecn:
		return
	}
	for _, line := range report.ECN(t) {
		fmt.Fprintln(w, quoted(line))
	}
}
