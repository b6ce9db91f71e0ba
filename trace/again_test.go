package trace_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// TestAskedAgain: however often a hop is asked again because its silence is not believed, it shows no more losses than
// probes were asked for.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	again := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 33))
		n := 3 + rng.IntN(12)
		delays := []time.Duration{50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}
		p := chain(rng.IntN(2) == 0, n, delays[rng.IntN(len(delays))])
		loss := []float64{0, 0.05, 0.3, 0.5}[rng.IntN(4)]
		for i := range p.Routers {
			r := &p.Routers[i]
			r.Loss = loss / float64(n)
			if rng.IntN(4) == 0 {
				r.Jitter = time.Duration(rng.Int64N(int64(100 * time.Millisecond)))
			}
			if rng.IntN(4) == 0 {
				r.Silent = 1
			}
		}
		p.Target.State = []sim.State{sim.Open, sim.Closed, sim.Filtered}[rng.IntN(3)]
		if rng.IntN(2) == 0 {
			limit := sim.Rate{Every: time.Second / time.Duration(4+rng.IntN(50)), Burst: 1 + rng.IntN(12)}
			p.Routers[rng.IntN(len(p.Routers))].SYNs = limit
		}
		s := newSetup(p)
		s.path.Queries = 1 + rng.IntN(3)
		if rng.IntN(2) == 0 {
			withProbePorts(s)
		}
		s.scenario.Seed = seed
		o := s.trace(t)
		for ttl := 1; ttl <= o.trace.Last(); ttl++ {
			lost := 0
			for _, r := range o.trace.Hop(ttl).Probes {
				if r.Outcome == trace.Lost {
					lost++
				}
			}
			if lost > s.path.Queries {
				t.Errorf("seed %d: %d losses at hop %d, %d probes asked for", seed, lost, ttl, s.path.Queries)
			}
		}
		if len(o.sent) > n*s.path.Queries {
			again++
		}
	}
	if again < 20 {
		t.Errorf("only %d traces had anything asked again", again)
	}
}

// TestSentAgainIsNoTime: a target that no reset reaches sends its answers again after a second and more. Silent hops are
// not waited for by that time: these took 22 to 28 s.
func TestSentAgainIsNoTime(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{6, 263, 272} {
		p := chain(false, 8, 5*time.Millisecond)
		p.Routers[3].Silent, p.Routers[4].Silent = 1, 1
		p.Target.Back.Loss = 0.3
		s := newSetup(p)
		withProbePorts(s)
		s.scenario.Seed, s.scenario.NoHostRST = seed, true
		if o := s.trace(t); o.trace.Last() != 8 || o.took > 10*time.Second {
			t.Errorf("seed %d: %d hops in %v, want 8 in 10 s", seed, o.trace.Last(), o.took)
		}
	}
}

// TestNoResets: a target that no reset reaches has one number for all SYN+ACKs, and sends them again. It is shown where
// it is, also where times differ by milliseconds: with one that counted only in the first second 5 of 400 were not.
func TestNoResets(t *testing.T) {
	t.Parallel()
	missed := 0
	for seed := range uint64(400) {
		if !placedWithoutResets(t, seed, 0) {
			missed++
			t.Logf("seed %d: how far the target is was not told", seed)
		}
	}
	if missed > 2 {
		t.Errorf("how far %d targets are was not told", missed)
	}
	// A SYN comes after one that was sent later. The target answers it by an ACK with the timestamp of the other one.
	placedWithoutResets(t, 8474, 0)
	placedWithoutResets(t, 2254, 1)
}

// placedWithoutResets reports whether it was told how far a target is that no reset reaches, and that it was told rightly.
func placedWithoutResets(t *testing.T, seed uint64, queries int) bool {
	rng := rand.New(rand.NewPCG(seed, 77))
	n := 2 + rng.IntN(14)
	p := chain(rng.IntN(2) == 0, n, 0)
	for i := range p.Routers {
		r := &p.Routers[i]
		r.Delay = time.Duration(rng.Int64N(int64(5 * time.Millisecond)))
		if rng.IntN(6) == 0 {
			r.Silent = 1
		}
		r.Jitter = time.Duration(1 + rng.Int64N(int64(3*time.Millisecond)))
	}
	p.Target.Delay = time.Duration(1 + rng.Int64N(int64(5*time.Millisecond)))
	s := withProbePorts(newSetup(p))
	s.path.Queries = queries
	s.scenario.Seed, s.scenario.NoHostRST = seed, true
	o := s.trace(t)
	if o.trace.Unplaced() != nil {
		return false
	}
	if o.trace.Last() != n {
		t.Errorf("seed %d: the target is at hop %d, want %d", seed, o.trace.Last(), n)
	}
	return true
}

