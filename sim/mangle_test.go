package sim

import (
	"net/netip"
	"testing"

	"go.example/tcptraceroute/packet"
)

// quoted is the probe as the second of two routers saw it, behind one with these words.
func quoted(t *testing.T, words string, p packet.Probe) *packet.Reply {
	t.Helper()
	s, err := Parse("router 10.0.0.1 " + words + "\nrouter 10.0.0.2\ntarget 203.0.113.9")
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Inject(0, b); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, _, ok := m.Receive(1e9, buf)
	if !ok {
		t.Fatal("no answer")
	}
	var r packet.Reply
	if err := packet.Parse(buf[:n], &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestMangle(t *testing.T) {
	o := with(packet.Options{}.WithMSS(1460))
	o = with(nop(o).WithWindowScale(7)) // at an odd offset
	o = with(o.WithSACKPermitted())
	p := packet.Probe{
		Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:80"),
		TTL: 2, Flags: packet.SYN | packet.ECE | packet.CWR, Window: 64240, Options: o,
	}
	for words, want := range map[string][]string{
		"":                        nil,
		"set-mss=1380":            {"MSS 1460 -> 1380"},
		"set-mss=1500":            nil,
		"no-option=3":             {"window scale overwritten"},
		"no-option=2,4":           {"MSS overwritten", "SACK permitted overwritten"},
		"clear-flags=192":         {"TCP flags SYN|ECE|CWR -> SYN"},
		"set-window=100":          {"window 64240 -> 100"},
		"set-tos=184 set-mss=500": {"DSCP 0 -> 46", "MSS 1460 -> 500"},
	} {
		r := quoted(t, words, p)
		var got []string
		for c := range r.Quote.Changes(p) {
			got = append(got, c.String())
		}
		if len(got) != len(want) {
			t.Errorf("%q: %q, want %q", words, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %q, want %q", words, got, want)
			}
		}
		if r.Quote.TCP.Checksum != packet.CheckGood || r.Quote.IP.Checksum != packet.CheckGood {
			t.Errorf("%q: checksums %v and %v", words, r.Quote.IP.Checksum, r.Quote.TCP.Checksum)
		}
	}
}

// A SYN proxy answers in the target's name, to SYNs only.
func TestAccept(t *testing.T) {
	p := packet.Probe{
		Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:80"),
		TTL: 2, Seq: 7, Flags: packet.SYN,
	}
	r := quoted(t, "accept=80", p)
	if r.Kind != packet.KindTCP || r.TCP.Flags != packet.SYN|packet.ACK || r.TCP.Ack != 8 || r.From() != p.Dst.Addr() || r.IP.TTL != 255 {
		t.Errorf("%v from %v with TTL %d: %v, ack %d", r.Kind, r.From(), r.IP.TTL, r.TCP.Flags, r.TCP.Ack)
	}
	if r := quoted(t, "accept=81", p); r.Kind != packet.KindTimeExceeded {
		t.Errorf("another port: %v", r.Kind)
	}
}
