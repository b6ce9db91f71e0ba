package trace_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var (
	seeds     = flag.Int("seeds", 150, "how many random networks to trace")
	firstSeed = flag.Uint64("first-seed", 1, "the seed of the first random network")
)

// network is a random path with a random way of tracing it, and what really happened on it. What the tracer reads to
// tell probes apart may be rewritten on the way; the network tells them by a number of its own in the window, which
// neither the tracer nor a router looks at.
type network struct {
	scenario sim.Scenario
	path     trace.PathOptions
	run      trace.Options
	interval time.Duration // of rounds; 0: a trace
	troubles []string
	noisy    bool // something is lost, or comes at another time than usual: not all that answers need be seen
	doubled  bool // something comes twice
	scrubbed bool // what tells probes apart is rewritten, or not quoted
	lossy    bool // so an open target may answer by a retransmission of its own, a second and more after the probe

	sent   []packet.Probe
	at     []time.Time
	start  time.Time
	mu     sync.Mutex         // of places, which the sender and the receiver reach
	places map[uint16][]place // of each probe, by its number
	nexts  int
	ended  map[int]time.Time // when the outcome of a probe was told
}

// place is where a probe got to.
type place struct {
	at      time.Time
	id      uint16 // IPv4, by then
	hop     int
	addr    netip.Addr
	target  bool
	expired bool
}

func (n *network) path0() *sim.Path { return &n.scenario.Paths[0] }

func (n *network) trouble(format string, args ...any) {
	n.troubles = append(n.troubles, fmt.Sprintf(format, args...))
}

func (n *network) String() string {
	o := n.path
	return fmt.Sprintf("distance %d, TTL %d to %d, %d queries, window %d, wait %v (patient %v), %d ports, flags %v, length %d, loose %v, port %v, rtt %v; %s",
		len(n.path0().Routers)+1, o.FirstTTL, o.MaxTTL, o.Queries, o.Parallel, o.Wait, o.Patient, len(o.Ports), o.Flags, o.Length,
		n.path.Loose, n.path0().Target.State, n.round(len(n.path0().Routers)+1).least, strings.Join(n.troubles, ", "))
}

// randomNetwork draws one. About a third of them have no trouble at all.
func randomNetwork(seed uint64) *network {
	rng := rand.New(rand.NewPCG(seed, 1))
	one := func(in int) bool { return rng.IntN(in) == 0 }
	pick := func(of ...int) int { return of[rng.IntN(len(of))] }
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	v6 := one(2)
	distance := pick(1, 2, 3, 5, 8, 9, 10, 12, 15, 20, 29, 30, 31, 40)
	scale := time.Duration(pick(1000, 100_000, 1_000_000, 1_000_000, 5_000_000, 20_000_000, 60_000_000))
	p := chain(v6, distance, 0)
	for i := range p.Routers {
		p.Routers[i].Delay = upTo(scale)
		if one(4) {
			p.Routers[i].Back.Delay = upTo(scale)
		}
	}
	p.Target.Delay = upTo(scale)
	p.Target.State = sim.State(pick(int(sim.Open), int(sim.Open), int(sim.Closed), int(sim.Closed), int(sim.Filtered)))

	p.Target.TTL = uint8(pick(0, 0, 0, 0, 0, 0, 32, 58, 60, 62, 63, 65, 66, 67, 69, 128, 255)) // from which the estimate is made

	if int(p.Target.TTL) <= len(p.Routers) {
		p.Target.TTL = 0 // else its answers don't get here
	}

	s := newSetup(p)
	n := &network{scenario: s.scenario, path: s.path, places: make(map[uint16][]place), ended: make(map[int]time.Time)}
	n.scenario.Seed = seed
	o := &n.path
	o.Parallel = pick(1, 2, 3, 8, 16, 16, 16, 16, 16, 64, 255)
	o.Queries = pick(1, 2, 3, 3, 3, 3, 5)
	o.FirstTTL = pick(1, 1, 1, 1, 1, 2, 5, 9, 12)
	o.MaxTTL = max(o.FirstTTL, pick(30, 30, 30, 30, 8, 1, 255))
	o.Wait = time.Duration(pick(0, 0, 1, 2, 5)) * time.Second
	o.Patient = o.Wait != 0
	if one(8) {
		o.Flags = []packet.Flags{packet.ACK, packet.SYN | packet.ECE | packet.CWR, packet.SYN | packet.ACK}[rng.IntN(3)]
	}
	if one(8) {
		o.Length = 100 + rng.IntN(400)
	}
	if one(8) {
		for i := range pick(2, 7, 40, 1000) {
			o.Ports = append(o.Ports, 50000+uint16(i))
		}
	}
	if one(2) {
		o.ProbePorts = []uint16{60000, 60001, 60002, 60003}[:1+rng.IntN(4)]
	}
	if one(10) {
		for range 10 { // no room for timestamps
			o.Options, _ = o.Options.With(packet.OptionNOP)
			o.Options, _ = o.Options.WithMSS(1460)
		}
	} else if one(10) {
		o.Options, _ = o.Options.WithTimestamps(rng.Uint32(), 0)
	}
	for range pick(0, 0, 1, 1, 2, 3) {
		n.addTrouble(rng)
	}
	if len(n.path0().Routers) > 0 && one(3) {
		for range 1 + rng.IntN(3) {
			hop := rng.IntN(len(n.path0().Routers))
			n.path0().Routers[hop].Silent = 1
			n.trouble("hop %d silent", hop+1)
		}
	}
	return n
}

