package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"go.example/tcptraceroute/trace"
)

// printPort prints a source port that takes the path which the user wants one for.
func (s *showing) printPort() error {
	way, err := wantedPath(s.made.Graph, s.AllPaths.PortFor)
	if err != nil {
		return err
	}
	port, err := s.m.PortOf(s.ctx, s.made.Graph, way)
	switch {
	case err != nil:
		return s.worded(err)
	case port != 0:
		if _, err := fmt.Fprintln(s.AllPaths.Port, port); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		return nil
	case s.Path.Target.Addr().Is6():
		return fmt.Errorf("No source port takes path %d for sure: a router on the way may look at the flow label, which the "+
			"kernel draws anew for each connection", way+1)
	}
	return fmt.Errorf("No source port takes path %d for sure: a second trace of each one tried did not meet its routers",
		way+1)
}

// wantedPath is the index of the path with this number, or of the first one that goes by this router.
func wantedPath(g *trace.Graph, wanted string) (int, error) {
	if i := slices.IndexFunc(g.Nodes, func(n trace.Node) bool { return n.PerPacket }); i >= 0 && len(g.Ways) == 0 {
		return 0, fmt.Errorf("No source port keeps to a path: beyond %v, hop %d, packets of one flow meet several addresses",
			g.Nodes[i].Addr, g.Nodes[i].TTL)
	}
	if n, err := strconv.Atoi(wanted); err == nil {
		if n > len(g.Ways) {
			return 0, fmt.Errorf("There is no path %d: %s found", n, found(len(g.Ways)))
		}
		return n - 1, nil
	}
	router := netip.MustParseAddr(wanted)
	if i := g.WayBy(router); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("No path goes by %v: %s found", router, found(len(g.Ways)))
}

// found says how many paths were found.
func found(n int) string {
	if n == 1 {
		return "1 path was"
	}
	return fmt.Sprintf("%d paths were", n)
}
