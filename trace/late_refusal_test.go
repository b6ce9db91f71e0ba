package trace_test

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// TestLateRefusal: a router that refuses after the probe was taken back, or given up, ends the path all the same.
func TestLateRefusal(t *testing.T) {
	for _, fate := range []trace.Outcome{trace.Unknown, trace.Lost} {
		t.Run(fate.String(), func(t *testing.T) {
			f := trace.NewTrace(trace.PathOptions{MaxTTL: 10})
			at := time.Unix(1000, 0)
			add := func(n int, ttl uint8, fate trace.Outcome, reply *packet.Reply) {
				f.Add(trace.Result{Probe: packet.Probe{TTL: ttl}, N: n, Outcome: fate, Sent: at, Recv: at, Reply: reply})
			}
			said := func(kind packet.Kind) *packet.Reply {
				return &packet.Reply{Kind: kind, IP: packet.IP{Src: netip.MustParseAddr("10.0.1.1")}}
			}
			add(1, 1, trace.Answered, said(packet.KindTimeExceeded))
			add(2, 2, fate, nil)
			add(3, 2, trace.Lost, nil)
			add(2, 2, trace.Late, said(packet.KindUnreachable))
			f.Finish()
			if !f.Reached() || f.Last() != 2 {
				t.Errorf("reached: %v, the last hop is %d; want true and 2", f.Reached(), f.Last())
			}
			if got := f.Hop(2).Probes; len(got) == 0 || !got[0].Refused() {
				t.Errorf("hop 2 is %v", got)
			}
		})
	}
}
