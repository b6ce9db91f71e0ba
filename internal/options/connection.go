package options

import (
	"fmt"
	"net/netip"
	"strings"
)

// connectionConfig is which open connection of this host is traced in the place of a new flow.
type connectionConfig struct {
	Source, Target netip.AddrPort // of the connection; invalid: not given
	Process        int            // that holds it; 0: not given
}

// On reports whether a connection is traced.
func (c *connectionConfig) On() bool { return c.Target.IsValid() || c.Process != 0 }

// by is the option that asks for it.
func (c *connectionConfig) by() string {
	if c.Process != 0 {
		return "--pid"
	}
	return "--connection"
}

func connectionOptions() []Option {
	return []Option{
		{Long: "connection", Arg: "source-target", facts: []fact{{
			on: func(c *Config) bool { return c.Connection.On() }, by: func(c *Config) string { return c.Connection.by() },
			raw: true, not: []conflict{{
				"-A, -E, -l, -p, -P, --track-port, --mark, --syn, --mss, --accecn, --explain, --report, --live, --in-session, " +
					"--mtu, --paths, --targets",
				"{} doesn't go with --connection and --pid, whose probes are those of an open connection",
			}}}},
			Help: "trace the way of a connection that another program on this host has open, such as " +
				"192.0.2.1:40000-198.51.100.9:443 or [2001:db8::1]:40000-[2001:db8::9]:443, as far as the last router: each " +
				"probe repeats a byte that the other end has; takes no host", set: setConnection},
		{Long: "pid", Arg: "process", Help: "the same for the connection of this process; if it has several, they are listed",
			set: between("--pid", 1, 1<<22, func(c *Config, n int) { c.Connection.Process = n })},
	}
}

func setConnection(c *Config, v string) error {
	source, target, _ := strings.Cut(v, "-")
	from, err := netip.ParseAddrPort(source)
	to, err2 := netip.ParseAddrPort(target)
	if err != nil || err2 != nil || from.Addr().Is4() != to.Addr().Is4() || from.Port() == 0 || to.Port() == 0 {
		return fmt.Errorf("Argument of --connection must be SOURCE:PORT-TARGET:PORT, IPv6 addresses in brackets: %s",
			given(v))
	}
	c.Connection.Source, c.Connection.Target = from, to
	return nil
}
