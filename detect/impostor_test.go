package detect_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// A reset beside the target's SYN+ACK is somebody else's where it has another TTL.
func TestInjectedReset(t *testing.T) {
	source, target := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.9:443")
	for _, tt := range []struct {
		name string
		ttl  uint8 // of the reset; 0: there is none
		want string
	}{
		{"a reset from nearer", 61, "reset-on-path likely 0-7, port-open certain 7-7"},
		{"a reset from the target itself", 58, "port-open certain 7-7"},
		{"no reset", 0, "port-open certain 7-7"},
	} {
		o := trace.PathOptions{Source: source, Target: target, FirstTTL: 7, MaxTTL: 8, Queries: 1}
		v := detect.View{Trace: trace.NewTrace(o), Options: o}
		v.Trace.Add(answered(t, source, target, packet.SYN|packet.ACK, 58, trace.Answered))
		if tt.ttl > 0 {
			v.Trace.Add(answered(t, source, target, packet.RST|packet.ACK, tt.ttl, trace.Duplicate))
		}
		v.Trace.Finish()
		got := ""
		for i, s := range text(detect.Findings(detect.Evidence{View: v})) {
			if i > 0 {
				got += ", "
			}
			got += s
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if all := detect.Findings(detect.Evidence{}); all != nil {
		t.Errorf("without a trace: %v", all)
	}
}

// answered is a probe with TTL 7 that was answered by a segment with these flags and this TTL.
func answered(t *testing.T, source, target netip.AddrPort, flags packet.Flags, ttl uint8, fate trace.Outcome) trace.Result {
	b, err := packet.AppendTCP(nil, &packet.Segment{Src: target, Dst: source, TTL: ttl, Flags: flags, Ack: 8})
	if err != nil {
		t.Fatal(err)
	}
	r := new(packet.Reply)
	if err := packet.Parse(b, r); err != nil {
		t.Fatal(err)
	}
	sent := time.Unix(0, 0)
	return trace.Result{
		Probe: packet.Probe{Src: source, Dst: target, TTL: 7, Seq: 7, Flags: packet.SYN}, N: 1, Outcome: fate,
		Sent: sent, Recv: sent.Add(time.Millisecond), Reply: r,
	}
}

// An answer of which isn't known how far it has come may be that of anything on the way.
func TestAnswerOfUnknownDistance(t *testing.T) {
	source, target := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.9:443")
	for flags, want := range map[packet.Flags]string{
		packet.SYN | packet.ACK: "port-open possible 0-0",
		packet.RST | packet.ACK: "port-closed possible 0-0",
	} {
		o := trace.PathOptions{Source: source, Target: target, MaxTTL: 8, Queries: 1}
		v := detect.View{Trace: trace.NewTrace(o), Options: o}
		v.Trace.Add(answered(t, source, target, flags, 62, trace.Shared))
		v.Trace.Finish()
		if got := text(detect.Findings(detect.Evidence{View: v})); len(got) != 1 || got[0] != want {
			t.Errorf("%v: %v, want %s", flags, got, want)
		}
	}
}

// Two ways home of different length look like somebody between the routers who accepts connections. He would let no SYN
// pass to the routers beyond him, and those have answered.
func TestTwoWaysHome(t *testing.T) {
	for _, seed := range []uint64{9001209, 9007827} {
		w := randomWorld(seed)
		all := detect.Findings(w.scenario().evidence(t, seed, nil))
		i := slices.IndexFunc(all, func(x detect.Finding) bool { return x.Code == detect.TCPProxy })
		if i < 0 || all[i].Confidence != detect.Possible {
			t.Errorf("world %d: %v, want tcp-proxy possible\n%s", seed, text(all), details(all))
		}
	}
}