// TestLatenessIsNoLimit: that answers come late, or are read late by a busy host, doesn't make a silent hop be asked again.
func TestLatenessIsNoLimit(t *testing.T) {
	t.Parallel()
	lateHost := func(s *setup, by, first time.Duration) {
		s.conn = func(c *sim.Conn) trace.Conn {
			return &lateConn{Conn: c, start: time.Now().Add(first - 2*by), by: by, every: 2 * by}
		}
	}
	lateRouters := func(s *setup, by, _ time.Duration) {
		for i := range s.scenario.Paths[0].Routers {
			s.scenario.Paths[0].Routers[i].Late = sim.Held{P: 0.5, By: by}
		}
	}
	for who, late := range map[string]func(s *setup, by, first time.Duration){"host": lateHost, "routers": lateRouters} {
		for seed := range uint64(100) {
			v6 := seed%2 == 0
			p := chain(v6, 5, 50*time.Microsecond)
			p.Routers[2].Silent = 1
			s := withProbePorts(newSetup(p))
			s.scenario.Seed, s.path.Queries = seed, 2
			late(s, time.Duration(20+seed)*time.Millisecond, time.Duration(1+seed%10)*500*time.Microsecond)
			o := s.trace(t)
			if who == "host" {
				o.wantHops(t, 2, route(v6, 5, 3)...)
			}
			n := 0
			for _, sent := range o.sent {
				if sent.Probe.TTL == 3 {
					n++
				}
			}
			if n > 3 { // once more where an answer fits several probes
				t.Errorf("%s, seed %d: the silent hop was asked %d times", who, seed, n)
			}
		}
	}
}

// lateDistance is the connection of a host or a path on which the answers to distance probes are late, and no others.
type lateDistance struct {
	*sim.Conn
	by   time.Duration
	come chan received
	once sync.Once
}

type received struct {
	b   []byte
	at  time.Time
	err error
}

// Recv implements trace.Conn.
func (c *lateDistance) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	c.once.Do(func() { go c.forward(ctx) })
	r := <-c.come
	return copy(buf, r.b), r.at, r.err
}

// forward hands on what comes in until ctx ends.
func (c *lateDistance) forward(ctx context.Context) {
	for {
		buf := make([]byte, 1500)
		n, at, err := c.Conn.Recv(ctx, buf)
		var r packet.Reply
		if err == nil && packet.Parse(buf[:n], &r) == nil && r.Kind == packet.KindTCP && r.TCP.DstPort != source4.Port() {
			time.AfterFunc(c.by, func() { c.come <- received{buf[:n], time.Now(), nil} })
			continue
		}
		c.come <- received{buf[:n], at, err}
		if err != nil {
			return
		}
	}
}

// TestLateScouts: where the distance probes are answered late, so that all other answers are sooner than expected, the target is shown
// where it is all the same.
func TestLateScouts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 34))
		n := 2 + rng.IntN(13)
		p := chain(false, n, time.Duration(100+rng.IntN(20000))*time.Microsecond)
		p.Target.State = []sim.State{sim.Open, sim.Closed}[rng.IntN(2)]
		p.Target.Jitter = time.Duration(rng.Int64N(int64(10 * time.Millisecond)))
		by := time.Duration(1+rng.IntN(200)) * time.Millisecond
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		s.conn = func(c *sim.Conn) trace.Conn { return &lateDistance{Conn: c, by: by, come: make(chan received, 1000)} }
		if o := s.trace(t); o.trace.Last() != n || len(o.shown(n)) != 1 || o.shown(n)[0] != p.Target.Addr.String() {
			t.Errorf("seed %d: scouts late by %v: %d hops, want %d, and hop %d shows %v", seed, by, o.trace.Last(), n, n, o.hop(min(n, o.trace.Last())))
		}
	}
}
