package measure

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/names"
)

// Why a host can't be traced, although it has an address.
var (
	ErrBroadcast = errors.New("nobody's address: the limited broadcast")
	ErrZone      = errors.New("a link-local address needs its interface")

	// ErrUnspecified is about 0.0.0.0 and ::. The kernel takes a connection to them for one to this host; a packet that
	// has one as its destination comes to nobody.
	ErrUnspecified = errors.New("nobody's address: connections to it go to this host itself, which is 127.0.0.1 or ::1")
)

// limitedBroadcast is nobody's address (RFC 919).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// LookUp returns the addresses of a host, a name or an address, each once. The errors are those of package names, and
// ErrBroadcast.
func LookUp(ctx context.Context, by *names.Resolver, host string, family names.Family) ([]netip.Addr, error) {
	ascii, err := names.ASCII(host)
	if err != nil {
		return nil, err
	}
	addrs, err := by.Host(ctx, ascii, family)
	switch {
	case err != nil:
		return nil, err
	case addrs[0] == limitedBroadcast:
		return nil, ErrBroadcast
	}
	var distinct []netip.Addr
	for _, a := range addrs {
		if !slices.Contains(distinct, a) {
			distinct = append(distinct, a)
		}
	}
	return distinct, nil
}

// LookUpTarget is LookUp for a host that will be traced by an interface; "": by any. A link-local first address without
// a zone gets the interface as its zone; without an interface the error is ErrZone.
func LookUpTarget(ctx context.Context, by *names.Resolver, host string, family names.Family, iface string,
) ([]netip.Addr, error) {
	addrs, err := LookUp(ctx, by, host, family)
	if err != nil {
		return nil, err
	}
	if addrs[0], err = asTarget(addrs[0], iface); err != nil {
		return nil, err
	}
	return addrs, nil
}

// asTarget returns a target's address with the zone that it needs, see LookUpTarget.
func asTarget(a netip.Addr, iface string) (netip.Addr, error) {
	switch {
	case a == limitedBroadcast:
		return a, ErrBroadcast
	case !a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() != "":
		return a, nil
	case iface == "":
		return a, ErrZone
	}
	return a.WithZone(iface), nil
}

// LookUpListed is LookUpTarget for a target of a list: its error says in words why there is no address, as far as that
// is known.
func LookUpListed(ctx context.Context, by *names.Resolver, host string, family names.Family, iface string,
) ([]netip.Addr, error) {
	addrs, err := LookUpTarget(ctx, by, host, family, iface)
	if err != nil {
		why := names.Why(host, family, err)
		if dns, ok := errors.AsType[*net.DNSError](err); ok && why == "" {
			why = dns.Err // without the name, which the line of the target has
		}
		if why != "" {
			return nil, errors.New(why)
		}
	}
	return addrs, err
}

// LookUpBoth returns the addresses of a host in both families, as far as it has any.
func LookUpBoth(ctx context.Context, by *names.Resolver, host string) (all []netip.Addr, err error) {
	ascii, err := names.ASCII(host)
	if err != nil {
		return nil, err
	}
	for _, f := range []names.Family{names.IPv4, names.IPv6} {
		addrs, err := by.Host(ctx, ascii, f)
		if err != nil && !errors.Is(err, names.ErrNoAddress) && !errors.Is(err, names.ErrFamily) {
			return nil, err
		}
		all = append(all, addrs...)
	}
	if len(all) == 0 {
		return nil, names.ErrNoAddress
	}
	return all, nil
}

// target looks the target of a request up.
func (t *Tracer) target(ctx context.Context, r *Request) (netip.AddrPort, error) {
	resolver := names.New(names.Options{Policy: names.Never})
	defer resolver.Close()
	addrs, err := LookUpTarget(ctx, resolver, r.Host, r.Family, t.o.Wire.Interface)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := r.Port
	if port == 0 {
		port = DefaultPort
	}
	return netip.AddrPortFrom(addrs[0], port), nil
}
