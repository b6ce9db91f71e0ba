package trace

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// many is a simulated network with many targets behind chains of routers, and a plan for each.
type many struct {
	t    *testing.T
	conn *sim.Conn
	rng  *rand.Rand
}

// newMany makes so many targets; target i is hop 3+i%9.
func newMany(t *testing.T, targets int) *many {
	t.Helper()
	sc := sim.Scenario{Seed: 1}
	for i := range targets {
		p := sim.Path{Target: sim.Target{Addr: targetAddr(i), Link: sim.Link{Delay: time.Millisecond}}}
		for ttl := 1; ttl < 3+i%9; ttl++ {
			addr := netip.MustParseAddr(fmt.Sprintf("198.18.%d.2", ttl))
			p.Routers = append(p.Routers, sim.Router{Addrs: []netip.Addr{addr}, Link: sim.Link{Delay: time.Millisecond}})
		}
		sc.Paths = append(sc.Paths, p)
	}
	m, err := sim.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	return &many{t: t, conn: sim.NewConn(m), rng: rand.New(rand.NewPCG(1, 2))}
}

// path is the plan for target i, and what folds its results. All flows share their ports.
func (m *many) path(i int) (*Path, *Trace) {
	m.t.Helper()
	o := PathOptions{Source: src4, Target: netip.AddrPortFrom(targetAddr(i), 443), Rand: m.rng,
		ProbePorts: []uint16{40001, 40002, 40003, 40004}}
	plan, err := NewPath(o)
	if err != nil {
		m.t.Fatal(err)
	}
	return plan, NewTrace(o)
}

// check holds that target i was traced whole.
func (m *many) check(i int, f *Trace) {
	m.t.Helper()
	f.Finish()
	if f.Last() != 3+i%9 || !f.Reached() {
		m.t.Errorf("target %d: %d hops, want %d", i, f.Last(), 3+i%9)
	}
	for ttl := 1; ttl < f.Last(); ttl++ {
		if !f.Complete(ttl) {
			m.t.Errorf("target %d, hop %d: %+v", i, ttl, f.Hop(ttl).Probes)
		}
	}
}

// TestMembersComeAndGo: with only so many members at a time, one pace over all and shared ports every target is traced as
// if it were alone, and nothing of those that are over stays.
func TestMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const targets, open = 300, 20
		net := newMany(t, targets)
		defer net.conn.Close()
		g := NewGroup()
		folds := make([]*Trace, targets)
		next := 0
		add := func() {
			if next < targets {
				plan, fold := net.path(next)
				folds[next] = fold
				if i := g.Add(plan); i != next {
					t.Errorf("member %d has number %d", next, i)
				}
				next++
			}
		}
		var over []int
		g.Over = func(member int) {
			over = append(over, member)
			add()
		}
		for range open {
			add()
		}
		most := 0
		if _, err := Run(t.Context(), net.conn, g, Options{Pace: NewPace(2000, 16)}, func(r Result) {
			most = max(most, len(g.members))
			i, r := g.Of(r)
			folds[i].Add(r)
		}); err != nil {
			t.Fatal(err)
		}
		for i, f := range folds {
			net.check(i, f)
		}
		if most != open || len(over) != targets || len(g.members)+len(g.ready)+len(g.asleep) != 0 {
			t.Errorf("up to %d members, %d came to their end; left over: %d, %d, %d", most, len(over), len(g.members),
				len(g.ready), len(g.asleep))
		}
		checkPace(t, net.conn.Sent(), 2000, 16)
	})
}

