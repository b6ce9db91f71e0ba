package trace_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// noting is a plan that sends a few probes, each with a note, and counts those that come back to it.
type noting struct {
	t    *testing.T
	name string
	port uint16
	sent int
	back int
}

const notes = 3

func (p *noting) Next(time.Time) trace.Action {
	if p.sent == notes || p.back < p.sent {
		return trace.Action{}
	}
	p.sent++
	a := trace.Send(packet.Probe{
		Src: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), p.port), Dst: netip.MustParseAddrPort("203.0.113.9:443"),
		TTL: uint8(p.sent), Flags: packet.SYN, ID: uint16(p.sent), Seq: 7,
	})
	a.Note, a.Role = p, trace.RoleControl
	return a
}

func (p *noting) Learn(_ time.Time, r trace.Result) {
	if r.Note != p || r.Role != trace.RoleControl {
		p.t.Errorf("%s: note %v, role %v", p.name, r.Note, r.Role)
	}
	p.back++
}

// What a plan attaches to a probe comes back to it, also from within groups within groups, and whoever reads the results
// gets it too.
func TestNotesComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router 10.0.0.1\ntarget 203.0.113.9 open")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		a, b, c := &noting{t: t, name: "a", port: 1001}, &noting{t: t, name: "b", port: 1002}, &noting{t: t, name: "c", port: 1003}
		inner := trace.NewGroup(b, c)
		all := trace.NewGroup(a, inner)
		seen := make(map[any]int)
		_, err = trace.Run(t.Context(), conn, all, trace.Options{}, func(r trace.Result) {
			i, r := all.Of(r)
			if i == 1 {
				_, r = inner.Of(r)
			}
			seen[r.Note]++
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*noting{a, b, c} {
			if p.back != notes || seen[p] != notes {
				t.Errorf("%s: %d results learned, %d seen, want %d", p.name, p.back, seen[p], notes)
			}
		}
		if i, _ := all.Of(trace.Result{}); i != -1 {
			t.Errorf("a result of nobody belongs to %d", i)
		}
	})
}

// waiting is a plan that sends probes that wait for different times, and then lets one wait longer.
type waiting struct {
	waits    []time.Duration
	sent     []packet.Key
	extended bool
	lost     []time.Duration // after which time each probe was lost, in this order
	start    time.Time
}

func (p *waiting) Next(time.Time) trace.Action {
	if n := len(p.sent); n < len(p.waits) {
		a := trace.Send(packet.Probe{
			Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:443"),
			TTL: 1, Flags: packet.SYN, ID: uint16(n + 1), Seq: 7,
		})
		a.Wait = p.waits[n]
		p.sent = append(p.sent, a.Probe.Key())
		return a
	}
	if !p.extended {
		p.extended = true
		return trace.Extend(p.sent[0], p.start.Add(2500*time.Millisecond))
	}
	return trace.Action{}
}

func (p *waiting) Learn(now time.Time, r trace.Result) {
	if r.Outcome == trace.Lost {
		p.lost = append(p.lost, now.Sub(p.start))
	}
}

// How long a probe may be answered is its own.
func TestWaitsOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router *\ntarget 203.0.113.9")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p := &waiting{
			waits: []time.Duration{time.Second, 2 * time.Second, 0, 500 * time.Millisecond, time.Second}, start: time.Now(),
		}
		if _, err := trace.Run(t.Context(), conn, p, trace.Options{}, func(trace.Result) {}); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{
			500 * time.Millisecond, time.Second, 2 * time.Second, 2500 * time.Millisecond, trace.DefaultWait,
		}
		for i := range p.lost {
			p.lost[i] = p.lost[i].Round(10 * time.Millisecond)
		}
		if !slices.Equal(p.lost, want) {
			t.Errorf("lost after %v, want %v", p.lost, want)
		}
	})
}

// What is believed is a flow's own: of two paths in one run one takes answers with another sequence number, and one does
// not.
func TestTrustOfFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router 198.51.100.1 set-seq=99\nrouter 198.51.100.2\ntarget 203.0.113.9 open")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var plans []trace.Plan
		var found []*trace.Trace
		for i, loose := range []bool{true, false} {
			o := trace.PathOptions{
				Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(40000+i)),
				Target: netip.MustParseAddrPort("203.0.113.9:443"), Loose: loose, MaxTTL: 3, Rand: rand.New(rand.NewPCG(1, 2)),
			}
			plan, err := trace.NewPath(o)
			if err != nil {
				t.Fatal(err)
			}
			plans, found = append(plans, plan), append(found, trace.NewTrace(o))
		}
		all := trace.NewGroup(plans...)
		counts, err := trace.Run(t.Context(), conn, all, trace.Options{}, func(r trace.Result) {
			i, r := all.Of(r)
			found[i].Add(r)
		})
		if err != nil {
			t.Fatal(err)
		}
		answers := func(of *trace.Trace) (n int) {
			for _, r := range of.Hop(2).Probes {
				if r.Outcome == trace.Answered && r.Evidence == trace.Unverified {
					n++
				}
			}
			return n
		}
		if n := answers(found[0]); n != trace.DefaultQueries {
			t.Errorf("the loose one shows %d answers", n)
		}
		if n := answers(found[1]); n != 0 || counts.NearMisses == 0 {
			t.Errorf("the other one shows %d answers; %d near misses", n, counts.NearMisses)
		}
	})
}
