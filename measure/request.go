package measure

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// DefaultPort is the target's port if none is given.
const DefaultPort = 80

// Request is what is to be measured. The zero value of all but Host is what the command does without options.
type Request struct {
	Host   string       // a name or an address
	Port   uint16       // of the target; 0: DefaultPort
	Family names.Family // IPv4 or IPv6 only; names.Any: IPv4 if this host has it

	// Path says what is probed, and how. Its Target is where Host is, if that is known already. Its Source is the address
	// and the port to send from; without an address, or a port, it is of the kernel's choice.
	Path trace.PathOptions

	PreferredPort uint16 // the source port to take if none is given and nobody uses it; 0: the kernel's choice

	AnyPort   bool   // take the source port even if others use it
	TrackPort bool   // take a new source port for each probe, unless one is given
	HostSYN   bool   // SYNs look like those of this host's own connections
	MSS       uint16 // the maximum segment size that the SYNs tell; 0: none, or with HostSYN what the interface allows

	InSession bool // send the probes inside an open connection, if there can be one
	// Overhear makes the probes belong to a connection of another program on this host, between Path.Source and
	// Path.Target. They go to the routers, and not as far as the target: the connection is not disturbed.
	Overhear bool

	MTU     bool // after the trace, search for the path's MTU
	Paths   *Paths
	Rounds  *Rounds
	Explain bool // ask further, of the network and of this host, why the path ends as it does

	// Unjudged leaves the record without findings, unless Explain asks for them: they take as much of the processor as a
	// few probes.
	Unjudged bool

	Listener
}

// SameFlow asks for the flow of a trace before, if its source port is free: routers that share out flows then send the
// new trace the same way.
func (r *Request) SameFlow(before *record.Trace) {
	if p := before.Path; len(p.Ports) == 0 && p.Session == nil {
		r.PreferredPort, r.Path.LabelSeed = p.Source.Port(), p.LabelSeed
	}
}

// Paths ask for all paths to the target, after the trace.
type Paths struct {
	Flows      int     // at the most; 0: trace.MostFlows
	TargetSYNs int     // SYNs that the target gets at the most; 0: trace.DefaultTargetSYNs
	Confidence float64 // of each node that no successor is missing; 0: trace.DefaultConfidence
	Probes     int     // of each branch at the least, to measure loss; 0: trace.DefaultLossProbes, below 0: none
}

// Rounds ask for a trace that goes on round by round, see [Measurement.Watch]. With Paths, [Measurement.Trace] goes
// rounds by all paths, after the search for them.
type Rounds struct {
	Interval time.Duration // of a round; 0: trace.DefaultInterval
	Count    int           // 0: without end
	Persist  bool          // go on however many probes can't be sent
	Once     bool          // the figures are judged once, in the end; else again and again, as on a screen
}

// Listener is told what happens. Each function may be nil. They are called one at a time, and hold the measurement up.
type Listener struct {
	// Heard is called with each result of a trace at once. A trace inside a connection may turn out to be of no use, and
	// then begins anew.
	Heard func(trace.Result)

	// Seen is called with each result that belongs to the record.
	Seen func(trace.Result)

	// Round is called with each result of the rounds by all paths, see Progress.Watched.
	Round func(trace.Result)

	// Observe is called with each packet that is sent or received.
	Observe func(trace.Event)

	// Progress is called with what is being done.
	Progress func(Progress)
}

func (l *Listener) progress(p Progress) {
	if l.Progress != nil {
		l.Progress(p)
	}
}

// A Progress is what a measurement is about to do, or has done.
type Progress struct {
	Stage     Stage
	Questions []detect.Question // Announcing
	Most      int               // at the most: probes (Announcing, MeasuringPaths), SYNs (Connecting) or flows
	Least     int               // MeasuringPaths: probes, at the least
	Unknown   []string          // Lacking: a sentence each
	Interface string            // Routed: that the probes leave by
	Elsewhere string            // Routed: that connections leave by, if a routing rule sends them another way; else ""
	// OtherSources are where this host's connections from other source ports leave from (Routed, if all paths are asked
	// for); nil: from nowhere else.
	OtherSources []netip.Addr
	ForMTU       bool               // NoSession, SessionLost: it was for the search for the MTU
	Err          error              // Failed, NoSession, SessionLost
	Watched      *trace.PathsRounds // WatchingPaths: for the goroutine that calls Progress and Round
	Moved        time.Time          // WatchingPaths: when a flow was elsewhere, so that all were searched again; or zero
	Trace        *record.Trace      // Traced and later: what is known by now
}

// Stage is a part of the work.
type Stage uint8

const (
	Routed         Stage = iota // the way out is known
	Overhearing                 // packets of a connection are waited for
	NoSession                   // there is no connection to probe in, and SYNs are sent: Err says why
	InSession                   // a trace inside a connection begins: nothing is seen before its end
	SessionLost                 // the connection is of no use, and SYNs are sent: Err says why
	Connecting                  // an ordinary connection is asked for
	Tracing                     // the trace begins: its Header is final
	Traced                      // the trace is over
	FoundMTU                    // the path's MTU was searched for
	SearchingPaths              // all paths are searched for
	MeasuringPaths              // their loss is measured
	WatchingPaths               // they are watched round by round
	PathsMoved                  // a flow takes another way than was found, and all are searched again
	SizingPaths                 // how large a packet passes each of them, Most in all
	FoundPaths                  // that is over
	Awaiting                    // what comes of the ordinary connection is waited for, until Done
	AwaitingAgain               // the same, of a second one
	Lacking                     // Unknown says what can't be asked or seen
	Asking                      // questions are asked, until Done
	Announcing                  // more of them than was said before
	Failed                      // no more can be asked: Err says why
	Done                        // what was waited for is over
)

// A RouteError says that this host has no way to the target: nothing can be sent.
type RouteError struct {
	Zone string // of the target, if there is no such interface; else ""
	Err  error
}

func (e *RouteError) Error() string { return "no way to the target: " + e.Err.Error() }

func (e *RouteError) Unwrap() error { return e.Err }

// Ruled reports whether a rule or a route of this host prohibits the target, or rejects or discards what is sent to it.
// A link-local target without a zone gets the error of the latter, too.
func (e *RouteError) Ruled(target netip.Addr) bool {
	return errors.Is(e.Err, syscall.EACCES) || errors.Is(e.Err, syscall.EHOSTUNREACH) ||
		errors.Is(e.Err, syscall.EINVAL) && !target.IsLinkLocalUnicast()
}

// A SourceError says that packets can't be sent from an address.
type SourceError struct {
	Addr   netip.Addr
	Reason Doubt
	Device string // ElsewhereSource: the interface
}

func (e *SourceError) Error() string { return fmt.Sprintf("packets can't be sent from %v", e.Addr) }

// A PortError says that the source port is in use, or can't be taken.
type PortError struct{ Port uint16 }

func (e *PortError) Error() string { return fmt.Sprintf("source port %d is in use", e.Port) }

// Doubt is a reason why answers may not find the way back.
type Doubt uint8

const (
	NoDoubt         Doubt = iota
	LoopbackDevice        // the probes go by the loopback interface, and the target is not this host
	LoopbackSource        // no other host can answer a loopback address
	ForeignSource         // no interface of this host has the source address
	ElsewhereSource       // an interface has it, and not the one that was chosen
	NobodysTarget         // the target is 0.0.0.0 or ::, see ErrUnspecified
)

// ConnectWait is how long a probe that is a connection waits for its answer.
const ConnectWait = wire.ConnectWait
