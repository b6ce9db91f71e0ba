package trace_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var manyTargets = flag.Int("targets", 400, "how many targets of the simulated Internet the tests of Targets trace")

// listed is a run of Targets over paths of the simulated Internet.
type listed struct {
	t       *testing.T
	seed    uint64
	paths   []sim.Path
	queries int
	rate    float64
	ports   func(target int) uint16 // the first of five source ports; nil: the same for all

	next    int
	numbers map[int]int // the path of each target
	folds   []*trace.Trace
	options []trace.PathOptions
	ends    []time.Time
	late    int // results that came after their target's end
}

func newListed(t *testing.T, n, queries int) *listed {
	return &listed{t: t, seed: *internetSeed, paths: sim.Internet(*internetSeed, n, sim.InternetOptions{}).Paths,
		queries: queries, rate: 5000, numbers: make(map[int]int), folds: make([]*trace.Trace, n),
		options: make([]trace.PathOptions, n), ends: make([]time.Time, n)}
}

// offer hands over the next path.
func (l *listed) offer() (trace.Offer, bool) {
	if l.next == len(l.paths) {
		return trace.Offer{}, false
	}
	i := l.next
	l.next++
	target := l.paths[i].Target.Addr
	return trace.Offer{Addr: target, Begin: func(number int) trace.Plan {
		l.numbers[number] = i
		port := uint16(40000)
		if l.ports != nil {
			port = l.ports(i)
		}
		o := trace.PathOptions{
			Target:  netip.AddrPortFrom(target, sim.InternetPort),
			Source:  netip.AddrPortFrom(sim.InternetHosts4.Addr().Next(), port),
			Queries: l.queries, ProbePorts: []uint16{port + 1, port + 2, port + 3, port + 4},
			Rand: rand.New(rand.NewPCG(l.seed, uint64(i))), LabelSeed: uint64(i) + 1,
		}
		if target.Is6() {
			o.Source = netip.AddrPortFrom(sim.InternetHosts6.Addr().Next(), port)
		}
		plan, err := trace.NewPath(o)
		if err != nil {
			l.t.Fatal(err)
		}
		l.folds[i], l.options[i] = trace.NewTrace(o), o
		return plan
	}}, true
}

