package options

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// pathsConfig is what is asked of the search for all paths.
type pathsConfig struct {
	Paths      bool
	Confidence float64
	Flows      int
	TargetSYNs int

	PortFor string    // of which path a source port is wanted: its number, or a router's address; "": of none
	Port    io.Writer // where that is printed
}

// PathsOptions say how the paths of a trace are shown. name is who has an address.
func (c *Config) PathsOptions(t *record.Trace, name func(netip.Addr) string) report.PathsOptions {
	path := c.Path.Effective()
	o := report.PathsOptions{Target: c.Path.Target.Addr(), FirstTTL: path.FirstTTL, MaxTTL: path.MaxTTL,
		SameKernel: t.SameKernel(), Connections: t.Connections}
	if c.PortSet {
		o.Port = uint16(c.Port)
	}
	if c.Names != names.Never {
		o.Name = name
	}
	return o
}

func pathsOptions() []Option {
	with := func(on func(*Config) bool) []fact { return []fact{{on: on, needs: []string{"--paths"}}} }
	return []Option{
		{Long: "paths", facts: []fact{{on: func(c *Config) bool { return c.AllPaths.Paths }, not: []conflict{
			{"--track-port", "--paths doesn't go with {}: its flows keep their ports"},
			{"-o, -b", "--paths doesn't go with {}: its table has columns of its own"},
			{"--in-session", "--paths doesn't go with {}: each path is another connection"},
			{noPlace, "--paths doesn't go with {}: paths are shown as " + strings.Join(pathFormats, ", ")},
		}}},
			Help: "find all paths to the target, where routers share out the flows, by SYNs from other source " +
				"ports; prints them below the trace. Then measures loss and time of each (-q: probes per path, 44), and " +
				"names the branch that loses packets. With --report or --live round by round, by a SYN to the target for " +
				"each path and round", set: do(func(c *Config) { c.AllPaths.Paths = true })},
		{Long: "port-for", Arg: "path", facts: []fact{{on: func(c *Config) bool { return c.AllPaths.PortFor != "" },
			not: []conflict{
				{"--format", "{} doesn't go with --port-for, which prints nothing but the port"},
				{"--report, --live, --explain, --diff, --mtu",
					"--port-for doesn't go with {}: it prints nothing but the port"}}}},
			Help: "print nothing but a source port that takes this path: its number as --paths prints it, or the address of a " +
				"router that it goes by; for curl --local-port and the like; implies --paths", set: setPortFor},
		{Long: "confidence", Arg: "percent", from: []string{"95", "99"},
			Help:  "with --paths: how sure to be of each node that no successor is missing: 95 or 99 (99)",
			facts: with(func(c *Config) bool { return c.AllPaths.Confidence != 0 }),
			set: func(c *Config, v string) error {
				switch v {
				case "95":
					c.AllPaths.Confidence = 0.95
				case "99":
					c.AllPaths.Confidence = 0.99
				default:
					return fmt.Errorf("Argument of --confidence must be 95 or 99: %s", given(v))
				}
				return nil
			}},
		{Long: "max-flows", Arg: "flows",
			Help: fmt.Sprintf("with --paths: flows at the most (%d): each is new state in every firewall on the way",
				trace.MostFlows),
			facts: with(func(c *Config) bool { return c.AllPaths.Flows != 0 }),
			set:   between("--max-flows", 1, 16384, func(c *Config, n int) { c.AllPaths.Flows = n })},
		{Long: "max-target-syns", Arg: "SYNs",
			Help: fmt.Sprintf("with --paths: SYNs that the target may get at the most (%d), by trace and search together; "+
				"if it doesn't answer, hops beyond the last router are asked no further; the trace may take %d in any case",
				trace.DefaultTargetSYNs, trace.SearchSYNs),
			facts: with(func(c *Config) bool { return c.AllPaths.TargetSYNs != 0 }),
			set:   between("--max-target-syns", 1, 1024, func(c *Config, n int) { c.AllPaths.TargetSYNs = n })},
	}
}
