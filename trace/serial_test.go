package trace_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

const serialWait = 850 * time.Millisecond

// connecting is a network as an ordinary user has it: the next probe from a port ends the one before, whose answers are
// then nobody's.
type connecting struct {
	*sim.Conn
	rng     *rand.Rand // for the time that sending takes, as on an unaligned connection; nil: none
	mu      sync.Mutex
	current map[uint16]packet.Probe // by port
}

func newConnecting(m *sim.Model, rng *rand.Rand) *connecting {
	return &connecting{Conn: sim.NewConn(m), rng: rng, current: map[uint16]packet.Probe{}}
}

func (c *connecting) SyntheticPackets() {}

func (c *connecting) Send(p packet.Probe) (time.Time, error) {
	if c.rng != nil {
		time.Sleep(time.Duration(c.rng.IntN(10_000)))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current[p.Src.Port()] = p
	return c.Conn.Send(p)
}

func (c *connecting) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := c.Conn.Recv(ctx, buf)
		if err != nil {
			return n, at, err
		}
		var r packet.Reply
		if packet.Parse(buf[:n], &r) != nil {
			continue
		}
		c.mu.Lock()
		p := c.current[max(r.TCP.DstPort, r.Quote.TCP.SrcPort)]
		c.mu.Unlock()
		_, echo, _ := r.TCP.Options.Timestamps()
		if val, _, _ := p.Options.Timestamps(); r.Kind == packet.KindTCP && echo == val || r.Kind != packet.KindTCP && r.Quote.Key() == p.Key() {
			return n, at, nil
		}
	}
}

// serially carries out a serial trace in virtual time.
func serially(t *testing.T, path sim.Path, o trace.PathOptions) (out outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Paths: []sim.Path{path}})
		if err != nil {
			t.Fatal(err)
		}
		c := newConnecting(m, nil)
		defer c.Close()
		o.Target = netip.AddrPortFrom(path.Target.Addr, 80)
		if o.Source = source4; path.Target.Addr.Is6() {
			o.Source = source6
		}
		plan, err := trace.NewSerial(o, serialWait)
		if err != nil {
			t.Fatal(err)
		}
		out.trace = trace.NewTrace(o)
		start := time.Now()
		out.counts, out.err = trace.Run(t.Context(), c, plan, trace.Options{}, func(r trace.Result) {
			out.results = append(out.results, r)
			out.trace.Add(r)
		})
		out.took, out.truth, out.sent = time.Since(start), c.Truth(0), c.Sent()
		out.trace.Finish()
	})
	return out
}

// found is who answered at each hop: an address, or none.
func (o outcome) found() (who []netip.Addr) {
	for ttl := o.trace.First(); ttl <= o.trace.Last(); ttl++ {
		var from netip.Addr
		for _, r := range o.trace.Hop(ttl).Probes {
			if r.Reply != nil {
				from = r.Reply.From()
			}
		}
		who = append(who, from)
	}
	return who
}

// A serial trace finds every hop and the target, one probe after the other, and the target gets one probe more than it is
// asked.
func TestSerial(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		path := chain(v6, 6, 5*time.Millisecond)
		path.Routers[2].Silent = 1
		path.Routers[3].Late = sim.Held{P: 1, By: 500 * time.Millisecond} // too late for the first probe
		got := serially(t, path, trace.PathOptions{})
		want := []netip.Addr{address(v6, 1), address(v6, 2), {}, address(v6, 4), address(v6, 5), address(v6, 6)}
		if who := got.found(); !slices.Equal(who, want) || got.err != nil || !got.trace.Reached() {
			t.Errorf("found %v, %v, want %v", who, got.err, want)
		}
		if n := got.truth.Target.SYN; n != 4 {
			t.Errorf("the target got %d SYNs", n)
		}
		if got.took > 4*time.Second {
			t.Errorf("it took %v", got.took)
		}
		for _, r := range got.results {
			if r.Reply == nil {
				continue
			}
			if r.Evidence != trace.ByKernel || r.Reply.Quote.Bytes != 0 || r.Reply.Quote.IP.Version != 0 {
				t.Fatalf("what the kernel can't know is evidence: %v %+v", r.Evidence, r.Reply.Quote)
			}
		}
		for i, a := range got.sent[1:] {
			if before := got.sent[i]; a.At.Sub(before.At) < 2*5*time.Millisecond*time.Duration(min(6, before.Probe.TTL)) && before.Probe.TTL != 3 {
				t.Errorf("TTL %d was sent %v after TTL %d", a.Probe.TTL, a.At.Sub(before.At), before.Probe.TTL)
			}
		}
	}
}

// A target behind a link far longer than the rest of the path is never asked again while its answer is on its way.
func TestSerialLongLink(t *testing.T) {
	path := chain(false, 5, time.Millisecond)
	path.Routers[3].Silent = 1
	path.Target.Link.Delay = 200 * time.Millisecond
	got := serially(t, path, trace.PathOptions{})
	if who := got.found(); len(who) != 5 || who[4] != address(false, 5) {
		t.Errorf("found %v", who)
	}
	for i, a := range got.sent[1:] {
		if before := got.sent[i]; before.Probe.TTL >= 5 && a.At.Sub(before.At) < 400*time.Millisecond {
			t.Errorf("TTL %d was sent %v after TTL %d", a.Probe.TTL, a.At.Sub(before.At), before.Probe.TTL)
		}
	}
}