// addTrouble makes something of the network bad.
func (n *network) addTrouble(rng *rand.Rand) {
	p := n.path0()
	v4 := p.Target.Addr.Is4()
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	at := rng.IntN(len(p.Routers) + 1) // the target, or a router
	var router *sim.Router
	link, back := &p.Target.Link, &p.Target.Back
	if at < len(p.Routers) {
		router = &p.Routers[at]
		link, back = &router.Link, &router.Back
	}
	if rng.IntN(2) == 0 {
		link = back
	}
	kind := rng.IntN(20)
	if router == nil && kind >= 6 {
		kind = rng.IntN(6)
	}
	share := []float64{0.02, 0.1, 0.3}[rng.IntN(3)]
	switch kind {
	case 0, 1:
		link.Loss = share
		n.noisy, n.lossy = true, true
		n.trouble("hop %d loses %v", at+1, share)
	case 2:
		link.Duplicate = []float64{0.1, 1}[rng.IntN(2)]
		n.trouble("hop %d duplicates %v", at+1, link.Duplicate)
		n.noisy, n.doubled = true, true
	case 3:
		link.Jitter = 1 + upTo([]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}[rng.IntN(3)])
		n.trouble("hop %d jitters %v", at+1, link.Jitter)
		n.noisy = true
	case 4:
		link.Held = sim.Held{P: share, By: upTo(100 * time.Millisecond)}
		n.trouble("hop %d holds up %v", at+1, link.Held)
		n.noisy = true
	case 5:
		n.scenario.NoHostRST = true
		n.trouble("no reset by the host")
		n.noisy = true
	case 6:
		router.Silent = share
		n.trouble("hop %d silent at times", at+1)
		n.noisy = true
	case 7:
		router.Slow = upTo(30 * time.Millisecond)
		n.trouble("hop %d slow %v", at+1, router.Slow)
		n.noisy = true
	case 8:
		router.Late = sim.Held{P: share, By: upTo(2 * time.Second)}
		n.trouble("hop %d late %v", at+1, router.Late)
		n.noisy = true
	case 9:
		router.Rate = sim.Rate{Every: time.Second, Burst: 1 + rng.IntN(3)}
		n.trouble("hop %d limited to %d", at+1, router.Rate.Burst)
		n.noisy = true
	case 10:
		width := 2 + rng.IntN(3)
		for i := range width {
			router.Addrs = append(router.Addrs, netip.AddrFrom16(other(router.Addrs[0], i+1)).Unmap())
		}
		router.PerPacket = rng.IntN(2) == 0
		n.trouble("hop %d is %d, per packet %v", at+1, width+1, router.PerPacket)
	case 11:
		length := max(0, len(p.Routers)+[]int{-3, -1, 0, 1, 3}[rng.IntN(5)])
		c := sim.Change{Packet: 1 + rng.IntN(60)}
		for i := range length {
			c.Routers = append(c.Routers, sim.Router{
				Addrs: []netip.Addr{netip.AddrFrom16(other(address(!v4, i+1), 100)).Unmap()}, Link: sim.Link{Delay: upTo(10 * time.Millisecond)},
			})
		}
		p.Changes = append(p.Changes, c)
		n.trouble("distance %d from packet %d on", length+1, c.Packet)
		n.noisy = true
	case 12:
		router.RandomID, router.Set.FlowLabel = true, new(uint32)
		n.trouble("IP ID rewritten, flow label erased at hop %d", at+1)
		n.scrubbed = true
	case 13:
		x := rng.Uint32()
		router.Set.ID, router.Set.FlowLabel = new(uint16(x)), new(x&0xfffff)
		n.trouble("IP ID and flow label constant from hop %d on", at+1)
		n.scrubbed = true
	case 14:
		router.RandomISN = true
		n.path.Loose = rng.IntN(2) == 0
		n.trouble("sequence number rewritten at hop %d", at+1)
	case 15:
		router.Quote = []int{sim.QuoteMinimum, 48, 60, 128}[rng.IntN(4)]
		n.trouble("hop %d quotes %d", at+1, router.Quote)
		n.scrubbed = true
	case 16:
		router.Rules = []sim.Rule{{Action: sim.Reject, Code: uint8(rng.IntN(4))}}
		n.trouble("hop %d rejects", at+1)
	case 17:
		router.Rules = []sim.Rule{{Action: []sim.Action{sim.Drop, sim.Reset}[rng.IntN(2)]}}
		n.trouble("hop %d drops or resets", at+1)
	case 18:
		router.From = p.Target.Addr
		n.trouble("hop %d answers by the target's address", at+1)
	case 19:
		router.OneISN, router.Stateful = true, true
		n.trouble("hop %d is a stateful firewall", at+1)
	}
}

