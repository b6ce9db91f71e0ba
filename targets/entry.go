package targets

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"go.example/tcptraceroute/names"
)

// An entry is what one line says.
type entry struct {
	host    string         // as written
	addrs   netipx.IPRange // the zero value: host is a name
	zone    string         // of a link-local address
	port    uint16
	hasPort bool
}

// parseEntry reads the words of a line.
func parseEntry(words []string, readPort func(string) (uint16, error)) (e entry, err error) {
	switch {
	case strings.ContainsRune("{}", rune(words[0][0])):
		return e, errors.New("this looks like JSON; a list has a target per line: HOST PORT")
	case len(words) > 2:
		return e, fmt.Errorf("after host and port nothing may follow: %s", words[2])
	}
	host, port, err := splitPort(words[0])
	if err != nil {
		return e, err
	}
	if len(words) == 2 {
		if port != "" && port != words[1] {
			return e, fmt.Errorf("two ports: %s and %s", port, words[1])
		}
		port = words[1]
	}
	if port != "" {
		if e.port, err = readPort(port); err != nil {
			return e, err
		}
		e.hasPort = true
	}
	e.host = host
	return e, e.readHost(host)
}

// splitPort takes the port off HOST:PORT and [IPv6]:PORT.
func splitPort(word string) (host, port string, err error) {
	if strings.Contains(word, "://") {
		return "", "", errors.New("a URL is no target: give host and port")
	}
	if inside, rest, ok := strings.Cut(word, "]"); strings.HasPrefix(word, "[") {
		inside = inside[1:]
		port, colon := strings.CutPrefix(rest, ":")
		if a, err := netip.ParseAddr(inside); !ok || err != nil || !a.Is6() || rest != "" && !colon || colon && port == "" {
			return "", "", errors.New("brackets are for an IPv6 address, as in [2001:db8::1]:443")
		}
		return inside, port, nil
	}
	if strings.Count(word, ":") != 1 {
		return word, "", nil
	}
	host, port, _ = strings.Cut(word, ":")
	switch {
	case host == "":
		return "", "", errors.New("no host precedes the colon")
	case port == "":
		return "", "", errors.New("no port follows the colon")
	}
	return host, port, nil
}

// readHost finds out which addresses a host stands for, unless it is a name.
func (e *entry) readHost(host string) error {
	if strings.Contains(host, "/") {
		p, err := netip.ParsePrefix(host)
		if err != nil {
			return fmt.Errorf("not a network (as 10.0.0.0/28 is): %s", host)
		}
		if p.Addr().Is4In6() {
			if p.Bits() < mappedBits {
				return fmt.Errorf("a network of IPv4 and IPv6 addresses: %s", host)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
		e.addrs = netipx.RangeOfPrefix(p.Masked())
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		e.zone = a.Zone()
		a = a.WithZone("")
		e.addrs = netipx.IPRangeFrom(a, a)
		return nil
	}
	if first, last, ok := strings.Cut(host, "-"); ok {
		if from, err := netip.ParseAddr(first); err == nil {
			to, err := netip.ParseAddr(last)
			if err != nil {
				return fmt.Errorf("%s: %s", notRange, host)
			}
			if e.addrs = netipx.IPRangeFrom(from.Unmap(), to.Unmap()); !e.addrs.IsValid() {
				return fmt.Errorf("the range's second address must follow its first, without zones: %s", host)
			}
			return nil
		}
	}
	if strings.Contains(host, ":") {
		return fmt.Errorf("not an IPv6 address: %s", host)
	}
	if strings.Trim(host, "0123456789.") == "" {
		return fmt.Errorf("not an IPv4 address: %s", host)
	}
	if strings.Contains(host, ".") && strings.Trim(host, "0123456789.-") == "" { // nmap's 10.0.1-9.1
		return fmt.Errorf("%s: %s", notRange, host)
	}
	if i := strings.IndexAny(host, notInNames); i >= 0 {
		return fmt.Errorf("not a name: %s (it has %q)", host, host[i])
	}
	if _, err := names.ASCII(host); err != nil {
		return fmt.Errorf("not a name: %s (%w)", host, err)
	}
	return nil
}

const notRange = "a range is two addresses, as in 10.0.0.1-10.0.0.9"

// notInNames are characters that no name of a host has, but other files than lists have.
const notInNames = "{}[]()<>\"'`,;=|&!?*@$%^+~\\"

// mappedBits is how many bits of an IPv6 address say that the rest is an IPv4 address (RFC 4291 2.5.5.2).
const mappedBits = 96

// isName reports whether the host has to be looked up.
func (e *entry) isName() bool { return !e.addrs.IsValid() }

// portNumber reads a port that is a number.
func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("a port is a number from 0 to 65535: %s", s)
	}
	return uint16(n), nil
}
