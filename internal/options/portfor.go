package options

import (
	"fmt"
	"net/netip"
	"strconv"
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
