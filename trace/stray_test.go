package trace_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// A target that has another connection with our ports answers SYNs with ACKs that have the numbers of that one, one
// each 500 ms. It is shown where it is, though these answers bring back nothing of the probes; where they take longer
// than that, perhaps nowhere, but never elsewhere.
func TestOlderConnection(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, distance := range []int{1, 2, 3, 5, 8, 12} {
			for _, delay := range []time.Duration{100 * time.Microsecond, 3 * time.Millisecond, 10 * time.Millisecond, 60 * time.Millisecond} {
				for _, silent := range []float64{0, 1} {
					for _, ports := range [][]uint16{nil, {40001, 40002, 40003, 40004}} {
						p := chain(v6, distance, delay)
						p.Target.Older = []uint16{source4.Port()}
						if distance > 1 {
							p.Routers[distance-2].Silent = silent
						}
						s := newSetup(p)
						s.path.ProbePorts = ports
						o := s.trace(t)
						what := fmt.Sprintf("distance %d, delay %v, silent %v, ports %v", distance, delay, silent, ports)
						shown := targetAt(o.trace)
						if wrong := shown != 0 && shown != distance; wrong || shown == 0 && time.Duration(2*distance)*delay <= 250*time.Millisecond {
							t.Errorf("%s: the target is shown at %d: %v", what, shown, allHops(o))
						}
					}
				}
			}
		}
	})
}

// targetAt is the first hop that shows an answer of the target; 0: none does.
func targetAt(tr *trace.Trace) int {
	for ttl := tr.First(); ttl <= tr.Last(); ttl++ {
		for _, r := range tr.Hop(ttl).Probes {
			if r.FromTarget() {
				return ttl
			}
		}
	}
	return 0
}

// Where the target answers by its own number too, ACKs of another connection are nobody's answer.
func TestOlderConnectionDoubted(t *testing.T) {
	p := chain(false, 9, 10*time.Millisecond)
	sameBesides(t, p, 10*time.Millisecond, packet.Segment{
		Src: netip.AddrPortFrom(p.Target.Addr, 443), Dst: source4, TTL: 60, Seq: 1, Ack: 2, Flags: packet.ACK, Window: 500,
	})
}

// sameBesides checks that a trace shows the same hops while a forged segment comes again and again.
func sameBesides(t *testing.T, p sim.Path, every time.Duration, forged packet.Segment) {
	t.Helper()
	want := newSetup(p).trace(t)
	b, err := packet.AppendTCP(nil, &forged)
	if err != nil {
		t.Fatal(err)
	}
	s := newSetup(p)
	s.during = func(ctx context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
		for ctx.Err() == nil {
			c.Forge(time.Now(), b)
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}
	o := s.trace(t)
	if got, want := fmt.Sprint(allHops(o)), fmt.Sprint(allHops(want)); got != want {
		t.Errorf("target %v, with forged %v:\n%s\nwithout:\n%s", p.Target.State, forged.Flags, got, want)
	}
	if o.counts.NearMisses < 10 {
		t.Errorf("%d near misses", o.counts.NearMisses)
	}
}

// An answer with our number from another address than was asked is no answer of the target's, but it is kept.
func TestAnsweredFromElsewhere(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, as := range []netip.AddrPort{netip.AddrPortFrom(address(v6, 77), 0), netip.AddrPortFrom(netip.Addr{}, 8443)} {
			p := chain(v6, 5, 3*time.Millisecond)
			p.Target.AnswersAs = as
			s := newSetup(p)
			o := s.trace(t)
			for ttl := 1; ttl <= o.trace.Last(); ttl++ {
				for _, r := range o.trace.Hop(ttl).Probes {
					if r.FromTarget() {
						t.Errorf("hop %d: %v is shown as the target", ttl, r.Reply.From())
					}
				}
			}
			if o.trace.Reached() {
				t.Error("reached")
			}
			got := o.trace.FromElsewhere()
			if len(got) == 0 {
				t.Fatalf("as %v: no answer from elsewhere is known", as)
			}
			for _, r := range got {
				if r.Outcome != trace.Elsewhere || !r.Reply.TCP.Flags.Has(packet.SYN|packet.ACK) || as.Addr().IsValid() && r.Reply.IP.Src != as.Addr() {
					t.Errorf("as %v: %v from %v", as, r.Outcome, r.Reply.From())
				}
			}
		}
	})
}