// other is an address near this one.
func other(a netip.Addr, n int) [16]byte {
	b := a.As16()
	b[15] += byte(n)
	return b
}

// span is how long something takes.
type span struct{ least, most time.Duration }

// trip is how long a probe takes to a hop and its answer takes back, whatever the route.
func (n *network) trip(hop int) (there, back span) {
	there.least, back.least = time.Hour, time.Hour
	p := n.path0()
	routes := [][]sim.Router{p.Routers}
	for _, c := range p.Changes {
		routes = append(routes, c.Routers)
	}
	for _, routers := range routes {
		var out, in span
		add := func(l, b *sim.Link) {
			out.least += l.Delay
			out.most += l.Delay + l.Jitter + l.Held.By
			in.least += l.Delay + b.Delay
			in.most += l.Delay + b.Delay + l.Jitter + b.Jitter + b.Held.By
		}
		for i := range min(hop, len(routers)) {
			add(&routers[i].Link, &routers[i].Back)
		}
		if hop <= len(routers) {
			in.most += 1000*routers[hop-1].Slow + routers[hop-1].Late.By
		} else {
			add(&p.Target.Link, &p.Target.Back)
		}
		there.least, there.most = min(there.least, out.least), max(there.most, out.most)
		back.least, back.most = min(back.least, in.least), max(back.most, in.most)
	}
	return there, back
}

// round is how long it takes from a probe to its answer from a hop.
func (n *network) round(hop int) span {
	there, back := n.trip(hop)
	return span{there.least + back.least, there.most + back.most}
}

// numbered is the host's connection, which gives each probe its number.
type numbered struct {
	*sim.Conn
	n   *network
	rng *rand.Rand
}

func (c numbered) Send(p packet.Probe) (time.Time, error) {
	time.Sleep(time.Duration(c.rng.IntN(10_000))) // sending takes its time, and never do two things happen at one instant
	c.n.sent = append(c.n.sent, p)
	c.n.at = append(c.n.at, time.Now())
	if inWindow(&p) {
		c.n.mu.Lock()
		c.n.places[p.Window] = nil
		c.n.mu.Unlock()
	} else {
		p.Window = uint16(len(c.n.sent))
	}
	return c.Conn.Send(p)
}

// inWindow reports whether the window is the tag, which may be 0.
func inWindow(p *packet.Probe) bool {
	_, _, stamped := p.Options.Timestamps()
	return p.Window != 0 || p.Src.Addr().Is6() && p.Protocol != packet.ProtoEcho && !stamped
}

// window is the number of a probe in the packets.
func (n *network) window(nth int) uint16 {
	if p := &n.sent[nth-1]; inWindow(p) {
		return p.Window
	}
	return uint16(nth)
}

func (n *network) watch(a sim.Arrival) {
	var r packet.Reply
	if packet.Parse(a.Packet, &r) != nil || r.Kind != packet.KindTCP || r.TCP.Flags.Has(packet.RST) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[r.TCP.Window] = append(n.places[r.TCP.Window], place{
		at: n.start.Add(a.At), id: r.IP.ID, hop: a.Hop, addr: a.Addr, target: a.Target, expired: !a.Target && r.IP.TTL <= 1,
	})
}

// counted is a plan whose questions are counted, and ended where there are far too many.
type counted struct {
	trace.Plan
	n    *network
	stop context.CancelCauseFunc
}

var (
	errBusy    = errors.New("the plan keeps the engine busy")
	errEndless = errors.New("the trace does not end")
)

// limit is how long a trace may take: that of one probe after the other, all in vain, and some of them anew.
func (n *network) limit() time.Duration {
	wait := n.path.ProbeWait()
	for hop := range len(n.path0().Routers) + 1 {
		wait = max(wait, 2*n.round(hop+1).most+20*time.Millisecond)
	}
	return wait*time.Duration(n.path.Probes()) + n.interval*time.Duration(n.path.Queries) + 30*time.Second
}

func (c counted) Next(now time.Time) trace.Action {
	if c.n.nexts++; c.n.nexts > 200_000 {
		c.stop(errBusy)
	}
	return c.Plan.Next(now)
}

