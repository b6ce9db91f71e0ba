package words

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
)

// NoAddress is why a host has no address. what is what it would be: destination or source.
func NoAddress(what, host string, family names.Family, err error) error {
	why := names.Why(host, family, err)
	_, bad := names.ASCII(host)
	switch {
	case bad != nil:
		why = bad.Error()
	case errors.Is(err, names.ErrFamily):
		why = fmt.Sprintf("it is not IPv%d", family)
	case errors.Is(err, measure.ErrZone):
		why = fmt.Sprintf("a link-local address needs its interface: %s%%eth0", host)
	case errors.Is(err, measure.ErrBroadcast):
		why = ""
	}
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("Bad %s address: %s%s", what, host, why)
}

// NoTarget is why the target has no address. A file of that name may be meant, as other programs take one by -iL and
// -F, or all addresses of a network or a range.
func NoTarget(c *options.Config, file bool, err error) error {
	err = NoAddress("destination", c.Host, c.Family, err)
	_, noNetwork := netip.ParsePrefix(c.Host)
	switch {
	case noNetwork == nil:
		return fmt.Errorf("%w; the addresses of a network are traced by --targets FILE, with a line %s", err, c.Host)
	case strings.Contains(c.Host, ".") && strings.Contains(c.Host, "-") && strings.Trim(c.Host, "0123456789.-") == "":
		return fmt.Errorf("%w; a range of addresses is traced by --targets FILE, with a line 10.0.0.1-10.0.0.9", err)
	case c.Interface == listDevice:
		return fmt.Errorf("%w%s", err, listHint)
	case c.Path.DontFragment && file:
		return fmt.Errorf("%w; -F sets the don't-fragment bit; the targets of a file are traced by --targets %s", err,
			c.Host)
	}
	return err
}

// NoPort is the error for a port that there isn't.
func NoPort(s string) error {
	if options.Digits(s) {
		return fmt.Errorf("Unknown port: %s (a port is a number from 0 to %d)", s, math.MaxUint16)
	}
	return fmt.Errorf("Unknown port: %s", s)
}

// NoConnections is why the connections of a process, or of this host, aren't known.
func NoConnections(process int, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("There is no process %d", process)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("The connections of process %d are another user's", process)
	}
	return fmt.Errorf("connections: %w", err)
}
