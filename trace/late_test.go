package trace_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// lateConn is the connection of a busy host: its program reads nothing for a while, again and again. What came in meanwhile
// it gets then, with the instants at which it came in.
type lateConn struct {
	*sim.Conn
	start     time.Time
	by, every time.Duration // for how long it reads nothing, and how often
}

// Recv implements trace.Conn.
func (c *lateConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	n, at, err := c.Conn.Recv(ctx, buf)
	if err != nil {
		return n, at, err
	}
	if into := time.Since(c.start) % c.every; into < c.by {
		time.Sleep(c.by - into)
	}
	return n, at, nil
}

// Backlog implements trace.Backlogger.
func (c *lateConn) Backlog() bool { return c.Waiting() }

// TestLateReader: a host that reads late shows no wrong hop for that, and misses hardly one.
func TestLateReader(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{50 * time.Millisecond, 90 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(fmt.Sprint(by), func(t *testing.T) {
			t.Parallel()
			missed := 0
			for i, p := range sim.Internet(*internetSeed, 2**internetPaths, sim.InternetOptions{}).Paths {
				seed := *internetSeed + uint64(i)
				punctual := traceInternet(t, seed, p, nil)
				v := traceInternet(t, seed, p, func(c *sim.Conn) trace.Conn {
					return &lateConn{Conn: c, start: time.Now(), by: by, every: 400 * time.Millisecond}
				})
				for _, w := range v.wrong {
					t.Errorf("path %d: %s", i, w)
				}
				if v.missed > punctual.missed {
					t.Logf("path %d misses %d hops, %d in time", i, v.missed, punctual.missed)
				}
				missed += v.missed - punctual.missed
			}
			if missed > 2 {
				t.Errorf("%d hops more are missed", missed)
			}
		})
	}
}

// floodedConn gets packets without end besides the answers, and reads them a while after they came in.
type floodedConn struct {
	*sim.Conn
	lag time.Duration
}

// Recv implements trace.Conn.
func (c floodedConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	time.Sleep(50 * time.Microsecond)
	soon, cancel := context.WithCancel(ctx)
	cancel()
	if n, at, err := c.Conn.Recv(soon, buf); err == nil {
		return n, at, nil
	}
	return copy(buf, "nothing that could be read"), time.Now().Add(-c.lag), ctx.Err()
}

// Backlog implements trace.Backlogger.
func (floodedConn) Backlog() bool { return true }

// TestFlooded: a flood, which always leaves something to be read, keeps no probe alive for ever.
func TestFlooded(t *testing.T) {
	t.Parallel()
	p := chain(false, 12, 5*time.Millisecond)
	p.Routers[3].Silent = 1
	p.Target.State = sim.Filtered
	quiet := newSetup(p).trace(t)
	s := newSetup(p)
	s.conn = func(c *sim.Conn) trace.Conn { return floodedConn{c, 50 * time.Millisecond} }
	o := s.trace(t)
	o.wantHops(t, 3, append(route(false, 11, 4), make([]netip.Addr, 19)...)...)
	if o.took > 2*quiet.took {
		t.Errorf("took %v, without the flood %v", o.took, quiet.took)
	}
}

// losingConn loses one packet in so many, as a socket does whose buffer is full, and counts them.
type losingConn struct {
	*sim.Conn
	every int
	n     atomic.Int64
}

// Recv implements trace.Conn.
func (c *losingConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := c.Conn.Recv(ctx, buf)
		if err != nil || c.n.Add(1)%int64(c.every) != 0 {
			return n, at, err
		}
	}
}

// LostHere implements trace.LossCounter.
func (c *losingConn) LostHere() int { return int(c.n.Load()) / c.every }

// TestLostHere: what was lost on this host is not the network's loss. It is asked anew, and counted.
func TestLostHere(t *testing.T) {
	t.Parallel()
	for _, every := range []int{1, 2, 5, 20} {
		s := newSetup(chain(false, 9, 3*time.Millisecond))
		s.conn = func(c *sim.Conn) trace.Conn { return &losingConn{Conn: c, every: every} }
		o := s.trace(t)
		if o.err != nil || o.counts.LostHere == 0 {
			t.Errorf("one in %d: %v, %d lost", every, o.err, o.counts.LostHere)
		}
		for _, r := range o.results {
			if r.Outcome == trace.Lost {
				t.Errorf("one in %d: probe %d, TTL %d, is lost", every, r.N, r.Probe.TTL)
			}
		}
		if every == 20 {
			o.wantHops(t, 3, route(false, 9)...)
		}
	}
}

// readConn gives packets the time of their being read, as a host does without stamps.
type readConn struct{ *lateConn }

// Recv implements trace.Conn.
func (c readConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	n, at, err := c.lateConn.Recv(ctx, buf)
	if err == nil {
		at = time.Now()
	}
	return n, at, err
}

// TestTimesOfReading: without stamps the answers to the first probes fit several of them. The next answer is the next probe's all the
// same, even if each hop gets one probe: with one that was taken for a late one 40 of 400 targets were shown a hop too far.
func TestTimesOfReading(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 78))
		n := 1 + rng.IntN(6)
		p := chain(false, n, 0)
		for i := range p.Routers {
			p.Routers[i].Delay = time.Duration(1 + rng.Int64N(int64(50*time.Microsecond)))
		}
		p.Target.Delay = time.Duration(1 + rng.Int64N(int64(50*time.Microsecond)))
		s := withProbePorts(newSetup(p))
		s.path.Queries, s.scenario.Seed = 1, seed
		by, every := time.Duration(rng.Int64N(int64(3*time.Millisecond))), time.Duration(20+rng.IntN(100))*time.Millisecond
		s.conn = func(c *sim.Conn) trace.Conn {
			return readConn{&lateConn{Conn: c, start: time.Now(), by: by, every: by + every}}
		}
		if o := s.trace(t); o.trace.Unplaced() != nil || o.trace.Last() != n {
			t.Errorf("seed %d: the target is at hop %d, want %d", seed, o.trace.Last(), n)
		}
	}
}