// A filtered target: every hop gets its probes, none is waited for longer than there is reason to.
func TestSerialFiltered(t *testing.T) {
	path := chain(false, 8, 5*time.Millisecond)
	path.Routers[5].Rules = []sim.Rule{{Action: sim.Drop}}
	got := serially(t, path, trace.PathOptions{})
	if who := got.found(); len(who) != 30 || who[5] != address(false, 6) || slices.ContainsFunc(who[6:], netip.Addr.IsValid) {
		t.Errorf("found %v", who)
	}
	for ttl := 1; ttl <= 30; ttl++ {
		if n := len(got.trace.Hop(ttl).Probes); n != 3 {
			t.Errorf("%d outcomes at TTL %d", n, ttl)
		}
	}
	// 24 hops, three probes each, of quickMargin and half a round trip more; four of them and the first wait their whole time.
	if got.took > 15*time.Second {
		t.Errorf("it took %v", got.took)
	}
	patient := serially(t, path, trace.PathOptions{Patient: true, MaxTTL: 8})
	if want := 6 * serialWait; patient.took < want {
		t.Errorf("with patience it took %v, want %v and more", patient.took, want)
	}
}

// A path on which nobody answers at all: every hop gets its probes, in a time that a user waits. Who is the first to
// answer beyond silent hops is found all the same.
func TestSerialSilent(t *testing.T) {
	path := chain(false, 14, 3*time.Millisecond)
	for i := range path.Routers {
		path.Routers[i].Silent = 1
	}
	path.Target.State = sim.Filtered
	got := serially(t, path, trace.PathOptions{})
	for ttl := 1; ttl <= 30; ttl++ {
		if n := len(got.trace.Hop(ttl).Probes); n != 3 {
			t.Errorf("%d outcomes at TTL %d", n, ttl)
		}
	}
	if got.took > 7*time.Second {
		t.Errorf("it took %v", got.took)
	}
	for _, hop := range []int{5, 12} {
		one := path
		one.Routers = slices.Clone(path.Routers)
		one.Routers[hop-1].Silent = 0
		if who := serially(t, one, trace.PathOptions{}).found(); !who[hop-1].IsValid() {
			t.Errorf("found %v, want hop %d", who, hop)
		}
	}
}

// A single hop may be asked alone, and a hop beyond the last TTL isn't.
func TestSerialEdges(t *testing.T) {
	path := chain(false, 5, time.Millisecond)
	for _, tt := range []struct{ first, last, hops int }{{3, 3, 1}, {5, 5, 1}, {1, 2, 2}, {4, 9, 2}} {
		got := serially(t, path, trace.PathOptions{FirstTTL: tt.first, MaxTTL: tt.last})
		who := got.found()
		if len(who) != tt.hops {
			t.Errorf("%+v: found %v", tt, who)
		}
		for i, a := range who {
			if a != address(false, tt.first+i) || len(got.trace.Hop(tt.first+i).Probes) != 3 {
				t.Errorf("%+v: found %v", tt, who)
			}
		}
	}
}

// With a port for each probe several are in flight, but never two from one port.
func TestSerialPorts(t *testing.T) {
	path := chain(false, 9, 20*time.Millisecond)
	path.Routers[1].Silent = 1
	ports := []uint16{40001, 40002, 40003, 40004, 40005, 40006, 40007, 40008}
	got := serially(t, path, trace.PathOptions{Ports: ports})
	if who := got.found(); len(who) != 9 || who[8] != address(false, 9) || who[1].IsValid() || !who[2].IsValid() {
		t.Errorf("found %v", who)
	}
	if got.took > 3*time.Second {
		t.Errorf("it took %v", got.took)
	}
	used := make(map[uint16]bool)
	for _, s := range got.sent {
		used[s.Probe.Src.Port()] = true
	}
	if len(used) != len(ports) {
		t.Errorf("%d ports used of %d", len(used), len(ports))
	}
}

// TestSerialTargetDown has nobody on the last link, and a last router that says so 3.06 s after the first probe that it could not
// deliver, to six probes at the most, the oldest first, and then to one a second. One is still waited for then.
func TestSerialTargetDown(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, tt := range []struct {
			name string
			hops int
			o    trace.PathOptions
		}{
			{"by default", 4, trace.PathOptions{}},
			{"far away", 11, trace.PathOptions{}},
			{"at hop 2", 2, trace.PathOptions{}},
			{"two probes per hop", 4, trace.PathOptions{Queries: 2}},
			{"waiting as long as can be", 4, trace.PathOptions{Patient: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				for _, delay := range []time.Duration{50 * time.Microsecond, 5 * time.Millisecond} {
					p := deadTarget(v6, tt.hops, delay, 3060*time.Millisecond)
					for i := range p.Routers {
						p.Routers[i].SourceRate = sim.Rate{Every: time.Second, Burst: 6}
					}
					out := serially(t, p, tt.o)
					out.wantDead(t, v6, tt.hops)
					if out.took > 6*time.Second {
						t.Errorf("it took %v", out.took)
					}
				}
			})
		}
	})
}