func (n *network) trace(t *testing.T) *outcome {
	o := new(outcome)
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(n.scenario)
		if err != nil {
			t.Fatal(err)
		}
		n.start = time.Now()
		m.Watch = n.watch
		c := sim.NewConn(m)
		defer c.Close()
		n.path.Rand = rand.New(rand.NewPCG(n.scenario.Seed, 7))
		var plan trace.Plan
		if n.interval > 0 {
			plan, err = trace.NewRounds(n.path, n.interval, n.path.Queries)
		} else {
			plan, err = trace.NewPath(n.path)
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		over := time.AfterFunc(n.limit(), func() { cancel(errEndless) })
		defer over.Stop()
		o.trace = trace.NewTrace(n.path)
		o.counts, o.err = trace.Run(ctx, numbered{c, n, rand.New(rand.NewPCG(n.scenario.Seed, 8))}, counted{plan, n, cancel}, n.run, func(r trace.Result) {
			o.results = append(o.results, r)
			o.trace.Add(r)
			if r.Outcome.Final() {
				n.ended[r.N] = time.Now()
			}
		})
		o.took = time.Since(n.start)
		o.trace.Finish()
		o.truth, o.sent = c.Truth(0), c.Sent()
	})
	return o
}

// check compares what a trace shows with what really happened.
func (n *network) check(t *testing.T, o *outcome) {
	t.Helper()
	if o.err != nil {
		t.Errorf("error: %v", o.err)
		return
	}
	checkOutcomes(t, o)
	n.checkEffort(t, o)
	if n.collided() {
		return
	}
	for _, r := range o.results {
		if r.Outcome == trace.Answered {
			n.checkAnswer(t, r)
		}
	}
	if !n.noisy {
		n.checkWhole(t, o)
	}
}

// checkAnswer checks that this very probe got where the answer comes from, and that the answer has taken as long as it
// takes from there.
func (n *network) checkAnswer(t *testing.T, r trace.Result) {
	t.Helper()
	if r.Evidence == trace.ByFlow && n.blurred(r) {
		return
	}
	from := r.Reply.From()
	for _, p := range n.places[n.window(r.N)] {
		if p.addr != from && from != n.path.Target.Addr() || p.target != r.FromTarget() && !n.resets() || p.expired != (r.Reply.Kind == packet.KindTimeExceeded) {
			continue
		}
		took := r.Recv.Sub(p.at)
		_, may := n.trip(p.hop)
		if took >= may.least && (took <= may.most || n.lossy && r.FromTarget()) {
			return
		}
		// Times differ by some milliseconds for no reason, so that this can't be told from an answer that comes late, or that the
		// target sends again.
		// The probe itself may have been held up on the way, so that it was not there yet: the tracer doesn't see that.
		again := n.scenario.NoHostRST && r.FromTarget()
		if r.Evidence == trace.ByFlow && r.RTT() >= n.round(p.hop).least-5*time.Millisecond && (again || n.before(r, p, may)) {
			return
		}
		// In rounds, where many probes to the target are in flight, it may be that of a later one, too: the hop is right.
		if n.interval > 0 && r.Evidence == trace.ByFlow && p.target && n.another(r, p, may) {
			return
		}
		// The target sends the answer to the probe before again after a second, which is when the next round's probe is
		// answered, or the next one of a slow path. A probe that is held up on the way gets there after that, and times may
		// differ by a quarter.
		if least := n.round(p.hop).least; (n.interval > 0 || n.path.Parallel == 1) && n.scenario.NoHostRST && r.FromTarget() && r.RTT() >= least-least/4 {
			return
		}
	}
	if n.scenario.NoHostRST && r.FromTarget() && r.Evidence == trace.ByFlow && n.underway(r) {
		return
	}
	var seen []string
	for _, p := range n.places[n.window(r.N)] {
		_, may := n.trip(p.hop)
		seen = append(seen, fmt.Sprintf("hop %d (%v) after %v (and %v back, not %v to %v)", p.hop, p.addr, p.at.Sub(r.Sent), r.Recv.Sub(p.at), may.least, may.most))
	}
	t.Errorf("probe %d, TTL %d: %v from %v after %v (%v), but was at %v", r.N, r.Probe.TTL, r.Reply.Kind, from, r.RTT(), r.Evidence, strings.Join(seen, ", "))
}

// underway reports whether a probe was on its way still when the target sent its answer again to one before that had the
// same TTL, and that answer ended the trace: the hop is right.
func (n *network) underway(r trace.Result) bool {
	if len(n.places[n.window(r.N)]) > 0 {
		return false
	}
	for i, p := range n.sent[:r.N-1] {
		got := func(p place) bool { return p.target }
		if p.TTL == r.Probe.TTL && p.Src == r.Probe.Src && slices.ContainsFunc(n.places[n.window(i+1)], got) {
			return true
		}
	}
	return false
}

// another reports whether a result's answer is that of another probe that got to the same place.
func (n *network) another(r trace.Result, at place, may span) bool {
	for i, p := range n.sent {
		for _, place := range n.places[n.window(i+1)] {
			took := r.Recv.Sub(place.at)
			if p.Src == r.Probe.Src && place.target && place.addr == at.addr && took >= may.least && took <= may.most {
				return true
			}
		}
	}
	return false
}

// before reports whether a result's answer may be that of a probe before, which got to the same place as this one, but later
// than usual. If that is the target, it doesn't matter how far the probe before might have gone.
func (n *network) before(r trace.Result, at place, may span) bool {
	for i, p := range n.sent[:r.N-1] {
		for _, place := range n.places[n.window(i+1)] {
			took := r.Recv.Sub(place.at)
			if (p.TTL == r.Probe.TTL || at.target) && p.Src == r.Probe.Src && place.addr == at.addr && took >= may.least && took <= may.most {
				return true
			}
		}
	}
	return false
}

