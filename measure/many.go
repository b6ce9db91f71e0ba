package measure

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Many is a request to trace many targets in one run, some of them at a time. Targets, LookUp, Done and Bad have to be
// filled in.
type Many struct {
	// Request is what is asked for of each target: Family, Path, HostSYN, MSS, Rounds, and of its Listener Observe. Of
	// Path the Source may have an address, and no port: all targets share a few source ports. Rounds without a
	// Count go on until ctx ends; ErrEnough as its cause is no error then, and all targets have to be open.
	Request Request

	Targets iter.Seq2[targets.Target, error]                             // in the order in which they are to be begun
	LookUp  func(ctx context.Context, host string) ([]netip.Addr, error) // finds the addresses of a name

	// Header is what is known of each trace beforehand; the rest is filled in.
	Header record.Header

	Exclude  *targets.Set              // what must not be probed; nil: nothing
	Skip     func(targets.Target) bool // targets that were traced before; nil: none
	Service  func(port uint16) string  // the name of a port; nil: it has none
	Findings bool                      // each trace's answers are looked at for what they say about the path

	// Explain traces targets that were not reached once more, when all have been traced, and asks why: MostExplained at
	// the most. They are Done only then. The target of Explaining is the one that Progress is about; before the first it
	// is nil.
	Explain    bool
	Explaining func(Explaining)

	Rate    int           // packets a second, over all targets; 0: DefaultRate
	Open    int           // targets at the same time; 0: a tenth of Rate, from 16 to 300; with Rounds 1
	Nearby  int           // of them, in one network; 0: 2, as trace.TargetsOptions says
	Timeout time.Duration // of a target; 0: as long as it takes
	Grace   time.Duration // how long targets that are open may go on when ctx has ended

	// Seen is called with each result as it comes, with the target's index; nil: nobody wants them.
	Seen func(index int, r trace.Result)

	// Begun is called with each target whose trace begins, and says how it is traced; nil: nobody wants to know.
	Begun func(index int, path trace.PathOptions)

	// Done is called with each target that has come to its end, one after the other, by a goroutine of its own. While it
	// is far behind no target is begun.
	Done func(record.Listed)

	// Bad is called with each line that could not be read.
	Bad func(error)

	lent   bool            // see Options.Lent
	rounds []*trace.Rounds // that were begun
	pace   *trace.Pace
	mu     sync.Mutex
	status record.ManyStatus
	ends   detect.Ends
	seen   seenTargets // targets that were begun, or are about to be
}

const (
	// DefaultRate is how many packets a second leave if nobody says how many. With lent privileges it is 200, and never
	// more.
	DefaultRate = 1000

	// manyBurst is how many packets may leave at once. With lent privileges there is no burst.
	manyBurst = 16

	// A tenth of the rate is so many targets that even silent ones, of which each takes 3 seconds, use the rate up. More
	// than mostOpen make each other slower, unless nearly all are silent: the processor can't send more. And they take
	// memory.
	openShare           = 10
	leastOpen, mostOpen = 16, 300
)

// SetRate changes how many packets a second leave, and returns how many that are now. Any goroutine may call it when
// the run has begun.
func (m *Many) SetRate(perSecond int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Rate = max(perSecond, 1)
	burst := manyBurst
	if m.lent {
		m.Rate, burst = min(m.Rate, userRate), 1
	}
	if m.pace == nil {
		m.pace = trace.NewPace(float64(m.Rate), burst)
	}
	m.pace.Set(float64(m.Rate), burst)
	return m.Rate
}

// Hold keeps the rounds of all targets from going on, or no longer. Any goroutine may call it.
func (m *Many) Hold(held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rounds {
		r.Hold(held)
	}
}

// SetInterval changes the time of a round of all targets. Any goroutine may call it.
func (m *Many) SetInterval(interval time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rounds {
		r.SetInterval(interval)
	}
}

// mostUnsent is how many targets in a row this host may be unable to send anything to: then it can't send at all.
const mostUnsent = 20

// Status is how far the run is. Any goroutine may call it.
func (m *Many) Status() record.ManyStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Rate = m.Rate
	return s
}

func (m *Many) count(change func(*record.ManyStatus)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.status)
}

// mostLookUps is how many names are looked up at the same time, ahead of the tracing.
const mostLookUps = 16

// mostBehind is how many targets Done may be behind when another is begun.
const mostBehind = 64

// mostReady is how many targets are ready to be traced before their turn.
const mostReady = 64

