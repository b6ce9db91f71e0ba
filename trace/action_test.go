package trace_test

import (
	"net/netip"
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
