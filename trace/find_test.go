package trace_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

const threeHops = `
	router 10.0.0.1 delay=1ms
	router *
	target 203.0.113.9 delay=5ms closed open=443`

var threeHopsPath = trace.PathOptions{
	Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
}

// connect is a connection to a simulated network.
func connect(t testing.TB, text string) *sim.Conn {
	t.Helper()
	c, err := sim.Connect(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func responders(found *trace.Trace) (all []string) {
	for hop := range found.Hops() {
		who := "*"
		for _, r := range hop.Probes {
			if r.Outcome == trace.Answered {
				who = r.From().String()
			}
		}
		all = append(all, who)
	}
	return all
}

// A whole trace, and one that is cut short: what is known until then is there.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found, err := trace.Find(t.Context(), connect(t, threeHops), threeHopsPath)
		if err != nil || !found.Reached() {
			t.Fatal(found, err)
		}
		if got, want := responders(found), []string{"10.0.0.1", "*", "203.0.113.9"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		for hop := range found.Hops() { // and not on, when the reader has enough
			if hop.TTL != 1 {
				t.Errorf("hop %d", hop.TTL)
			}
			break
		}
	})
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, enough)
		defer cancel()
		found, err := trace.Find(ctx, connect(t, threeHops), threeHopsPath)
		if !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
		if got := responders(found); len(got) == 0 || got[0] != "10.0.0.1" {
			t.Errorf("%q", got)
		}
	})
	if found, err := trace.Find(t.Context(), nil, trace.PathOptions{}); found != nil || err == nil {
		t.Errorf("%v, %v without a target", found, err)
	}
}

// faulty is a connection whose host knows why nothing is answered.
type faulty struct{ *sim.Conn }

func (faulty) Fault(packet.Probe, bool) error { return errors.New("unplugged") }

func TestFindAsksForFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := threeHopsPath
		o.MaxTTL, o.Queries = 1, 1
		found, err := trace.Find(t.Context(), faulty{connect(t, "router *\ntarget 203.0.113.9")}, o)
		if send := (*trace.SendError)(nil); !errors.As(err, &send) || send.Probes != 1 {
			t.Errorf("error %v", err)
		}
		if r := found.Hop(1).Probes[0]; r.Outcome != trace.Failed || r.From().IsValid() {
			t.Errorf("%v, from %v", r.Outcome, r.From())
		}
	})
}