// timeout is how long an answer is waited for in any case.
func (n *network) patience() time.Duration {
	if n.path.Patient {
		return n.path.Wait
	}
	return time.Second
}

// blurred reports whether an answer that names only the flow may be taken for another probe's by any tracer: it may come
// when the next probe is on its way already.
func (n *network) blurred(r trace.Result) bool {
	p := n.path0()
	end := n.round(len(p.Routers) + 1)
	for hop, router := range p.Routers {
		if len(router.Rules) > 0 && router.Rules[0].Action == sim.Reset {
			end = n.round(hop + 1)
			break
		}
	}
	switch {
	case len(p.Changes) > 0:
		return true
	case n.doubled && (n.scenario.NoHostRST || end.most > end.least):
		return true
	case n.lossy && r.FromTarget() && r.Reply.TCP.Flags.Has(packet.SYN): // an open target sends its answer again
		return true
	case r.FromTarget() && (end.most > 2*end.least+20*time.Millisecond || end.most > n.patience()):
		return true
	}
	for hop := range p.Routers {
		if rtt := n.round(hop + 1); n.scrubbed && (n.doubled && rtt.most > rtt.least || rtt.most > n.patience() || rtt.most > time.Second && rtt.most > rtt.least+100*time.Millisecond) {
			return true
		}
	}
	return false
}

// collided reports whether the network has given one probe the IP ID of another.
func (n *network) collided() bool {
	of := make(map[uint16]uint16)
	for i, p := range n.sent {
		of[p.ID] = n.window(i + 1)
	}
	for window, places := range n.places {
		for _, p := range places {
			if other := of[p.id]; p.id != 0 && other != 0 && other != window {
				return true
			}
		}
	}
	return false
}

// resets reports whether a firewall sends resets in the target's name.
func (n *network) resets() bool {
	for _, r := range n.path0().Routers {
		for _, rule := range r.Rules {
			if rule.Action == sim.Reset {
				return true
			}
		}
	}
	return false
}

// checkEffort checks that no more is sent than the question needs: beyond the probes asked for, what a window or the
// look-ahead overshoots until the target's first answer is there, those to hops that may be the target for all that is
// seen, and a few that are asked anew. And that the plan is asked no more often than there is a reason for.
func (n *network) checkEffort(t *testing.T, o *outcome) {
	t.Helper()
	most := 4*(len(o.sent)+len(o.results)) + 200
	if n.doubled {
		most += len(o.sent) // a copy of an answer wakes the plan, told or not
	}
	if n.nexts > most {
		t.Errorf("the plan was asked %d times, at most %d", n.nexts, most)
	}
	p := n.path0()
	spare := max(n.path.Parallel, 8) + 8
	if n.scrubbed || n.path.Loose {
		spare *= 2
	}
	if wait := n.path.Wait; wait > 0 && wait < time.Second {
		spare += 2 * n.path.Parallel // the window counts no probe any more that has waited for half its time
	}
	if n.scenario.NoHostRST {
		spare += n.path.Probes() / 3 // a SYN+ACK that comes again makes all that nobody answers doubtful, once
	}
	if n.doubled {
		spare += n.path.Queries // a copy of one answer may be the answer to the next probe
	}
	// What is sent beside a probe that the target answers may all be asked anew, once; twice where its SYN+ACK comes again
	// and nothing tells whose it is.
	anyCase := n.path.Probes() + max(3*spare, n.path.Probes()+spare)
	randomised := slices.ContainsFunc(p.Routers, func(r sim.Router) bool { return r.RandomISN })
	if n.scenario.NoHostRST && (n.scrubbed || randomised) {
		anyCase += n.path.Probes()
	}
	if most := anyCase; len(o.sent) > most {
		t.Errorf("%d probes, at most %d in any case", len(o.sent), most)
	}
	if n.lossy || n.round(len(p.Routers)+1).most > 500*time.Millisecond || len(p.Changes) > 0 || n.scenario.NoHostRST {
		return
	}
	hidden := 0
	for i := range p.Routers {
		r := &p.Routers[i]
		if r.Slow > 0 {
			hidden += 40 // one of its answers may come after the wait: what a limit before it may have dropped is asked anew
		}
		if r.Silent > 0 || r.Rate.Every > 0 || !n.sees(i) {
			hidden += n.path.Queries
		}
		if r.Rate.Every > 0 && len(r.Rules) > 0 { // its refusal may be held back: until it comes, the path goes on
			hidden += n.path.Queries * (n.path.MaxTTL - o.trace.Last())
		}
	}
	anew := 0
	if end := n.round(len(p.Routers) + 1); n.seemsFarther() && end.most > 2*end.least+20*time.Millisecond {
		// The target answers one of the probes that were sent beyond it. Those to the hops in front, sent beside it, may have got to
		// the target too: they are asked anew, once, if their answers take longer than the target's one.
		anew = n.path.Queries * (o.trace.Last() - n.path.FirstTTL + 1)
	}
	if (n.scrubbed || n.path.Loose) && slices.ContainsFunc(p.Routers, func(r sim.Router) bool { return r.Late.By > time.Second/2 }) {
		// A late answer alone may tell that the path rewrites what names a probe. All was asked before then, and is asked anew, once.
		anew = n.path.Queries * (o.trace.Last() - n.path.FirstTTL + 1)
	}
	if most := n.path.Queries*(o.trace.Last()-n.path.FirstTTL+1) + spare + hidden + anew; len(o.sent) > most {
		t.Errorf("%d probes, at most %d", len(o.sent), most)
	}
	if most := n.path.Queries + spare; p.Target.State != sim.Filtered && o.trace.Reached() && !n.doubled && o.truth.Target.SYN > most {
		t.Errorf("%d SYNs at the target, at most %d", o.truth.Target.SYN, most)
	}
}

