package options

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"go.example/tcptraceroute/trace"
)

// lacksPath reports whether the path of --port-for seems to be forgotten: an address stands in its place, and no host
// but a number, which would be the port, follows.
func (c *Config) lacksPath(operands []string) bool {
	_, err := netip.ParseAddr(c.AllPaths.PortFor)
	return err == nil && (len(operands) == 0 || len(operands) == 1 && Digits(operands[0]))
}

// setPortFor takes the number of a path, or the address of a router.
func setPortFor(c *Config, v string) error {
	a, err := netip.ParseAddr(v)
	n, numberErr := strconv.Atoi(v)
	if (err != nil || a.Zone() != "") && (numberErr != nil || !Digits(v) || n < 1) {
		return fmt.Errorf("Argument of --port-for must be the number of a path, from 1, or a router's address: %s", given(v))
	}
	c.AllPaths.Paths, c.AllPaths.PortFor = true, v
	return nil
}

// WantedPath is the index of the path that --port-for names: by its number, or the first that goes by a router.
func (c *Config) WantedPath(g *trace.Graph) (int, error) {
	wanted := c.AllPaths.PortFor
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
