package cli

import (
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// sayPaths prints the paths for people.
func (p *program) sayPaths(g *trace.Graph, name func(netip.Addr) string) error {
	o := report.PathsOptions{Target: p.Path.Target.Addr(), FirstTTL: p.Path.Effective().FirstTTL,
		MaxTTL: p.Path.Effective().MaxTTL}
	if p.PortSet {
		o.Port = uint16(p.Port)
	}
	if p.Names != names.Never {
		o.Name = name
	}
	if err := report.WritePaths(p.stdout, g, o); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if p.Explain {
		return nil // what they show is said with the rest
	}
	return report.Explanation(p.stdout, nil, detect.InPaths(g))
}
