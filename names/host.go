package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Family is the IP version that a user asks for. The numbers are the versions.
type Family uint8

const (
	Any  Family = 0
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Has reports whether an address is of the family.
func (f Family) Has(a netip.Addr) bool {
	return f == Any || (f == IPv4) == a.Is4()
}

var (
	// ErrFamily tells that an address is not of the family asked for.
	ErrFamily = errors.New("address of the other family")
	// ErrNoName tells that a name server says that there is no such name.
	ErrNoName = errors.New("the DNS has no such name")
	// ErrNoAddress tells that the name is there, but has no address of the family asked for.
	ErrNoAddress = errors.New("the name has no such address")
	// ErrNoServer tells that no name server has answered.
	ErrNoServer = errors.New("no name server answered")
)

// Host returns the addresses of a host, at least one, in the order of the
// system's resolver: those of the family asked for; for [Any] the IPv4 addresses
// if there are any, else the IPv6 addresses. None is an IPv4-mapped IPv6 address.
//
// An address may stand for the host. It is taken without any look-up: IPv6 as in
// RFC 4291 section 2.2, with a zone (fe80::1%eth0, not checked here) but without
// brackets; IPv4 in every form of inet_aton(3), so that 127.1, 0x7f.1 and
// 2130706433 are 127.0.0.1 and 010.0.0.1 is 8.0.0.1, as getaddrinfo(3) has it.
//
// The error wraps [ErrFamily] for an address of the other family, the cause of
// ctx where that ended the look-up, else what package net returned, a
// [*net.DNSError] or [*net.AddrError], and with it [ErrNoName], [ErrNoAddress] or
// [ErrNoServer] if the DNS was asked and that is what came of it. Nothing is left
// running when Host returns.
func (r *Resolver) Host(ctx context.Context, name string, family Family) ([]netip.Addr, error) {
	addrs, err := r.host(ctx, name, family)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", name, err)
	}
	return addrs, nil
}

func (r *Resolver) host(ctx context.Context, name string, family Family) ([]netip.Addr, error) {
	if a, ok := parseAddr(name); ok {
		if !family.Has(a) {
			return nil, ErrFamily
		}
		return []netip.Addr{a}, nil
	}
	h := new(heard)
	addrs, err := r.lookupFamily(ctx, h, name, family)
	return addrs, h.explain(err)
}

func (r *Resolver) lookupFamily(ctx context.Context, h *heard, name string, family Family) ([]netip.Addr, error) {
	switch family {
	case IPv4:
		return r.system.lookupNetIP(ctx, h, "ip4", name)
	case IPv6:
		return r.system.lookupNetIP(ctx, h, "ip6", name)
	}
	// One after the other: a host with IPv4, the usual case, is not held up by a
	// server that doesn't answer the other question.
	addrs, err4 := r.system.lookupNetIP(ctx, h, "ip4", name)
	if err4 == nil || unanswered(err4) {
		return addrs, err4
	}
	addrs, err := r.system.lookupNetIP(ctx, h, "ip6", name)
	if err != nil && notFound(err) && !notFound(err4) {
		err = err4 // that there is no IPv6 address is not all that went wrong
	}
	return addrs, err
}

// notFound reports whether a look-up ended with the answer that there is nothing, or nothing of the family.
func notFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound || errors.As(err, new(*net.AddrError))
}

// unanswered reports whether a look-up ended in silence, so that the next would.
func unanswered(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsTimeout
}

// parseAddr reads what getaddrinfo takes for an address rather than for a name.
func parseAddr(s string) (netip.Addr, bool) {
	// Not netip first: it knows no other IPv4 than four decimal parts.
	if a, ok := aton(s); ok {
		return a, true
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil
}

// aton reads an IPv4 address as inet_aton(3) does: one to four parts, decimal,
// octal (0...) or hexadecimal (0x...); the last fills all bytes that are left.
// Unlike it, and like getaddrinfo, it takes nothing behind the address.
func aton(s string) (netip.Addr, bool) {
	var addr uint64
	for shift := 24; shift >= 0; shift -= 8 {
		part, rest, more := strings.Cut(s, ".")
		bits := 8
		if !more {
			bits = shift + 8
		}
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"), strings.HasPrefix(part, "0X"):
			part, base = part[2:], 16
		case strings.HasPrefix(part, "0"):
			base = 8
		}
		v, err := strconv.ParseUint(part, base, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		if !more {
			addr |= v
			return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}), true
		}
		addr |= v << shift
		s = rest
	}
	return netip.Addr{}, false
}