// ready is a target that may be traced.
type ready struct {
	targets.Target
	index int
	addr  netip.AddrPort
	why   record.Why // it can't be traced
	err   error
}

// manyRun is one run of Many.
type manyRun struct {
	*Many
	t        *Tracer
	plan     *trace.Targets
	ready    chan ready
	finished chan record.Listed // it has room for all that may be open
	wake     chan struct{}
	open     map[int]*opened // by their numbers in the plan
	ports    map[netip.Addr][]uint16

	gateways map[gatewayKey]*gateway
	near     near
	awaiting bool // targets wait for one of them

	unconfirmed []unconfirmed

	feeding     context.Context
	stopFeeding context.CancelFunc
	fed         atomic.Bool // no more are handed over
	waking      sync.Mutex
	asleep      bool // wake is closed

	sample      sample          // to be explained
	explainable map[int]*opened // how those were traced that may be explained, by their indexes
	unsent      int             // how many targets in a row nothing could be sent to
	err         error           // what ended the run; nil: nothing did
}

// opened is a target that is being traced.
type opened struct {
	target  ready
	trace   *record.Trace
	rounds  *trace.Stats // nil: the results are kept
	failed  error        // why a probe could not be sent, the last
	gateway *gateway     // at hop 1; nil: nothing is taken over
	first   bool         // it has answered a probe of this target

	budget        *trace.TargetBudget // of the SYNs that the target may get; nil: it has none
	plan          trace.Plan          // that is held to it
	spared, short bool                // see detect.View
}

// Ready fills in the defaults of what is to be traced over t. Many calls it.
func (t *Tracer) Ready(m *Many) {
	m.lent = t.o.Lent
	switch {
	case m.Rate == 0 && m.lent:
		m.Rate = userRate
	case m.Rate == 0:
		m.Rate = DefaultRate
	}
	m.SetRate(m.Rate)
	switch {
	case m.Open != 0:
	case m.Request.Rounds != nil: // side by side, targets use up what near routers answer, which looks like loss
		m.Open = 1
	default:
		m.Open = min(max(m.Rate/openShare, leastOpen), mostOpen)
	}
}

// Many traces many targets. It needs raw sockets ([Options].RawOnly). When ctx ends it begins no more, gives those that
// are open m.Grace, and returns ctx's cause. It then doesn't wait for m.Targets, which may wait for its reader: the
// iterator's goroutine ends when that yields. Another error ended the run before its time, or is [ErrNoneSent]. Targets
// that were not reached are no error, but change the exit code.
func (t *Tracer) Many(ctx context.Context, m *Many) (record.ManyEnd, error) {
	t.Ready(m)
	m.seen = newSeenTargets()
	if m.Request.Path.Rand == nil { // one for all
		m.Request.Path.Rand = newRand()
	}
	r := &manyRun{Many: m, t: t, ready: make(chan ready, mostReady), wake: make(chan struct{}, 1),
		open: make(map[int]*opened), ports: make(map[netip.Addr][]uint16),
		gateways: make(map[gatewayKey]*gateway), near: newNear(), explainable: make(map[int]*opened)}
	r.plan = trace.NewTargets(trace.TargetsOptions{Open: m.Open, Nearby: m.Nearby, Timeout: m.Timeout,
		Next: r.next, Over: r.over, Hold: func() bool { return len(r.finished) >= mostBehind }})
	r.finished = make(chan record.Listed, mostBehind+m.Open+2*mostAwaiting+1)
	var hearing sync.WaitGroup
	hearing.Go(r.hearDone)
	defer hearing.Wait()
	defer close(r.finished)
	feeding, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	r.stopFeeding = stopFeeding
	r.feeding = feeding
	go r.feed(feeding)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		r.plan.Stop(time.Now().Add(m.Grace))
		r.ring()
	})()
	o := m.Request.Path.RunOptions(t.conn)
	o.Zone, o.Pace, o.Observe, o.Wake = t.o.Wire.Interface, m.pace, m.Request.Observe, r.wake
	if raw, ok := t.conn.(*wire.Conn); ok {
		o.Napper = raw
	}
	o.Persist = true // a target whose probes can't be sent says nothing of the next
	counts, err := trace.Run(running, t.guarded(), r, o, r.result)
	for _, g := range r.gateways {
		r.settleAwaiting(g)
	}
	r.confirm(time.Now().Add(2 * longestAwaiting)) // no other trace says anything any more
	m.count(func(s *record.ManyStatus) { s.Sent, s.LostHere, s.Open = counts.Sent, counts.LostHere, 0 })
	counts.Sent += r.explainSample(ctx, err == nil && r.err == nil)
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrEnough) {
		cause = nil
	}
	return m.end(ctx, counts, cmp.Or(err, r.err, cause))
}

