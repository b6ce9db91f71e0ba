package trace

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"go.example/tcptraceroute/packet"
)

// Options are what the engine needs to know.
type Options struct {
	// Pace, if it is set, limits how fast probes leave. Runs that share a Conn share its Pace too.
	Pace *Pace

	// Wake asks the plan again whenever a value comes: something has changed that the plan decides by, other than what it
	// learns. As long as Wake is open the run goes on though the plan has nothing to do; close it, and the run ends as
	// others do.
	Wake <-chan struct{}

	// Persist goes on however many probes in a row can't be sent: for traces that wait for a link to come back.
	Persist bool

	// Fault, where it is set, is asked why a probe got no answer, when none that was sent later got one: an error says
	// what our own host knows (a next hop that does not resolve). See [Faulter].
	Fault func(p packet.Probe, unreachable bool) error

	// Zone is where link-local addresses live that answer: the interface that the probes leave by. A target with a zone
	// has its own.
	Zone string

	// NewTimer, where it is set, makes a timer that is better than Go's; nil where there is none.
	NewTimer func() Timer

	// Napper, where it is set, is the Conn itself: as long as Pace lets nothing leave it takes less time to look for
	// answers now and then. With few packets, the runtime's monitoring thread, which a nap keeps awake, takes more than
	// that spares.
	Napper Napper

	// Observe, where it is set, sees every packet sent and received.
	Observe func(Event)
}

const (
	// A host whose sends fail is not hammered, so that a link that comes back finds the trace still there.
	sendErrorPause = 100 * time.Millisecond
	sendErrorLimit = 20

	// A gap this much longer than was meant is no scheduling delay: the program was stopped. What waits in the socket is
	// read first, for stallGrace, and what was due in between is Unknown and not Lost.
	stallGap   = 500 * time.Millisecond
	stallGrace = 100 * time.Millisecond

	// A pause shorter than this is a nap, see Napper: it delays what is made of an answer, and the end of a context.
	longestNap = 3 * time.Millisecond

	// With a Pace so many probes are decided on before they are sent one after the other: to go to and fro between plan
	// and network takes more time.
	sentTogether = 16

	// For a plan that asks to be woken in the past.
	minPause = 100 * time.Microsecond

	receiveQueue = 256
	packetSize   = 9216 // more than any ICMP error may be (RFC 4443: 1280), for routers that quote a jumbo frame whole
)

// ErrNextHop is why a probe failed that our own kernel could not deliver to the first router: it answered with a host
// unreachable in its own name.
var ErrNextHop = errors.New("next hop unreachable")

// ErrUnreachable is why a probe failed that our own kernel answered with a host unreachable at once: it has not looked
// for a next hop in vain, so a rule of its own may say so.
var ErrUnreachable = errors.New("this host itself says host unreachable")

// neighbourWait is more than our own kernel takes to say host unreachable, unless it has looked for a next hop: Linux
// takes 3 s for that.
const neighbourWait = 500 * time.Millisecond

// ErrReceiving is in the chain of the error of a run that can't receive any more.
var ErrReceiving = errors.New("receiving")

// always is a channel that is ready at once.
var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// A SendError ends a run after many probes in a row failed in the same way, or in which every probe failed.
type SendError struct {
	Probes int
	Err    error
}

func (e *SendError) Error() string {
	if e.Probes == 1 {
		return fmt.Sprintf("1 probe could not be sent: %v", e.Err)
	}
	return fmt.Sprintf("%d probes in a row could not be sent: %v", e.Probes, e.Err)
}

func (e *SendError) Unwrap() error { return e.Err }

// Run carries out a plan on a network until the plan has come to its end, ctx ends, or nothing more can be learned.
// Every probe's outcome goes to emit, in the order in which it becomes known, from the goroutine that called Run. The
// error is ctx's cause, a *SendError, or ErrReceiving with its reason. Run leaves no goroutine behind.
func Run(ctx context.Context, conn Conn, plan Plan, o Options, emit func(Result)) (Counts, error) {
	e := &engine{conn: conn, plan: plan, o: &o, emit: emit, m: newMatcher(), wake: o.Wake}
	_, e.synthetic = conn.(Synthetic)
	e.dedup.seed = maphash.MakeSeed()
	receiving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	in := newInbox()
	wg.Go(func() { in.fill(receiving, conn) })
	timer := newTimer(&o)
	wg.Go(timer.Run)
	err := e.run(ctx, in, timer)
	timer.Stop()
	stop()
	wg.Wait()
	e.countLosses(time.Now())
	return e.counts, err
}

func newTimer(o *Options) Timer {
	if o.NewTimer != nil {
		if a := o.NewTimer(); a != nil {
			return a
		}
	}
	return goAlarm{time.NewTimer(time.Hour)}
}
