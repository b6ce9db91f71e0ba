package detect_test

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// FuzzFindings makes traces of any answers: they are found something about without a panic, the same each time, and
// nothing for certain by what one router alone quotes.
func FuzzFindings(f *testing.F) {
	source, target := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.9:443")
	probe := packet.Probe{Src: source, Dst: target, ID: 7, Seq: 9, Flags: packet.SYN, Options: linuxSYN(f)}
	for ttl := range uint8(4) {
		p := probe
		p.TTL = ttl + 1
		quote, err := p.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		for _, kind := range []uint8{packet.ICMPv4TimeExceeded, packet.ICMPv4Unreachable} {
			b, err := packet.AppendICMP(nil, &packet.ICMPError{
				Src: netip.AddrFrom4([4]byte{10, 0, ttl, 1}), Dst: source.Addr(), TTL: 64 - ttl, Type: kind, Code: ttl, Quote: quote,
			})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, uint8(4), []byte{0, 1, 2, 3})
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, hops uint8, fates []byte) {
		var r packet.Reply
		if packet.Parse(answer, &r) != nil || len(fates) == 0 || hops == 0 {
			return
		}
		o := trace.PathOptions{Source: source, Target: target, MaxTTL: int(hops)}
		view := detect.View{Trace: trace.NewTrace(o), Options: o}
		start := time.Unix(0, 0)
		for i := range int(hops) {
			for q := range 3 {
				p := probe
				p.TTL = uint8(i + 1)
				p.ID = uint16(i*3 + q)
				fate := trace.Outcome(fates[(i*3+q)%len(fates)] % 10)
				x := trace.Result{Probe: p, N: i*3 + q + 1, Outcome: fate, Sent: start}
				switch fate {
				case trace.Answered, trace.Late, trace.Duplicate, trace.Shared, trace.Rewritten, trace.Elsewhere:
					x.Reply, x.Recv = r.Clone(), start.Add(time.Millisecond)
				case trace.Failed:
					x.Err = trace.ErrNextHop
				}
				view.Trace.Add(x)
			}
		}
		view.Trace.Finish()
		e := detect.Evidence{View: view}
		for a := detect.AskFlow; a <= detect.AskWay; a++ {
			e.Answer(detect.Question{Ask: a, Flow: int(a), Options: o}, view)
		}
		first, again := detect.Findings(e), detect.Findings(e)
		if len(first) != len(again) {
			t.Fatal("another time something else is found")
		}
		detect.Questions(e)
		for i, x := range first {
			if x.Title != again[i].Title {
				t.Errorf("first %q, then %q", x.Title, again[i].Title)
			}
			if x.Title == "" || x.Confidence < detect.Possible || x.Confidence > detect.Certain || x.After > x.Before {
				t.Errorf("%+v", x)
			}
			switch x.Code {
			case detect.DNAT, detect.SNAT, detect.MSSClamped, detect.OptionsRemoved, detect.DSCPChanged, detect.ECNErased, detect.HeaderRewritten, detect.IPIDRewritten,
				detect.LabelRewritten:
				if x.Confidence == detect.Certain {
					t.Errorf("certain by one router alone: %+v", x)
				}
			}
		}
	})
}
