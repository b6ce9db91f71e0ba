package options

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.example/tcptraceroute/measure"
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

// ChooseConnection takes the connection that is to be traced out of those of this host or of the process. If the
// process has several of the user's, it returns them, with an error.
func (c *Config) ChooseConnection(all []measure.Established, user int) (several []measure.Established, err error) {
	x := &c.Connection
	wanted := x.Target.IsValid()
	all = slices.DeleteFunc(all, func(e measure.Established) bool {
		return wanted && (e.Source != x.Source || e.Target != x.Target) || !c.Root && int(e.UID) != user && !wanted
	})
	switch {
	case len(all) == 0 && wanted:
		return nil, fmt.Errorf("This host has no open connection %v-%v", x.Source, x.Target)
	case len(all) == 0:
		return nil, fmt.Errorf("Process %d has no open TCP connection of yours", x.Process)
	case len(all) > 1 && !wanted:
		return all, fmt.Errorf("Process %d has %d connections: choose one by --connection", x.Process, len(all))
	case !c.Root && int(all[0].UID) != user:
		return nil, fmt.Errorf("The connection %v is another user's", all[0])
	}
	e := all[0]
	x.Source, x.Target = e.Source, e.Target
	c.Host, c.Service, c.ServiceSet = e.Target.Addr().String(), fmt.Sprint(e.Target.Port()), true
	c.Source, c.SourceSet = e.Source.Addr().String(), true
	return nil, nil
}