// seemsFarther reports whether the TTL of the target's answers tells a longer way than they come.
func (n *network) seemsFarther() bool {
	first, routers := int(n.path0().Target.TTL), len(n.path0().Routers)
	for _, usual := range []int{64, 128, 255} {
		if first > 0 && first-routers <= usual {
			return first < usual
		}
	}
	return false
}

// end is where the path ends for these probes: the TTL that shows it, and who answers there; nobody where it is silence.
func (n *network) end() (ttl int, who []netip.Addr) {
	p := n.path0()
	opens := n.path.Flags&(packet.SYN|packet.ACK) != packet.ACK && !n.path.Flags.Has(packet.SYN|packet.ACK)
	randomised := false
	for i := range p.Routers {
		r := &p.Routers[i]
		if len(r.Rules) > 0 {
			switch action := r.Rules[0].Action; {
			case action == sim.Reset:
				return i + 2, []netip.Addr{p.Target.Addr}
			case action == sim.Drop || r.Silent == 1 || randomised && !n.sees(i):
				return i + 2, []netip.Addr{{}}
			}
			return i + 2, n.source(r)
		}
		if r.Stateful && !opens {
			return i + 2, []netip.Addr{{}}
		}
		randomised = randomised || r.RandomISN
	}
	if p.Target.State == sim.Filtered {
		return len(p.Routers) + 1, []netip.Addr{{}}
	}
	return len(p.Routers) + 1, []netip.Addr{p.Target.Addr}
}

func (n *network) source(r *sim.Router) []netip.Addr {
	if r.From.IsValid() {
		return []netip.Addr{r.From}
	}
	return r.Addrs
}

// sees reports whether errors from a router can be told to be answers to our probes.
func (n *network) sees(i int) bool {
	randomised, tagged := false, true
	for _, r := range n.path0().Routers[:i] {
		randomised = randomised || r.RandomISN
		tagged = tagged && !r.RandomID && r.Set.ID == nil
	}
	if n.path.Source.Addr().Is6() {
		quote := n.path0().Routers[i].Quote
		tagged = quote == sim.QuoteFull || quote >= 128
	}
	return !randomised || n.path.Loose && tagged
}

// mostAgain is how often a hop is asked anew because of doubts; after that it may be left with fewer probes.
const mostAgain = 8

// checkWhole checks that nothing is missing where nothing is lost.
func (n *network) checkWhole(t *testing.T, o *outcome) {
	t.Helper()
	p := n.path0()
	end, who := n.end()
	if n.round(min(end, len(p.Routers)+1)).most >= n.patience() {
		return
	}
	last := min(max(end, n.path.FirstTTL), n.path.MaxTTL)
	if !who[0].IsValid() {
		last = n.path.MaxTTL
	}
	if o.trace.Last() != last && !(o.trace.Last() == last-1 && n.vague()) {
		t.Errorf("the last hop is %d, want %d", o.trace.Last(), last)
	}
	for ttl := n.path.FirstTTL; ttl <= min(last, o.trace.Last()); ttl++ {
		var want []netip.Addr
		switch {
		case ttl >= end:
			want = who
		case p.Routers[ttl-1].Silent == 1 || !n.sees(ttl-1):
			want = []netip.Addr{{}}
		default:
			want = n.source(&p.Routers[ttl-1])
		}
		probes := o.trace.Hop(ttl).Probes
		withdrawn := 0
		for _, r := range o.results {
			if int(r.Probe.TTL) == ttl && r.Outcome == trace.Unknown {
				withdrawn++
			}
		}
		if len(probes) != n.path.Queries && (len(probes) == 0 || withdrawn <= mostAgain) {
			t.Errorf("hop %d: %d probes", ttl, len(probes))
		}
		for _, r := range probes {
			got := netip.Addr{}
			if r.Outcome == trace.Answered {
				got = r.Reply.From()
			}
			if !slices.Contains(want, got) {
				t.Errorf("hop %d: %v, want %v", ttl, got, want)
			}
		}
	}
}

