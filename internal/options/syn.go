package options

import (
	"fmt"

	"go.example/tcptraceroute/packet"
)

// synConfig says what the SYNs look like, beyond the classic flags.
type synConfig struct {
	shape  string // of shapes; "": see linuxSYN
	MSS    int    // 0: what the shape has
	AccECN bool
}

// The shapes of a SYN.
const (
	shapeBare  = "bare"
	ShapeLinux = "linux"
)

func synOptions() []Option {
	return []Option{
		{Long: "syn", facts: []fact{
			used(func(c *Config) bool { return c.SYN.shape != "" }),
			{words: "linux", on: func(c *Config) bool { return c.SYN.shape == ShapeLinux }, raw: true},
		}, Arg: "bare|linux",
			Help: "bare: a SYN without options, as the old program sends it (the default); linux: the SYN that this host's " +
				"own connections begin with, for firewalls that look at it", set: func(c *Config, v string) error {
				if v != shapeBare && v != ShapeLinux {
					return fmt.Errorf("Argument of --syn must be bare or linux: %s", given(v))
				}
				c.SYN.shape = v
				return nil
			}},
		{Long: "mss", facts: needsRawSockets(func(c *Config) bool { return c.SYN.MSS > 0 }), Arg: "bytes",
			Help: "maximum segment size that the SYN tells, 1 to 65535 (none; with --syn linux what the interface allows)",
			set:  between("--mss", 1, 65535, func(c *Config, n int) { c.SYN.MSS = n })},
		{Long: "accecn",
			facts: needsRawSockets(func(c *Config) bool { return c.SYN.AccECN }),
			Help: "an Accurate ECN SYN (RFC 9768): set AE, CWR and ECE; says what the hops and the target " +
				"made of it, as -E does with --explain", set: do(func(c *Config) {
				c.SYN.AccECN = true
				c.Path.Flags |= packet.AE | packet.CWR | packet.ECE
			})},
	}
}

// LinuxSYN reports whether the SYNs are to look like those of real connections. With --explain they do unless told
// otherwise: firewalls treat them as the user's own, and there is something to meddle with.
func (c *Config) LinuxSYN() bool {
	return c.SYN.shape == ShapeLinux || c.SYN.shape == "" && c.Explain &&
		(!c.Path.Flags.Has(packet.ACK) || c.Path.Flags.Has(packet.SYN))
}
