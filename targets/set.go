package targets

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"go.example/tcptraceroute/names"
)

// A Set is what must never be probed. The zero value is empty.
type Set struct {
	parts map[int]*part // by port, or everyPort
}

const everyPort = -1

// part is what is excluded at one port, or at every port.
type part struct {
	building netipx.IPSetBuilder
	addrs    *netipx.IPSet
	names    map[string]bool
}

// Exclude adds the entries of a list to the set. An entry with a port excludes that port only. Networks and ranges may
// be of any size. Names are looked up by lookUp, and all their addresses are excluded. A line that can't be read, and a
// name that can't be found, is an error: what shall be excluded is then not known.
func (s *Set) Exclude(r io.Reader, file string, o Options, lookUp func(host string) ([]netip.Addr, error)) error {
	for l, err := range entries(r, file, o.Port) {
		if err != nil {
			return err
		}
		p := s.part(&l.entry)
		if !l.isName() {
			p.building.AddRange(l.addrs)
			continue
		}
		p.names[canonical(l.host)] = true
		addrs, err := lookUp(l.host)
		if err != nil {
			return &LineError{file, l.number, err}
		}
		for _, a := range addrs {
			p.building.Add(a.Unmap().WithZone(""))
		}
	}
	for _, p := range s.parts {
		var err error
		if p.addrs, err = p.building.IPSet(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// part is where an entry belongs.
func (s *Set) part(e *entry) *part {
	port := everyPort
	if e.hasPort {
		port = int(e.port)
	}
	if s.parts == nil {
		s.parts = make(map[int]*part)
	}
	if s.parts[port] == nil {
		s.parts[port] = &part{names: make(map[string]bool)}
	}
	return s.parts[port]
}

// Has reports whether an address is excluded at a port.
func (s *Set) Has(a netip.AddrPort) bool {
	addr := a.Addr().Unmap().WithZone("")
	return s.any(a.Port(), func(p *part) bool { return p.addrs.Contains(addr) })
}

// HasName reports whether a host is excluded at a port by its name.
func (s *Set) HasName(host string, port uint16) bool {
	name := canonical(host)
	return s.any(port, func(p *part) bool { return p.names[name] })
}

func (s *Set) any(port uint16, in func(*part) bool) bool {
	for _, key := range [...]int{everyPort, int(port)} {
		if p := s.parts[key]; p != nil && in(p) {
			return true
		}
	}
	return false
}

// canonical is the one way to write a name among those that mean the same.
func canonical(host string) string {
	if ascii, err := names.ASCII(host); err == nil {
		host = ascii
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
