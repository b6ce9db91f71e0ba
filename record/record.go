package record

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/trace"
)

// Header is what is known of a measurement before its first probe: what was asked for, and of which host.
type Header struct {
	Version   string // of the program
	Started   time.Time
	Host      string // the target as the user typed it
	Service   string // the name of its port; "": none
	Hostname  string // of this machine; "": not known
	Interface string // that the probes leave by
	// Kind is that of the interface, as ip-link(8) has it: veth, bridge, ...; "": a device, or not known.
	Kind string

	Path   trace.PathOptions // with target and source
	Length int               // of a probe in bytes; 0: not known
	// Connections: the probes are the kernel's own connections, as for users without privileges. Of their packets no more
	// is known than of trace.ByKernel.
	Connections bool
	Mark        uint32 // firewall mark of the probes; 0: none
	Numeric     bool   // no names are looked up
	OwnersAsked bool   // the owners of addresses are looked up
}

// SameKernel reports whether the probes leave by an interface that hands packets to another network namespace of this
// kernel, as a container's does. With them goes the hash that the kernel draws for each connection, and routers there
// may go by that, and not by the ports; the probes have none.
func (h *Header) SameKernel() bool { return h.Kind == "veth" || h.Kind == "netkit" }

// Target is the host as typed, and its address if that is another.
func (h *Header) Target() string {
	if a := h.Path.Target.Addr().String(); a != h.Host {
		return h.Host + " (" + a + ")"
	}
	return h.Host
}

// Trace is a whole measurement as plain values. It holds all that a report needs: a saved one shows what the live one
// showed.
type Trace struct {
	Header

	// Results are the outcomes of all probes, and the notices, in the order in which they became known.
	Results []trace.Result

	// Inferred says who stands at TTLs that this trace doesn't show, by traces to other targets that go the same way. It
	// is no evidence for anything.
	Inferred map[int]netip.Addr

	Names  map[netip.Addr]string // of addresses that answered, if they have one
	Owners map[netip.Addr]Owner  // of addresses that answered, as far as they are known

	Findings    []detect.Finding  // what the answers say about the path; nil: nobody looked
	Explanation *detect.Diagnosis // how the findings came about; nil: nobody asked
	MTU         *MTU              // nil: nobody asked
	Graph       *trace.Graph      // all paths to the target; nil: nobody asked
	Rounds      *Rounds           // the figures of rounds, which keep no Results; nil: it is one trace

	Ending Ending
}

// MTU is what a search for the path's MTU has found.
type MTU struct {
	trace.MTU
	InSession bool // it was measured inside a connection; outside of one, silence may have other reasons
}

// Ending is how a measurement ended.
type Ending struct {
	Time     time.Time
	Reason   Reason
	Signal   string // the name of the signal that interrupted it, else ""
	Err      error  // what ended it before its time; nil: nothing did
	ExitCode int
	Counts   trace.Counts
}

// Reason is why a measurement ended.
type Reason string

const (
	Complete    Reason = "complete"    // everything that was to be learned was
	Spared      Reason = "spared"      // the same, but for hops that were asked less to spare the target
	TimedOut    Reason = "timeout"     // it took longer than a target of a list may take
	Interrupted Reason = "interrupted" // by the user
	NotSent     Reason = "not_sent"    // this host could not send
	Broken      Reason = "error"       // anything else
)

// Whole reports whether a measurement came to its own end.
func (r Reason) Whole() bool { return r == Complete || r == Spared }

// Owner is who runs the network that an address is in.
type Owner struct {
	ASN     uint32 // 0: not known
	Name    string
	Country string // two letters; "": not known
}

// NameOf is the name of an address, "" if it has none but itself.
func (t *Trace) NameOf(a netip.Addr) string {
	name := t.Names[a]
	if name == a.String() {
		return ""
	}
	return name
}

// usualQueries is for how many probes an entry of a fold has room from the beginning, at the most.
const usualQueries = 100

// Fold folds the results into hops.
func (t *Trace) Fold() *Fold {
	f := NewFold(trace.NewTrace(t.Path))
	f.unsent = t.Ending.Reason == NotSent && len(t.Results) == 0
	f.queries = min(t.Path.Effective().Queries, usualQueries)
	for _, r := range t.Results {
		f.Add(r)
	}
	f.Finish()
	return f
}
