package options

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// schemes are the ports of URLs by numbers, which need no file of services. Of other schemes the service's name is the
// scheme's.
var schemes = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

// SplitHost reads what stands for the host: HOST, HOST:PORT, [IPv6], [IPv6]:PORT or a URL. An IPv6 address without
// brackets stays whole. port is "" where none is given.
func SplitHost(s string) (host, port string, err error) {
	s = strings.TrimSpace(s)
	bad := func(why string) error { return fmt.Errorf("Bad destination address: %s (%s)", s, why) }
	if strings.Contains(s, "://") {
		return splitURL(s, bad)
	}
	host, rest, bracketed := strings.Cut(strings.TrimPrefix(s, "["), "]")
	switch {
	case strings.HasPrefix(s, "["):
		_, err := netip.ParseAddr(host)
		port, colon := strings.CutPrefix(rest, ":")
		switch {
		case !bracketed || err != nil || rest != "" && !colon:
			return "", "", bad("brackets are for an IPv6 address, as in [2001:db8::1]:443")
		case colon && port == "":
			return "", "", bad("no port follows the colon")
		}
		return host, port, nil
	case strings.Count(s, ":") != 1:
		if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
			return "", "", bad("it is no IPv6 address; one with a port is written [2001:db8::1]:443")
		}
		return s, "", nil
	}
	host, port, _ = strings.Cut(s, ":")
	switch {
	case host == "":
		return "", "", bad("no host precedes the colon")
	case port == "":
		return "", "", bad("no port follows the colon")
	}
	return host, port, nil
}

// splitURL takes host and port from a URL. What else is in it, a password perhaps, is not repeated.
func splitURL(s string, bad func(why string) error) (host, port string, err error) {
	u, err := url.Parse(s)
	if err != nil {
		scheme, _, _ := strings.Cut(s, "://")
		return "", "", fmt.Errorf("Bad destination address: %s://... (that is no URL; give HOST PORT)", scheme)
	}
	host, port = u.Hostname(), u.Port()
	switch {
	case host == "":
		return "", "", bad("the URL has no host")
	case port != "":
	case schemes[u.Scheme] != "":
		port = schemes[u.Scheme]
	default:
		port = u.Scheme
	}
	return strings.TrimSpace(host), port, nil
}
