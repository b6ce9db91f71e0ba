package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// findDatabases are the files to look owners up in.
func (p *program) findDatabases() []string {
	switch {
	case !p.Show.Owners:
		return nil
	case len(p.Show.Databases) > 0:
		return p.Show.Databases
	}
	p.Show.Found = names.FindDatabases(os.Getenv("HOME"))
	return p.Show.Found
}

// openDatabases opens them.
func (p *program) openDatabases() (names.Databases, error) {
	all, bad, err := names.OpenDatabases(p.Show.Databases, p.Show.Found)
	if err != nil {
		return nil, fmt.Errorf("Bad %w", err)
	}
	for _, err := range bad {
		fmt.Fprintf(p.stderr, "Warning: bad %s\n", record.Printable(err.Error()))
	}
	if p.Show.Owners && len(all) == 0 && !p.Show.AsDNS {
		fmt.Fprintln(p.stderr,
			"Warning: no MMDB file with AS numbers in the usual places: --mmdb names one, --as-dns asks the DNS")
	}
	return all, nil
}

// lookUp begins to look up, in the background, what will be shown of the address that answered.
func (p *program) lookUp(r trace.Result) {
	if r.Reply == nil || r.Reply.Kind == packet.KindOther {
		return
	}
	a := r.Reply.From()
	p.resolve.Start(a)
	if p.Show.Owners {
		p.resolve.StartOwner(a)
	}
}

// owner tells reports who owns an address; nil where that isn't wanted.
func (p *program) owner(ctx context.Context) func(netip.Addr) (record.Owner, bool) {
	if !p.Show.Owners {
		return nil
	}
	return func(a netip.Addr) (record.Owner, bool) {
		o, ok := p.resolve.Owner(ctx, a)
		return record.Owner{ASN: o.ASN, Name: o.Name, Country: o.Country}, ok
	}
}
