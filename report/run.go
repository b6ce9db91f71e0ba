package report

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/trace"
)

// Run describes the run that a report is about, for the formats that are read far from where they were made.
type Run struct {
	Version   string // of the program
	Started   time.Time
	Host      string // the target as the user typed it
	Service   string // the name of its port; "": none
	Hostname  string // of this machine; "": not known
	Interface string // that the probes leave by

	Path   trace.PathOptions // with target and source
	Length int               // of a probe in bytes; 0: not known
	// probes are the kernel's own connections: of their packets no more is known than of trace.ByKernel
	Connections   bool
	Strict, Loose bool
	Mark          uint32 // firewall mark of the probes; 0: none
	Numeric       bool   // no names are looked up

	// Name is the name of an address, "" where it has none. It may block for a short while. nil: nothing has a name.
	Name func(netip.Addr) string

	// Owner tells whose network an address is in, where that is known. nil: of no address.
	Owner func(netip.Addr) (Owner, bool)

	// Findings are what the answers say about the path. It is called when the report is to be finished. nil: nobody
	// looked.
	Findings func() []detect.Finding

	// Diagnosis is how the findings came about. It is called when the report is to be finished. nil: nothing was asked
	// for that.
	Diagnosis func() detect.Diagnosis

	// Ending tells how the run ended. It is called when the report is to be finished, and not before.
	Ending func() Ending
}

// Owner is who runs the network that an address is in.
type Owner struct {
	ASN     uint32 // 0: not known
	Name    string
	Country string // two letters; "": not known
}

// Ending is how a run ended.
type Ending struct {
	Time     time.Time
	Reason   Reason
	Signal   string // the name of the signal that interrupted the run, else ""
	Err      error  // what ended the run before its time, nil where nothing did
	ExitCode int
	Counts   trace.Counts
}

// Reason is why a run ended.
type Reason string

const (
	Complete    Reason = "complete"    // everything that was to be learned was
	Interrupted Reason = "interrupted" // by the user
	NotSent     Reason = "not_sent"    // this host could not send
	Broken      Reason = "error"       // anything else
)

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
func (r *Run) OwnerOf(a netip.Addr) (Owner, bool) {
	if r.Owner == nil {
		return Owner{}, false
	}
	return r.Owner(a)
}

// Target is the host as typed, and its address where that is another.
func (r *Run) Target() string {
	if a := r.Path.Target.Addr().String(); a != r.Host {
		return r.Host + " (" + a + ")"
	}
	return r.Host
}