// ErrNoneSent ends a run of many targets, none of which anything could be sent to.
var ErrNoneSent = errors.New("This host could send to none of the targets")

// end says how a run ended that counted this and came to err.
func (m *Many) end(ctx context.Context, counts trace.Counts, err error) (record.ManyEnd, error) {
	c := m.Status().ManyCounts
	switch {
	case err != nil:
	case counts.NothingSent():
		err = &trace.SendError{Probes: counts.Failed, Err: errors.New("of no target")}
	case c.Unsent > 0 && c.Unsent == c.Done():
		err = ErrNoneSent
	}
	e := EndingOf(ctx, counts, c.NotReached+c.NotTraced+c.BadLines == 0, err)
	return record.ManyEnd{Ending: e, ManyCounts: c, Shared: m.ends.Shared()}, err
}

// Next implements trace.Plan.
func (r *manyRun) Next(now time.Time) trace.Action {
	if r.awaiting {
		r.awaitNoLonger(now)
	}
	a := r.plan.Next(now)
	if r.plan.Open() == 0 && (r.stopped() || r.fed.Load() && len(r.ready) == 0) {
		r.lastWake() // nothing can come any more
	}
	return a
}

// Learn implements trace.Plan.
func (r *manyRun) Learn(now time.Time, res trace.Result) { r.plan.Learn(now, res) }

func (r *manyRun) stopped() bool { return r.feeding.Err() != nil }

// newRand is a generator that nobody can foresee.
func newRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails (crypto/rand)
	return rand.New(rand.NewChaCha8(seed))
}