// run traces all of them. It has to be called in a bubble.
func (l *listed) run(ctx context.Context, c *sim.Conn, conn trace.Conn, o trace.TargetsOptions, run trace.Options,
	seen func(*trace.Targets)) trace.Counts {
	o.Next = l.offer
	o.Over = func(number int, _ bool) {
		i := l.numbers[number]
		if l.folds[i].Finish(); !l.ends[i].IsZero() {
			l.t.Errorf("target %d ends twice", i)
		}
		l.ends[i] = time.Now()
	}
	plan := trace.NewTargets(o)
	run.Pace = trace.NewPace(l.rate, 16)
	counts, err := trace.Run(ctx, conn, plan, run, func(r trace.Result) {
		number, r := plan.Of(r)
		if i := l.numbers[number]; l.ends[i].IsZero() {
			l.folds[i].Add(r)
		} else {
			l.late++
		}
		if seen != nil {
			seen(plan)
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if plan.Open() != 0 {
		l.t.Errorf("%d targets are still open", plan.Open())
	}
	return counts
}

// compare holds the traces against the truth.
func (l *listed) compare(c *sim.Conn, m *sim.Model) (v verdict, syns []int) {
	first := make(map[netip.AddrPort]sim.Sent)
	for _, s := range c.Sent() {
		if _, ok := first[s.Probe.Dst]; !ok && s.Probe.Src.Port()%5 == 0 {
			first[s.Probe.Dst] = s
		}
	}
	v.probes = len(c.Sent())
	for i, f := range l.folds {
		b, err := first[l.options[i].Target].Probe.AppendBinary(nil)
		if err != nil {
			l.t.Fatalf("target %d: %v", i, err)
		}
		truth, err := m.Expect(b)
		if err != nil {
			l.t.Fatal(err)
		}
		one := verdict{}
		one.compare(f, truth)
		for _, w := range one.wrong {
			v.wrong = append(v.wrong, fmt.Sprintf("target %d, %s", i, w))
		}
		v.found, v.missed = v.found+one.found, v.missed+one.missed
		if one.ends {
			syns = append(syns, c.Truth(i).Target.SYN)
		}
	}
	slices.Sort(syns)
	return v, syns
}

// TestTargets: many targets with one pace over all, at most so many at a time, are traced as truly as one alone, and with
// as few SYNs at each.
func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		queries, probes int // probes a target at the most
		missed          int // hops of 1000 at the most
	}{{2, 38, 5}, {3, 56, 2}} {
		t.Run(fmt.Sprint(tt.queries), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newListed(t, *manyTargets, tt.queries)
				m, err := sim.New(sim.Scenario{Seed: l.seed, Paths: l.paths})
				if err != nil {
					t.Fatal(err)
				}
				c := sim.NewConn(m)
				defer c.Close()
				most, begin := 0, time.Now()
				l.run(t.Context(), c, c, trace.TargetsOptions{Open: 300, Nearby: 300}, trace.Options{}, func(p *trace.Targets) {
					most = max(most, p.Open())
				})
				took := time.Since(begin)
				v, syns := l.compare(c, m)
				for _, w := range v.wrong {
					t.Error(w)
				}
				t.Logf("took %v; %d probes; %d hops found, %d missed; SYNs at a target: median %d, 95 %% %d; %d late", took, v.probes,
					v.found, v.missed, syns[len(syns)/2], syns[len(syns)*95/100], l.late)
				if n := len(l.paths); most != min(300, n) || v.probes > tt.probes*n {
					t.Errorf("%d were open; %d probes for %d targets", most, v.probes, n)
				}
				if 1000*v.missed > tt.missed*(v.found+v.missed)+500 {
					t.Errorf("%d hops missed of %d", v.missed, v.found+v.missed)
				}
				if syns[len(syns)/2] > 3 || syns[len(syns)*95/100] > 4 {
					t.Errorf("SYNs at a target: median %d, 95 %% %d", syns[len(syns)/2], syns[len(syns)*95/100])
				}
				trace.CheckPace(t, c.Sent(), l.rate, 16)
			})
		})
	}
}

// TestTargetsOwnPorts: with ports of their own the targets get the same packets, but for the ports.
func TestTargetsOwnPorts(t *testing.T) {
	t.Parallel()
	const targets = 60
	var packets [2][]string
	for i, ports := range []func(int) uint16{nil, func(target int) uint16 { return uint16(10000 + 5*target) }} {
		synctest.Test(t, func(t *testing.T) {
			l := newListed(t, targets, 2)
			for i := range l.paths {
				for j := range l.paths[i].Routers { // what depends on the ports
					r := &l.paths[i].Routers[j]
					r.Addrs, r.PerPacket, r.NAT, r.Tracking = r.Addrs[:min(len(r.Addrs), 1)], false, sim.NAT{}, sim.Tracking{}
				}
			}
			l.ports = ports
			m, err := sim.New(sim.Scenario{Seed: l.seed, Paths: l.paths})
			if err != nil {
				t.Fatal(err)
			}
			c := sim.NewConn(m)
			defer c.Close()
			begin := time.Now()
			l.run(t.Context(), c, c, trace.TargetsOptions{Open: 20, Nearby: 20}, trace.Options{}, nil)
			for _, s := range c.Sent() {
				packets[i] = append(packets[i], fmt.Sprint(s.At.Sub(begin), s.Probe.Dst, s.Probe.TTL, s.Probe.Src.Port()%5))
			}
		})
	}
	if !slices.Equal(packets[0], packets[1]) {
		for i := range packets[0] {
			if packets[0][i] != packets[1][i] {
				t.Fatalf("packet %d: %s, with ports of its own %s", i, packets[0][i], packets[1][i])
			}
		}
	}
}

