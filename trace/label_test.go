package trace_test

import (
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// Each IPv6 flow has a label of its own, which stays the same: the path's own, those of the distance probes, and each port's.
func TestLabelOfEachFlow(t *testing.T) {
	ports := []uint16{42001, 42002, 42003, 42004, 42005, 42006}
	for _, tt := range []struct {
		name string
		edit func(*setup)
		of   int // flows, at least
	}{
		{"scouts", func(s *setup) { withProbePorts(s) }, 3},
		{"ports", func(s *setup) { s.path.Ports = ports }, len(ports)},
		{"echo", func(s *setup) { s.path.Protocol = packet.ProtoEcho }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetup(chain(true, 7, time.Millisecond))
			tt.edit(s)
			labels, ports := map[uint16]uint32{}, map[uint32]uint16{}
			for _, r := range s.trace(t).results {
				port, label := r.Probe.Src.Port(), r.Probe.FlowLabel
				if was, ok := labels[port]; label == 0 || label > 0xfffff || ok && was != label {
					t.Fatalf("port %d has label %#x, and then %#x", port, was, label)
				}
				if was, ok := ports[label]; ok && was != port {
					t.Fatalf("ports %d and %d have the same label, %#x", was, port, label)
				}
				labels[port], ports[label] = label, port
			}
			if len(labels) < tt.of {
				t.Errorf("labels %v, want %d", labels, tt.of)
			}
		})
	}
}

// Traces with the same seed have the same label for the same port, others not.
func TestLabelSeed(t *testing.T) {
	label := func(seed uint64) uint32 {
		s := newSetup(chain(true, 3, time.Millisecond))
		s.path.LabelSeed = seed
		return s.trace(t).results[0].Probe.FlowLabel
	}
	if a, b, c := label(1), label(1), label(2); a != b || a == c {
		t.Errorf("labels %#x, %#x for one seed, %#x for another", a, b, c)
	}
}

// Behind a device that erases flow labels, or sets them to something else, all hops are shown, as fast as without it.
func TestRewrittenLabels(t *testing.T) {
	for _, label := range []uint32{0, 7, 0xfffff} {
		for _, window := range []int{1, trace.DefaultParallel} {
			s := newSetup(chain(true, 12, 5*time.Millisecond))
			s.path.Parallel = window
			want := s.trace(t)
			s.scenario.Paths[0].Routers[2].Set.FlowLabel = new(label)
			got := s.trace(t)
			got.wantHops(t, 3, route(true, 12)...)
			if got.counts != want.counts || got.took != want.took {
				t.Errorf("label %#x: %+v in %v, without it %+v in %v", label, got.counts, got.took, want.counts, want.took)
			}
		}
	}
	// Nothing but the sequence number is left of it where routers quote 8 bytes of TCP, as IPv4 routers behind a NAT64 may.
	p := chain(true, 8, 5*time.Millisecond)
	p.Routers[2].Set.FlowLabel = new(uint32)
	for i := range p.Routers {
		p.Routers[i].Quote = sim.QuoteMinimum
	}
	newSetup(p).trace(t).wantHops(t, 3, route(true, 8)...)
}
