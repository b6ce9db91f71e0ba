package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// showConfig is what is told of each hop beside addresses and times.
type showConfig struct {
	extensions bool

	owners    bool
	asDNS     bool     // the DNS may be asked for owners
	databases []string // of owners, that the user names; without any the usual ones
	found     []string // the usual ones that are there
}

func showOptions() []option {
	return []option{
		{short: 'e', long: "extensions", shows: true,
			help: "show what routers say beside their answer: MPLS labels, the interface that a packet came by, the MTU that " +
				"it is too big for", set: do(func(c *config) { c.show.extensions = true })},
		{short: 'a', shows: true,
			help: "show number and name of the AS that each hop is in, and the country, by MMDB files of MaxMind, " +
				"DB-IP or IPinfo; without --mmdb those in the usual places, such as /usr/share/GeoIP",
			set: do(func(c *config) { c.show.owners = true })},
		{long: "mmdb", arg: "file", help: "look owners up in this MMDB file, may be given more than once; implies -a",
			set: func(c *config, v string) error {
				if v == "" {
					return errors.New("Argument of --mmdb must be the name of a file")
				}
				c.show.owners = true
				c.show.databases = append(c.show.databases, v)
				return nil
			}},
		{long: "as-dns", help: "ask the DNS who owns public addresses that no MMDB file knows (Team Cymru, who thereby see " +
			"the addresses that you trace); implies -a", set: do(func(c *config) { c.show.owners, c.show.asDNS = true, true })},
	}
}

// findDatabases are the files to look owners up in.
func (p *program) findDatabases() []string {
	switch {
	case !p.show.owners:
		return nil
	case len(p.show.databases) > 0:
		return p.show.databases
	}
	p.show.found = names.FindDatabases(os.Getenv("HOME"))
	return p.show.found
}

// openDatabases opens them. What the user names must be good; of the usual ones the good are taken.
func (p *program) openDatabases() ([]*names.Database, error) {
	var all []*names.Database
	for _, path := range p.show.databases {
		d, err := names.OpenDatabase(path)
		if err != nil {
			return all, fmt.Errorf("Bad %w", err)
		}
		all = append(all, d)
	}
	for _, path := range p.show.found {
		d, err := names.OpenDatabase(path)
		if err != nil {
			fmt.Fprintf(p.stderr, "Warning: bad %s\n", quoted(err.Error()))
			continue
		}
		all = append(all, d)
	}
	if p.show.owners && len(all) == 0 && !p.show.asDNS {
		fmt.Fprintln(p.stderr,
			"Warning: no MMDB file with AS numbers in the usual places: --mmdb names one, --as-dns asks the DNS")
	}
	return all, nil
}

func closeDatabases(all []*names.Database) {
	for _, d := range all {
		d.Close() // of a file that is only read
	}
}

// lookUp begins to look up, in the background, what will be shown of the address that answered.
func (p *program) lookUp(r trace.Result) {
	if r.Reply == nil || r.Reply.Kind == packet.KindOther {
		return
	}
	a := r.Reply.From()
	p.resolve.Start(a)
	if p.show.owners {
		p.resolve.StartOwner(a)
	}
}

// owner tells reports who owns an address; nil where that isn't wanted.
func (p *program) owner(ctx context.Context) func(netip.Addr) (record.Owner, bool) {
	if !p.show.owners {
		return nil
	}
	return func(a netip.Addr) (record.Owner, bool) {
		o, ok := p.resolve.Owner(ctx, a)
		return record.Owner{ASN: o.ASN, Name: o.Name, Country: o.Country}, ok
	}
}
