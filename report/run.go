package report

import (
	"net/netip"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Run describes the run that a report is about, for the formats that are read far from where they were made.
type Run struct {
	// Trace is the record of the run, without names and owners. A report reads its Header when the report begins, and the
	// rest when the report is to be finished. The results are those that the report is given.
	*record.Trace

	// Name is the name of an address, "" where it has none. It may block for a short while. nil: nothing has a name.
	Name func(netip.Addr) string

	// Owner tells whose network an address is in, where that is known. nil: of no address.
	Owner func(netip.Addr) (record.Owner, bool)

	// Searched are the results of the search for all paths, when the report is to be finished. nil: nobody kept them.
	Searched []trace.Result
}

// NameOf is the name of an address, "" where it has none but itself.
func (r *Run) NameOf(a netip.Addr) string {
	if r.Name == nil {
		return ""
	}
	name := r.Name(a)
	if name == a.String() {
		return ""
	}
	return name
}

// OwnerOf tells whose network an address is in, where that is known.
func (r *Run) OwnerOf(a netip.Addr) (record.Owner, bool) {
	if r.Owner == nil {
		return record.Owner{}, false
	}
	return r.Owner(a)
}

// Identify fills in the names and owners of all who answered, in the record of a run that is over.
func (r *Run) Identify() {
	known := r.Record(r.Results)
	r.Names, r.Owners = known.Names, known.Owners
}