// ring wakes the engine.
func (r *manyRun) ring() {
	r.waking.Lock()
	defer r.waking.Unlock()
	if r.asleep {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// lastWake lets the engine end when the plan has.
func (r *manyRun) lastWake() {
	r.waking.Lock()
	defer r.waking.Unlock()
	if !r.asleep {
		r.asleep = true
		close(r.wake)
	}
}

// feed reads the targets, looks up their names, and hands them over.
func (r *manyRun) feed(ctx context.Context) {
	var lookUps sync.WaitGroup
	places := make(chan struct{}, mostLookUps)
	defer func() {
		lookUps.Wait()
		r.count(func(s *record.ManyStatus) { s.All = true })
		r.fed.Store(true)
		r.ring()
	}()
	index := 0
	for t, err := range r.Targets {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !errors.As(err, new(*targets.NoListError)) { // the lines that it is about are counted
				r.count(func(s *record.ManyStatus) { s.BadLines++ })
			}
			r.Bad(err)
			continue
		}
		index++
		r.count(func(s *record.ManyStatus) { s.Read++ })
		next := ready{Target: t, index: index, addr: netip.AddrPortFrom(t.Addr, t.Port)}
		switch {
		case r.Skip != nil && r.Skip(t):
			r.count(func(s *record.ManyStatus) { s.Resumed++ })
		case t.Addr.IsValid():
			r.hand(ctx, next)
		case r.Excluded(t):
			r.count(func(s *record.ManyStatus) { s.Excluded++ })
		default:
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			lookUps.Go(func() {
				defer func() { <-places }()
				addrs, err := r.LookUp(ctx, t.Host)
				if err == nil {
					next.addr = netip.AddrPortFrom(addrs[0], t.Port)
				} else {
					next.why, next.err = record.NotFound, err
				}
				r.hand(ctx, next)
			})
		}
	}
}

// Excluded reports whether a target must not be probed, as far as that is known before its name is looked up.
func (m *Many) Excluded(t targets.Target) bool {
	switch {
	case m.Exclude == nil:
		return false
	case t.Addr.IsValid():
		return m.Exclude.Has(netip.AddrPortFrom(t.Addr, t.Port))
	}
	return m.Exclude.HasName(t.Host, t.Port)
}

// Gather reads the targets, each once, without those that must not be traced or were traced before: all of them, or one
// more than most. bad are the lines that could not be read.
func (m *Many) Gather(most int) (all []targets.Target, bad []error) {
	known := make(map[string]bool)
	for t, err := range m.Targets {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		name := fmt.Sprintf("%s %d", strings.ToLower(t.Host), t.Port)
		if known[name] || m.Skip != nil && m.Skip(t) || m.Excluded(t) {
			continue
		}
		known[name] = true
		if all = append(all, t); len(all) > most {
			break
		}
	}
	return all, bad
}

// hand hands a target to the engine, unless it must not be traced or was before.
func (r *manyRun) hand(ctx context.Context, t ready) {
	if t.why == record.WasTraced {
		switch excluded, again := r.Exclude != nil && r.Exclude.Has(t.addr), r.again(t.addr); {
		case excluded && t.Addr.IsValid():
			r.count(func(s *record.ManyStatus) { s.Excluded++ })
			return
		case excluded:
			t.why = record.Excluded
		case again && t.Addr.IsValid():
			r.count(func(s *record.ManyStatus) { s.Repeated++ })
			return
		case again:
			t.why = record.Same
		}
	}
	select {
	case r.ready <- t:
		r.ring()
	case <-ctx.Done():
	}
}

// again reports whether a target was handed over before.
func (r *manyRun) again(a netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.add(a)
}

// next is the next target for the plan.
func (r *manyRun) next() (trace.Offer, bool) {
	for {
		select {
		case t := <-r.ready:
			if t.why != record.WasTraced {
				r.done(t.listed(t.why, t.err))
				continue
			}
			return trace.Offer{Addr: t.addr.Addr(), Begin: func(number int) trace.Plan { return r.begin(number, t) }}, true
		default:
			return trace.Offer{}, false
		}
	}
}

// begin makes the plan for a target.
func (r *manyRun) begin(number int, t ready) trace.Plan {
	h := r.Header
	h.Started, h.Host = time.Now(), t.Host
	o := &opened{target: t, trace: &record.Trace{Header: h}}
	plan, err := r.planFor(o, t.addr)
	if err != nil {
		r.done(t.listed(record.NoWay, err))
		return nil
	}
	if r.Service != nil {
		o.trace.Service = r.Service(t.Port)
	}
	r.open[number] = o
	if r.Begun != nil {
		r.Begun(t.index, o.trace.Path)
	}
	r.count(func(s *record.ManyStatus) { s.Open = len(r.open) })
	return plan
}

// planFor makes the plan for a target, and fills in what is known of its way.
func (r *manyRun) planFor(made *opened, target netip.AddrPort) (trace.Plan, error) {
	if !r.Request.Family.Has(target.Addr()) {
		return nil, names.ErrFamily
	}
	if target.Addr().IsUnspecified() {
		return nil, ErrUnspecified
	}
	addr, err := asTarget(target.Addr(), r.t.o.Wire.Interface)
	if err != nil {
		return nil, err
	}
	m := &Measurement{Request: r.Request, t: r.t}
	m.Request.Progress = nil
	m.Header.Path = r.Request.Path
	o := &m.Header.Path
	o.Target = netip.AddrPortFrom(addr, target.Port())
	if s := o.Source.Addr(); s.IsValid() && s.Is4() != target.Addr().Is4() {
		return nil, names.ErrFamily
	}
	if err := m.findRoute(); err != nil {
		return nil, err
	}
	if err := m.checkSource(); err != nil {
		return nil, err
	}
	m.own = ownAddress(m.route)
	ports := r.ports[m.own]
	if ports == nil {
		var err error
		if ports, err = m.freePorts(o.SourcePorts()); err != nil {
			return nil, err
		}
		r.ports[m.own] = ports
	}
	o.Source, o.ProbePorts = netip.AddrPortFrom(m.route.Source, ports[0]), ports[1:]
	if o.LabelSeed == 0 {
		o.LabelSeed = rand.Uint64() | 1
	}
	if r.lent && o.Spacing == 0 {
		o.Spacing = userSpacing
	}
	m.shapeSYN(m.route)
	if r.Explain && m.Rounds == nil {
		m.budget = trace.NewTargetBudget(o.Target.Addr(), detect.MostSYNs)
		made.budget = m.budget
	}
	if err := m.choosePlan(); err != nil {
		return nil, err
	}
	h := &made.trace.Header
	h.Path, h.Interface, h.Length = *o, m.route.Interface, m.Header.Length
	if m.Rounds != nil {
		made.rounds = trace.NewStats(*o)
		if rounds, ok := m.plan.(*trace.Rounds); ok {
			r.count(func(*record.ManyStatus) { r.rounds = append(r.rounds, rounds) })
		}
		return m.plan, nil
	}
	if made.gateway = r.gatewayOf(&m.route, o); made.gateway == nil || made.gateway.askWhole(time.Now()) {
		return made.held(m.plan), nil
	}
	beyond, err := newBeyondFirst(m.ordinary())
	if err != nil {
		return nil, err
	}
	h.Path.FirstTTL = 2
	beyond.mayAsk = made.gateway.mayAsk
	beyond.asked = func() { h.Path.FirstTTL = 1 }
	return made.held(beyond), nil
}

// held is the plan for a target, held to the SYNs that it may get.
func (o *opened) held(plan trace.Plan) trace.Plan {
	if o.budget == nil {
		return plan
	}
	o.plan = plan
	return o.budget.Guard(plan)
}

// sparing takes in whether hops were asked less to spare a target whose trace has come to its end.
func (o *opened) sparing() {
	if o.budget == nil || o.trace.Ending.Reason != record.Complete {
		return
	}
	if o.spared, o.short = sparedBy(o.plan, o.budget); o.short {
		o.trace.Ending.Reason = record.Spared
	}
}

// result takes in what became of a probe.
func (r *manyRun) result(res trace.Result) {
	number, own := r.plan.Of(res)
	o := r.open[number]
	if o == nil {
		r.count(func(s *record.ManyStatus) { s.Late++ })
		return
	}
	o.count(&own)
	if o.rounds != nil {
		o.rounds.Add(own)
	} else {
		o.trace.Results = append(o.trace.Results, own)
	}
	if o.gateway != nil && !o.first && expiredAtFirst(&own) {
		o.first = true
		if o.gateway.learn(own.Reply.From()); !o.gateway.open() {
			r.settleAwaiting(o.gateway)
		}
	}
	if r.Seen != nil {
		r.Seen(o.target.index, own)
	}
}

// count counts a result.
func (o *opened) count(r *trace.Result) {
	c := &o.trace.Ending.Counts
	if !r.Sent.IsZero() && r.Outcome.Final() {
		c.Sent++
	}
	switch r.Outcome {
	case trace.Failed:
		c.Failed++
		o.failed = r.Err
	case trace.Late:
		c.Late++
	case trace.Duplicate:
		c.Duplicates++
	}
}

// over says that a target has come to its end.
func (r *manyRun) over(number int, whole bool) {
	o := r.open[number]
	delete(r.open, number)
	o.trace.Ending.Time, o.trace.Ending.Reason = time.Now(), record.Complete
	switch {
	case whole, errors.Is(context.Cause(r.feeding), ErrEnough):
	case r.stopped():
		o.trace.Ending.Reason = record.Interrupted
	default:
		o.trace.Ending.Reason = record.TimedOut
	}
	o.sparing()
	if g := o.gateway; g != nil && g.open() && !o.first && len(g.awaiting) < mostAwaiting {
		if len(g.awaiting) == 0 {
			g.since, r.awaiting = time.Now(), true
		}
		g.awaiting = append(g.awaiting, o)
		return
	}
	r.settle(o)
}

// settle says what came of a target.
func (r *manyRun) settle(o *opened) {
	fold := o.trace.Fold()
	o.takeOver(fold)
	r.ends.Pass(answering(fold, o.trace.Inferred))
	if o.rounds == nil && r.learnNear(o, fold) {
		return
	}
	r.settled(o, fold)
}

// settled says what came of a target when all is known of it.
func (r *manyRun) settled(o *opened, fold *record.Fold) {
	l := o.target.listed(record.WasTraced, nil)
	l.Trace, l.Fold = o.trace, fold
	if o.rounds != nil {
		l.Trace.Rounds = r.Request.Rounds.Of(o.rounds)
	}
	l.Summary = o.finish(fold, r.Findings && o.rounds == nil)
	if o.budget != nil {
		r.explainable[o.target.index] = o
	}
	r.judge(l.Summary, o.failed)
	lost := 0
	if c, ok := r.t.conn.(trace.LossCounter); ok {
		lost = c.LostHere()
	}
	r.count(func(s *record.ManyStatus) { s.Open, s.LostHere = len(r.open), lost })
	r.done(l)
}

// awaitNoLonger ends the wait for gateways that seem to be silent.
func (r *manyRun) awaitNoLonger(now time.Time) {
	r.awaiting = false
	for _, g := range r.gateways {
		if len(g.awaiting) > 0 && now.Sub(g.since) > longestAwaiting {
			g.silent = true
			r.settleAwaiting(g)
		}
		r.awaiting = r.awaiting || len(g.awaiting) > 0
	}
	r.confirm(now)
	r.awaiting = r.awaiting || len(r.unconfirmed) > 0
}

// settleAwaiting says what came of the targets that wait for a gateway's answers.
func (r *manyRun) settleAwaiting(g *gateway) {
	for _, o := range g.awaiting {
		r.settle(o)
	}
	g.awaiting = nil
}

// takeOver says who stands at hop 1, by the traces to other targets, if this one doesn't show it itself.
func (o *opened) takeOver(fold *record.Fold) {
	if o.gateway == nil || !o.gateway.sure() || fold.Last() < 2 || fold.EndTTL() == 1 {
		return
	}
	for _, r := range o.trace.Results {
		if r.Probe.TTL == 1 && r.Outcome == trace.Answered || r.Refused() && r.Reply.From() == o.gateway.addr {
			return
		}
	}
	o.trace.Inferred = map[int]netip.Addr{1: o.gateway.addr}
}

// judge ends the run when it seems that this host can send nothing.
func (r *manyRun) judge(s record.Summary, failed error) {
	if s.State != "not_sent" {
		r.unsent = 0
		return
	}
	if r.unsent++; r.unsent == mostUnsent {
		r.err = &trace.SendError{Probes: r.unsent, Err: failed}
		r.plan.Stop(time.Now())
		r.stopFeeding()
	}
}

// finish fills in what follows from the results. It returns what became of the target.
func (o *opened) finish(fold *record.Fold, findings bool) record.Summary {
	t := o.trace
	s := t.SummaryOf(fold)
	switch {
	case s.State == "not_sent":
		t.Ending.Reason, t.Ending.ExitCode = record.NotSent, 2
	case s.State == "no_answer":
		t.Ending.ExitCode = 1
	}
	if findings {
		view := detect.View{Trace: fold.Trace, Options: t.Path, Counts: t.Ending.Counts, Spared: o.spared, Short: o.short}
		t.Findings = append([]detect.Finding{}, detect.Findings(detect.Evidence{View: view})...)
	}
	return s
}

// done hands a target over to who wants it, unless it may be explained first.
func (r *manyRun) done(t record.Listed) {
	place, unreached := placeOf(&t)
	if r.Explain && unreached && r.mayExplain(&t) {
		var instead *record.Listed
		if instead = r.sample.hold(place, t); instead == nil {
			r.count(func(s *record.ManyStatus) { s.Held = r.sample.held })
			return
		}
		t = *instead
	}
	r.handOver(t)
}

// handOver counts what became of a target, and hands it over.
func (r *manyRun) handOver(t record.Listed) {
	r.count(func(s *record.ManyStatus) { s.Add(&t) })
	if end, ended := endOf(&t); ended {
		r.ends.Add(end)
	}
	delete(r.explainable, t.Index)
	r.finished <- t
}

// endOf is where the path ends to a target that was not reached, as far as its trace came to its own end, and not to
// the last hop that may be asked.
func endOf(t *record.Listed) (end detect.End, ok bool) {
	if t.Summary.Beyond {
		return end, false
	}
	return placeOf(t)
}

// placeOf is endOf, but of a path that goes on beyond the last hop that may be asked, as a loop does, it is that hop.
func placeOf(t *record.Listed) (place detect.End, ok bool) {
	if t.Trace == nil || !t.Trace.Ending.Reason.Whole() {
		return place, false
	}
	place, ok = t.End()
	if ok && !place.Refused && !place.Last.IsValid() {
		place.Last = t.Trace.Inferred[1] // which was not asked, or not often
	}
	return place, ok
}

// answering is who answered at each hop, as far as that is known; invalid: nobody did.
func answering(f *record.Fold, inferred map[int]netip.Addr) (hops []netip.Addr) {
	for ttl := 1; ttl <= f.Last(); ttl++ {
		who := inferred[ttl]
		if ttl >= f.First() {
			for _, r := range f.Hop(ttl).Probes {
				if r.Outcome == trace.Answered {
					who = r.Reply.From()
				}
			}
		}
		hops = append(hops, who)
	}
	return hops
}

// hearDone calls Done until there is nothing more.
func (r *manyRun) hearDone() {
	for t := range r.finished {
		r.Done(t)
		if len(r.finished) < mostBehind {
			r.ring()
		}
	}
}

func (t *ready) listed(why record.Why, err error) record.Listed {
	return record.Listed{Index: t.index, File: t.File, Line: t.Line, Host: t.Host, Port: t.Port, Why: why, Err: err}
}
