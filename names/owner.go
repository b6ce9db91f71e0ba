package names

import (
	"context"
	"net/netip"
)

// Owner is who runs the network that an address is in. Its texts are as the
// database or the network gave them, cut at 255 bytes: any byte may be in them.
type Owner struct {
	ASN     uint32 // 0: not known
	Name    string // of the AS; "": not known
	Country string // two capital letters; "": not known
}

// StartOwner begins to look up in the DNS who owns addr, in the background, where
// the options say that the DNS may be asked and the databases know too little. It
// never blocks. Addresses that mean something else in every network are never
// asked about.
func (r *Resolver) StartOwner(addr netip.Addr) {
	if !r.ownerDNS {
		return
	}
	if _, whole := r.inDatabases(addr); !whole {
		r.start(subject{addr, askOwner})
	}
}

// Owner tells who owns addr: by the databases, and for what they don't know by
// the DNS, where that may be asked. It waits for the DNS as [Resolver.Name] does,
// within the same budget. ok is false where nothing is known.
func (r *Resolver) Owner(ctx context.Context, addr netip.Addr) (o Owner, ok bool) {
	o, whole := r.inDatabases(addr)
	if whole {
		return o, true
	}
	if e := r.start(subject{addr, askOwner}); e != nil && r.wait(ctx, e) {
		if o.ASN == 0 {
			o.ASN, o.Name = e.owner.ASN, e.owner.Name
		}
		if o.Country == "" {
			o.Country = e.owner.Country
		}
	}
	return o, o != Owner{}
}

// inDatabases is what the databases know together; whole: an AS, so that there is no need to ask further.
func (r *Resolver) inDatabases(addr netip.Addr) (o Owner, whole bool) {
	for _, d := range r.databases {
		if o.ASN != 0 && o.Country != "" {
			break
		}
		found, ok := d.Owner(addr)
		if !ok {
			continue
		}
		if o.ASN == 0 {
			o.ASN, o.Name = found.ASN, found.Name
		}
		if o.Country == "" {
			o.Country = found.Country
		}
	}
	return o, o.ASN != 0
}

// sharedSpace is for carriers' own customers (RFC 6598): every network has its own.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address may have an owner that the DNS knows of.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