// vague reports whether nobody can tell how far the target is: the only probe that reaches it was sent before anything was
// known of the hops in front, and the only one to the hop before it gets no answer.
func (n *network) vague() bool {
	p := n.path0()
	return n.path.Queries == 1 && len(n.path.ProbePorts) == 0 && n.path.MaxTTL == len(p.Routers)+1 && len(p.Routers) > 0 &&
		p.Routers[len(p.Routers)-1].Silent == 1
}

// failed are seeds of networks that were traced wrongly once.
var failed = []uint64{
	20038162, 70012545, 9004085, // an answer too fast for the probe that was the only one left to take it
	20010202, 70006720, // the same, where a nearer router's time seemed to allow it
	20013105,           // answers that come when their probes are given up, one after the other
	20021532,           // a SYN+ACK that is sent again to the first probe doesn't tell that the target is near
	20016424,           // probes by many ports: one flow's routers say nothing of another's
	20011164, 70015479, // more probes and questions than were allowed
	130002010,            // answers that were to come when the path began to be asked slowly
	170009270,            // the target at the last TTL, asked in order, behind a silent hop
	130004502, 210012572, // hops beyond a refusal, asked again and again where refusals are rare or slow
	130002204,          // a refusal at the last TTL, where the distance probe's was not understood
	210010010, 7102938, // a target that seems to be far away by its TTL, and answers at uneven times
	80009795,             // many answers that fit a silent hop's probe and another's
	130007632,            // a target whose hop nobody vouches for, found in halves instead of one hop after the other
	170002089,            // many silent hops: not all that a limit may have dropped is sent again
	220003530,            // a target's first answer, which fits probes that were sent long before the others, too
	220007096, 220009157, // a SYN+ACK that is sent again at the very time of the answer to the next probe
	210000057,            // a hop that was asked slowly after its probe was lost
	130004090, 210002844, // a SYN+ACK that is sent again just before the answer to the next probe is due
	130006561,            // the answer to a probe that was held up, just before that to the next is due
	412050916, 412054461, // the same, where the probe before had another TTL, and got to the target too
	411016553,            // a target whose answers take longer than thrice those of the routers, where nothing names a probe
	411038296,            // an answer that is sent again to a probe that was given up, where only one hop's probe is left to take it
	412078651, 412082057, // the target at the last TTL, asked once, behind a silent hop
	412070288,            // a SYN+ACK that is sent again when the answer to the next of single probes is due
	411098911,            // a refusal on a way that the packets take no longer, and silence beyond
	411086608,            // the target at the last TTL behind a silent hop, by its TTL nearer
	411091360,            // an answer that comes far too late for the only probe that is waited for
	413006488,            // a silent path, asked slowly in vain, and then all of it anew
	420010932,            // a path that turns out to rewrite what names a probe while its hops are asked slowly
	430036049,            // the same, where the distance probe's answer comes from far beyond what is known
	420044566,            // a silent path's target, knocked at when the answer to its distance probe was on its way
	420012616,            // a SYN+ACK that is sent again where times differ by far more than is usual
	430025304,            // a silent path, all of which is asked anew when the distance probe's answer comes at last
	434010985,            // many answers to probes that nobody waits for, one of them to the hop that is waited for
	431008265,            // a plan that is asked more often, because each answer comes twice
	434024911,            // a path that rewrites what names a probe, and answers seldom
	433005226,            // a path that rewrites sequence numbers, where tags still name the probes
	430027752,            // the answer to a probe that was held up, where the next was held up too
	450027147,            // a SYN+ACK that is sent again while the next probe is on its way
	450047347,            // a target nearer than its TTL says, behind a hop where times differ by far more than is usual
	450054819,            // a target without distance probes or timestamps, behind a router that is slower than the target
	450050966,            // a probe that is held up, and answered just before the next one's answer is due
	460047844,            // the same next door, where an answer is sooner by less than times usually differ
	460022751,            // a target nearer by far than its TTL says, whose answers are held up
	460074206,            // the target's answer, in time for the probe before, when the next to a silent hop is on its way
	470026712,            // an answer that fits several probes of a target far slower than the routers that are seen
	490010778,            // one flow's answer that was held up, in time for its next probe, which ends where routers answer the others
	540055034,            // a tag in the window, which comes to 0 in mid-trace: the test took it for none
	540008344,            // a router that refuses, and has given its answer of this second as a hop
	730031597,            // an ACK for a SYN that was overtaken, of which some had been withdrawn
	730052157,            // a target at the highest TTL, behind a router whose answer isn't believed
	780007952, 780021608, // answers that come twice, or again, and make others doubtful: more is asked anew
	763001102,            // a target whose answers never name a hop: each up to the last one was asked
	770093999,            // the same, where answers name no probe
	770009267,            // an answer that was held up for far longer than the target takes, when others were too
	750013154, 750081817, // a silent path that rewrites what names a probe, where the plan was asked in vain
	820003813,            // two answers that fit several probes, the younger of which is as old by chance as it was at the first
	880015898,            // a SYN+ACK that is sent again, after the answer to a distance probe on the path's own flow
	880043699,            // the same, where nothing names a probe, when a router's answer is due
	850095450,            // a path that rewrites what names a probe, of which only late answers tell
	910023994,            // answers that take longer than the pause between probes to a target that refuses, whose hop nobody tells
	910053086,            // a target nearer by its TTL, and a silent hop that was to be asked slowly, and wasn't
	900047325, 900063333, // a target at the highest TTL, which had answered another than the distance probe: it was asked again
	820057210,            // a target that answers its distance probe at once, and the path's own flow late
	413009871, 413010236, // a target whose answers take between 5 and 80 ms, where more probes were sent meanwhile
}

