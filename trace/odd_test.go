package trace_test

import (
	"context"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// Networks in which answers were once taken for those to other probes.

// Where the network rewrites IP IDs, an answer names no probe. Answers from far away, or second ones, must not be taken
// for those from the next hop, nor a silent hop cost those behind it; and no probe that was answered is called lost.
func TestRewrittenIDs(t *testing.T) {
	for _, window := range []int{1, 16} {
		p := chain(false, 12, 35*time.Millisecond)
		p.Routers[1].RandomID = true
		p.Routers[4].Duplicate = 1
		p.Routers[6].Silent = 1
		s := newSetup(p)
		s.path.Parallel = window
		s.path.Wait, s.path.Patient = time.Second, true
		s.trace(t).wantHops(t, 3, route(false, 12, 7)...)
	}
}

// Behind a firewall that rewrites sequence numbers, the target's answers still on their way are not taken for those to
// the first probe that is sent alone.
func TestRandomisedSequenceNumbersFarAway(t *testing.T) {
	p := chain(false, 20, 35*time.Millisecond)
	p.Routers[8].RandomISN = true
	s := newSetup(p)
	s.path.Loose = true
	s.trace(t).wantHops(t, 3, route(false, 20)...)

	// Nor where nothing behind it can be told, because the IP IDs are rewritten too.
	p = chain(false, 12, 10*time.Millisecond)
	p.Routers[1].RandomISN = true
	p.Routers[4].RandomID = true
	s = newSetup(p)
	s.path.Loose = true
	s.trace(t).wantHops(t, 3, route(false, 12, 6, 7, 8, 9, 10, 11)...)
}

// Where the wait is shorter than the round trip, late answers of the target count for no later probe. They tell the
// distance, so that it isn't searched for up to the last TTL.
func TestWaitShorterThanTheRoundTrip(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			p := chain(v6, 20, 33*time.Millisecond)
			p.Target.State = state
			s := newSetup(p)
			s.path.Wait, s.path.Patient, s.path.MaxTTL = time.Second, true, 255
			o := s.trace(t)
			if o.trace.Last() > 60 || o.counts.Late == 0 {
				t.Errorf("%d hops, %d late answers", o.trace.Last(), o.counts.Late)
			}
			for ttl := 1; ttl <= o.trace.Last(); ttl++ {
				for _, r := range o.trace.Hop(ttl).Probes {
					took := time.Duration(ttl) * 66 * time.Millisecond
					// The target's wait may be longer, for a limit on SYNs looks the same.
					if want := ttl <= 15 || ttl == 20 && r.RTT() == took; (r.Outcome == trace.Answered) != want || want && r.RTT() != took {
						t.Errorf("hop %d: %v after %v", ttl, r.Outcome, r.RTT())
					}
				}
			}
		}
	})
}

// Fewer ports than probes in flight: some probes share a flow, and what is known of one flow is not known of the others.
func TestPortsUsedAgain(t *testing.T) {
	for _, ports := range []uint16{2, 7, 40} {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			p := chain(false, 12, 31*time.Millisecond)
			p.Target.State = state
			p.Routers[6].Silent, p.Routers[8].Silent = 1, 1
			s := newSetup(p)
			for i := range ports {
				s.path.Ports = append(s.path.Ports, 50000+i)
			}
			s.path.Parallel, s.path.Wait, s.path.Patient = 255, 5*time.Second, true
			s.trace(t).wantHops(t, 3, route(false, 12, 7, 9)...)
		}
	}
}

// cookieConn is a way to a target that answers by SYN cookies: equal SYNs get equal sequence numbers.
type cookieConn struct{ *sim.Conn }

func (c cookieConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	n, at, err := c.Conn.Recv(ctx, buf)
	var r packet.Reply
	if err == nil && packet.Parse(buf[:n], &r) == nil && r.Kind == packet.KindTCP {
		l4 := r.IP.HeaderLength
		copy(buf[l4+4:], []byte{1, 2, 3, 4})
		packet.CompleteTCPChecksum(buf[:n])
	}
	return n, at, err
}

func TestSYNCookies(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		s := newSetup(chain(v6, 9, 5*time.Millisecond))
		s.conn = func(c *sim.Conn) trace.Conn { return cookieConn{c} }
		o := s.trace(t)
		o.wantHops(t, 3, route(v6, 9)...)
		if o.took > time.Second {
			t.Errorf("took %v", o.took)
		}
	})
}

// A listening target that our reset doesn't reach stays in SYN_RECV: it answers the same SYN once in 500 ms, with the
// sequence number and the echoed timestamp of the first answer, and sends that again by itself.
func TestTargetNeverReset(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, delay := range []time.Duration{10 * time.Microsecond, 2 * time.Millisecond, 15 * time.Millisecond} {
			s := newSetup(chain(v6, 9, delay))
			s.scenario.NoHostRST = true
			o := s.trace(t)
			o.wantHops(t, 3, route(v6, 9)...)
			for _, r := range o.trace.Hop(9).Probes {
				if want := 18 * delay; r.RTT() != want {
					t.Errorf("delay %v: RTT %v", delay, r.RTT())
				}
			}
		}
	})
}

// The SYN's timestamps tell the probes apart, also where the caller asked for that option.
func TestTimestampsGiven(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		s := newSetup(chain(v6, 9, 5*time.Millisecond))
		s.path.Options, _ = s.path.Options.WithMSS(1400)
		s.path.Options, _ = s.path.Options.WithTimestamps(7, 0)
		o := s.trace(t)
		o.wantHops(t, 3, route(v6, 9)...)
		for _, r := range o.trace.Hop(9).Probes {
			if r.Evidence != trace.ByTag {
				t.Errorf("the target's answer is told by %v", r.Evidence)
			}
		}
		if mss, _ := o.sent[0].Probe.Options.MSS(); mss != 1400 {
			t.Errorf("MSS %d", mss)
		}
	})
}

// A doubted probe, the last that an answer of several could be for, is not taken for its recipient.
func TestUnevenAnswersOfAClosedPort(t *testing.T) {
	for seed := range uint64(50) {
		p := chain(false, 12, 3*time.Millisecond)
		p.Target.State = sim.Closed
		p.Routers[9].Held = sim.Held{P: 0.3, By: 40 * time.Millisecond}
		s := newSetup(p)
		s.scenario.Seed = seed + 1
		o := s.trace(t)
		o.wantHops(t, 3, route(false, 12)...)
		for _, r := range o.trace.Hop(12).Probes {
			if r.Evidence != trace.ByFlow || r.RTT() < 72*time.Millisecond {
				t.Errorf("seed %d: RTT %v by %v", seed, r.RTT(), r.Evidence)
			}
		}
		if t.Failed() {
			return
		}
	}
}
