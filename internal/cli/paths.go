package cli

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// pathsConfig is what is asked of the search for all paths.
type pathsConfig struct {
	paths      bool
	confidence float64
	flows      int
	targetSYNs int

	portFor string    // of which path a source port is wanted: its number, or a router's address; "": of none
	port    io.Writer // where that is printed
}

func pathsOptions() []option {
	with := func(on func(*config) bool) []fact { return []fact{{on: on, needs: []string{"--paths"}}} }
	return []option{
		{long: "paths", facts: []fact{{on: func(c *config) bool { return c.ways.paths }, raw: true, not: []conflict{
			{"--track-port", "--paths doesn't go with {}: its flows keep their ports"},
			{"--report, --live", "--paths doesn't go with {}: its search begins after one trace"},
			{"--in-session", "--paths doesn't go with {}: each path is another connection"},
			{noPlace, "--paths doesn't go with {}: paths are shown as " + strings.Join(pathFormats, ", ")},
		}}},
			help: "find all paths to the target, where routers share out the flows, by SYNs from other source " +
				"ports; prints them below the trace", set: do(func(c *config) { c.ways.paths = true })},
		{long: "port-for", arg: "path", facts: []fact{{on: func(c *config) bool { return c.ways.portFor != "" },
			not: []conflict{{"--format", "{} doesn't go with --port-for, which prints nothing but the port"}}}},
			help: "print nothing but a source port that takes this path: its number as --paths prints it, or the address of a " +
				"router that it goes by; for curl --local-port and the like; implies --paths", set: setPortFor},
		{long: "confidence", arg: "percent", from: []string{"95", "99"},
			help:  "with --paths: how sure to be of each node that no successor is missing: 95 or 99 (99)",
			facts: with(func(c *config) bool { return c.ways.confidence != 0 }),
			set: func(c *config, v string) error {
				switch v {
				case "95":
					c.ways.confidence = 0.95
				case "99":
					c.ways.confidence = 0.99
				default:
					return fmt.Errorf("Argument of --confidence must be 95 or 99: %s", given(v))
				}
				return nil
			}},
		{long: "max-flows", arg: "flows",
			help: fmt.Sprintf("with --paths: flows at the most (%d): each is new state in every firewall on the way",
				trace.MostFlows),
			facts: with(func(c *config) bool { return c.ways.flows != 0 }),
			set:   between("--max-flows", 1, 16384, func(c *config, n int) { c.ways.flows = n })},
		{long: "max-target-syns", arg: "SYNs",
			help: fmt.Sprintf("with --paths: SYNs that the target gets at the most, those of the trace included (%d)",
				trace.DefaultTargetSYNs),
			facts: with(func(c *config) bool { return c.ways.targetSYNs != 0 }),
			set:   between("--max-target-syns", 1, 1024, func(c *config, n int) { c.ways.targetSYNs = n })},
	}
}

// sayPaths prints the paths for people.
func (p *program) sayPaths(g *trace.Graph, name func(netip.Addr) string) error {
	o := report.PathsOptions{Target: p.path.Target.Addr(), FirstTTL: p.path.Effective().FirstTTL}
	if p.portSet {
		o.Port = uint16(p.port)
	}
	if p.names != names.Never {
		o.Name = name
	}
	if err := report.WritePaths(p.stdout, g, o); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if p.explain {
		return nil // what they show is said with the rest
	}
	return writeFindings(p.stdout, nil, detect.InPaths(g))
}