func TestRandomNetworks(t *testing.T) {
	t.Parallel()
	all := slices.Clone(failed)
	for seed := *firstSeed; seed < *firstSeed+uint64(*seeds); seed++ {
		all = append(all, seed)
	}
	for _, seed := range all {
		n := randomNetwork(seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			repeat := seed%10 == 0 // equal seeds, equal runs
			if repeat {
				n.run.Observe = inOrder
			}
			o := n.trace(t)
			n.check(t, o)
			if repeat {
				again := randomNetwork(seed)
				again.run.Observe = inOrder
				if got, want := again.story(again.trace(t)), n.story(o); got != want {
					t.Errorf("the same network again: %s, and before: %s", got, want)
				}
			}
			if t.Failed() {
				n.dump(t, o)
				t.Errorf("%v", n)
			}
		})
	}
}

// Waits of less than a second end probes sooner, and show nothing that is wrong.
func TestRandomNetworksShortWait(t *testing.T) {
	t.Parallel()
	all := []uint64{ // the first were traced wrongly once
		400000315,                       // many silent hops
		220002181,                       // a target nearer than its TTL says
		260007480,                       // a silent target at the last TTL, beyond which nothing is to be asked
		411047100, 411062471, 411066132, // a target that answers only after half the wait, or after all of it
		411093671, // a silent path that rewrites what names a probe
		411049363, // answers that are sent again for half a minute, where nothing names a probe
		434025403, // an answer that is held up, after that to a later probe, which was late too
		432005139, // the target's answer to a probe that left right before its path was asked slowly
		432008152, // the target's answer, which fits a probe to a silent hop before it that was given up just then
		480001758, // answers that come twice, where nothing names a probe
		460019469, // the target's answer, in time for the probe before, when the next to a silent hop is on its way
		460007140, // a target that sends its answers again, where nothing names a probe
		440029764, // a SYN+ACK that is sent again, by whose time each silent hop was waited for, where nothing names a probe
	}
	for seed := *firstSeed; seed < *firstSeed+uint64(*seeds); seed++ {
		all = append(all, seed)
	}
	for _, seed := range all {
		n := randomNetwork(seed)
		n.path.Wait, n.path.Patient = trace.LeastWait+time.Duration(seed%5)*100*time.Millisecond, true
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := n.trace(t)
			n.check(t, o)
			if t.Failed() {
				n.dump(t, o)
				t.Errorf("%v", n)
			}
		})
	}
}

// inOrder lets all that arrives at this instant wait for the engine before it decides anything. Else the scheduler
// decides whether a second copy is seen before the next step, or before the trace is over.
func inOrder(trace.Event) { synctest.Wait() }

// story is all that was told, and when.
func (n *network) story(o *outcome) string {
	var b strings.Builder
	for _, r := range o.results {
		fmt.Fprintf(&b, "%d %v %v %v %v\n", r.N, r.Outcome, r.Evidence, r.Sent.Sub(n.start), r.RTT())
	}
	return b.String()
}

// dump says all that happened.
func (n *network) dump(t *testing.T, o *outcome) {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for i, p := range n.sent {
		end := ""
		for _, w := range n.places[n.window(i+1)] {
			if w.expired || w.target {
				end += fmt.Sprintf(" %v at hop %d %v", w.at.Sub(n.start), w.hop, w.addr)
			}
		}
		lines = append(lines, line{n.at[i], fmt.Sprintf("probe %d TTL %d port %d:%s", i+1, p.TTL, p.Src.Port(), end)})
	}
	for _, r := range o.results {
		at, kind := r.Recv, ""
		if r.Reply != nil {
			kind = r.Reply.Kind.String() + " " + r.Reply.From().String()
		} else if at = n.ended[r.N]; at.IsZero() {
			at = r.Sent
		}
		lines = append(lines, line{at, fmt.Sprintf("    %v: probe %d TTL %d, %v %v %s", r.Outcome, r.N, r.Probe.TTL, r.RTT(), r.Evidence, kind)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		t.Logf("%12v %s", l.at.Sub(n.start), l.text)
	}
	t.Logf("%v: %+v, %d questions, took %v", n, o.counts, n.nexts, o.took)
}
