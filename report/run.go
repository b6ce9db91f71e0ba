package report

import (
	"net/netip"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Run describes the run that a report is about, for the formats that are read far from where they were made.
type Run struct {
	record.Header

	// Name is the name of an address, "" where it has none. It may block for a short while. nil: nothing has a name.
	Name func(netip.Addr) string

	// Owner tells whose network an address is in, where that is known. nil: of no address.
	Owner func(netip.Addr) (record.Owner, bool)

	// Findings are what the answers say about the path. It is called when the report is to be finished. nil: nobody
	// looked.
	Findings func() []detect.Finding

	// Diagnosis is how the findings came about. It is called when the report is to be finished. nil: nothing was asked
	// for that.
	Diagnosis func() detect.Diagnosis

	// MTU is what a search for the path's MTU has found. It is called when the report is to be finished. nil: nobody
	// asked.
	MTU func() *record.MTU

	// Graph is all paths to the target. It is called when the report is to be finished. nil: nobody asked.
	Graph func() *trace.Graph

	// Searched are the results of the search for all paths. It is called when the report is to be finished. nil: nobody
	// kept them.
	Searched func() []trace.Result

	// Ending tells how the run ended. It is called when the report is to be finished, and not before.
	Ending func() record.Ending
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