// TestTargetsNearby: of one network no more targets are open than is allowed, and others take their places meanwhile.
func TestTargetsNearby(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const filtered = "router 10.0.0.1 delay=1ms\ntarget 198.51.%d.%d delay=1ms filtered\n"
		l := newListed(t, 0, 2)
		var network string
		for i := range 40 {
			network += fmt.Sprintf(filtered, i/10, 1+i%10) // in file order, ten of each network
		}
		scenario, err := sim.Parse(network)
		if err != nil {
			t.Fatal(err)
		}
		l.paths = scenario.Paths
		l.folds, l.options = make([]*trace.Trace, len(l.paths)), make([]trace.PathOptions, len(l.paths))
		l.ends = make([]time.Time, len(l.paths))
		m, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		most := 0
		l.run(t.Context(), c, c, trace.TargetsOptions{Open: 7, Nearby: 2}, trace.Options{}, func(*trace.Targets) {
			open := make(map[int]int) // by network
			all := 0
			for i, f := range l.folds {
				if f != nil && l.ends[i].IsZero() {
					open[i/10]++
					all++
				}
			}
			for n, k := range open {
				if k > 2 {
					t.Errorf("%d of network %d are open", k, n)
				}
			}
			most = max(most, all)
		})
		if most != 7 {
			t.Errorf("%d are open at the most", most)
		}
	})
}

// TestTargetsEnd: a target that takes too long ends with what is known of it, and so do those that are open when the run is
// stopped; no other is begun then.
func TestTargetsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		stop    time.Duration // when the run is stopped, within a second
		begun   int
		end     time.Duration // of the first two
	}{
		{"timeout", 700 * time.Millisecond, 0, 4, 700 * time.Millisecond},
		{"stop", 0, 300 * time.Millisecond, 2, 1300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newListed(t, 0, 2)
				scenario, err := sim.Parse("router 10.0.0.1 delay=1ms\ntarget 198.51.1.1 delay=1ms filtered\n" +
					"router 10.0.0.2 delay=1ms\ntarget 198.51.2.1 delay=1ms filtered\n" +
					"router 10.0.0.3 delay=1ms\ntarget 198.51.3.1 delay=1ms filtered\n" +
					"router 10.0.0.4 delay=1ms\ntarget 198.51.4.1 delay=1ms filtered\n")
				if err != nil {
					t.Fatal(err)
				}
				l.paths, l.folds, l.options = scenario.Paths, make([]*trace.Trace, 4), make([]trace.PathOptions, 4)
				l.ends = make([]time.Time, 4)
				m, err := sim.New(scenario)
				if err != nil {
					t.Fatal(err)
				}
				c := sim.NewConn(m)
				defer c.Close()
				var plan atomic.Pointer[trace.Targets]
				wake := make(chan struct{}, 1)
				begin := time.Now()
				if tt.stop == 0 {
					close(wake)
				} else {
					go func() {
						time.Sleep(tt.stop)
						plan.Load().Stop(time.Now().Add(time.Second))
						wake <- struct{}{}
						close(wake)
					}()
				}
				l.run(t.Context(), c, c, trace.TargetsOptions{Open: 2, Timeout: tt.timeout}, trace.Options{Wake: wake},
					func(p *trace.Targets) { plan.Store(p) })
				begun := 0
				for i, f := range l.folds {
					if f == nil {
						continue
					}
					begun++
					if end := l.ends[i].Sub(begin); i < 2 && (end < tt.end || end > tt.end+time.Millisecond) {
						t.Errorf("target %d ends after %v", i, end)
					}
					if h := f.Hop(1).Probes; len(h) != 2 || h[0].Outcome != trace.Answered || f.Reached() {
						t.Errorf("target %d, hop 1: %+v", i, h)
					}
					for ttl := 2; ttl <= f.Last(); ttl++ {
						for _, r := range f.Hop(ttl).Probes {
							if r.Outcome == trace.Lost && time.Since(r.Sent) < 500*time.Millisecond {
								t.Errorf("target %d, hop %d is lost after %v", i, ttl, l.ends[i].Sub(r.Sent))
							}
						}
					}
				}
				if begun != tt.begun {
					t.Errorf("%d targets were begun", begun)
				}
			})
		})
	}
}