// checkPace holds that no 10 ms have more packets than rate and burst allow.
func checkPace(t *testing.T, sent []sim.Sent, rate float64, burst int) {
	t.Helper()
	const span = 10 * time.Millisecond
	most, first := 0, 0
	for i, s := range sent {
		for s.At.Sub(sent[first].At) >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	if allowed := int(rate*span.Seconds()) + burst; most > allowed {
		t.Errorf("%d packets within %v, at most %d are allowed", most, span, allowed)
	}
}

// TestPaceChangesWhileRunning: many plans that all want to send at once stay below one pace, and below another from when
// it is set on.
func TestPaceChangesWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const targets = 100
		net := newMany(t, targets)
		defer net.conn.Close()
		g := NewGroup()
		folds := make([]*Trace, targets)
		for i := range folds {
			var plan *Path
			plan, folds[i] = net.path(i)
			g.Add(plan)
		}
		pace := NewPace(200, 1)
		n, changed := 0, 0
		if _, err := Run(t.Context(), net.conn, g, Options{Pace: pace}, func(r Result) {
			i, r := g.Of(r)
			folds[i].Add(r)
			if n++; n == 1000 {
				changed = len(net.conn.Sent())
				pace.Set(5000, 8)
			}
		}); err != nil {
			t.Fatal(err)
		}
		for i, f := range folds {
			net.check(i, f)
		}
		sent := net.conn.Sent()
		checkPace(t, sent[:changed], 200, 1)
		checkPace(t, sent[changed:], 5000, 8)
		if took := sent[len(sent)-1].At.Sub(sent[changed].At); took > 2*time.Duration(len(sent)-changed)*200*time.Microsecond {
			t.Errorf("%d packets took %v at 5000 a second", len(sent)-changed, took)
		}
	})
}

// TestWake: a run whose plan has nothing to do goes on until Wake is closed, and asks the plan when it is woken.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMany(t, 3)
		defer net.conn.Close()
		g, wake := NewGroup(), make(chan struct{}, 1)
		folds := make([]*Trace, 3)
		begin := time.Now()
		go func() {
			for i := range folds {
				time.Sleep(time.Minute)
				synctest.Wait()
				var plan *Path
				plan, folds[i] = net.path(i)
				g.Add(plan)
				wake <- struct{}{}
			}
			time.Sleep(time.Minute)
			close(wake)
		}()
		if _, err := Run(t.Context(), net.conn, g, Options{Wake: wake}, func(r Result) {
			i, r := g.Of(r)
			folds[i].Add(r)
		}); err != nil {
			t.Fatal(err)
		}
		for i, f := range folds {
			net.check(i, f)
		}
		if took := time.Since(begin); took != 4*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// waiter is a plan that sends one probe when it is told to, and then waits for ever.
type waiter struct {
	port    uint16
	send    bool
	asked   int
	learned int
}

func (w *waiter) Next(time.Time) Action {
	w.asked++
	if !w.send {
		return Action{Until: sentAt.Add(1e6 * time.Hour)}
	}
	w.send = false
	return Send(packet.Probe{Src: netip.AddrPortFrom(src4.Addr(), w.port), Dst: netip.AddrPortFrom(targetAddr(0), 443), TTL: 1,
		Flags: packet.SYN, ID: 1, Seq: uint32(w.port)})
}

func (w *waiter) Learn(time.Time, Result) { w.learned++ }

// TestAskAndRemove: a member that is asked before its time may act, and one that was removed learns nothing more.
func TestAskAndRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMany(t, 1)
		defer net.conn.Close()
		wake := make(chan struct{})
		members := []*waiter{{port: 1001, send: true}, {port: 1002}, {port: 1003}}
		g := NewGroup(members[0], members[1], members[2])
		g.Remove(2)
		var results []int
		go func() {
			time.Sleep(time.Hour)
			synctest.Wait()
			members[0].send, members[1].send = true, true
			g.Ask(0)
			g.Ask(1)
			wake <- struct{}{}
			synctest.Wait()
			g.Remove(1) // its probe is in flight
			wake <- struct{}{}
			time.Sleep(time.Hour)
			g.Remove(0)
			close(wake)
		}()
		if _, err := Run(t.Context(), net.conn, g, Options{Wake: wake}, func(r Result) {
			i, _ := g.Of(r)
			results = append(results, i)
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(results)
		if !slices.Equal(results, []int{0, 0, 1}) || members[0].learned != 2 || members[1].learned != 0 || members[2].asked != 0 {
			t.Errorf("results of %v; learned %d, %d; asked %d", results, members[0].learned, members[1].learned, members[2].asked)
		}
	})
}
