package report

import (
	"net/netip"
	"slices"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// ecnHop is one probe's answer: the flags and TOS that a router quotes, or the flags of the target.
type ecnHop struct {
	flags  packet.Flags
	tos    uint8
	short  bool // 8 bytes quoted
	silent bool
	target bool
}

func TestECN(t *testing.T) {
	const (
		classic  = packet.SYN | packet.ECE | packet.CWR
		accurate = classic | packet.AE
		synack   = packet.SYN | packet.ACK
	)
	as := func(f packet.Flags) ecnHop { return ecnHop{flags: f} }
	target := func(f packet.Flags) ecnHop { return ecnHop{flags: f, target: true} }
	for _, tt := range []struct {
		name string
		sent packet.Flags
		tos  uint8
		hops []ecnHop
		want []string
	}{
		{"nothing asked", packet.SYN, 0xb8, []ecnHop{as(packet.SYN), target(synack)}, nil},
		{"all well", classic, 0, []ecnHop{as(classic), as(classic), as(classic), target(synack | packet.ECE)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hops 1 to 3: as it was sent",
			"ECN: target: SYN+ACK with ECE: it uses ECN (RFC 3168)",
		}},
		{"stripped", classic, 0, []ecnHop{as(classic), {silent: true}, as(packet.SYN), as(packet.SYN), target(synack)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): as it was sent",
			"ECN: hops 3 to 4: without CWR and ECE, changed between hop 1 and hop 3",
			"ECN: target: SYN+ACK with no ECN flag: it does not use ECN",
		}},
		{"a silent hop between", classic, 0, []ecnHop{as(classic), {silent: true}, as(classic)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hops 1 to 3, those that answered: as it was sent",
		}},
		{"stripped at once", classic, 0, []ecnHop{as(packet.SYN | packet.CWR)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): without ECE, changed before hop 1",
		}},
		{"short quotes", classic, 0, []ecnHop{{short: true}, as(classic)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): too little of the TCP header quoted to tell its flags, IP ECN field as sent",
			"ECN: hop 2 (198.18.2.1): as it was sent",
		}},
		{"a short quote before the change is seen", classic, 0, []ecnHop{as(classic), {short: true}, as(packet.SYN)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): as it was sent",
			"ECN: hop 2 (198.18.2.1): too little of the TCP header quoted to tell its flags, IP ECN field as sent",
			"ECN: hop 3 (198.18.3.1): without CWR and ECE, changed between hop 1 and hop 3",
		}},
		{"a short quote after the change", classic, 0, []ecnHop{as(packet.SYN), {short: true}, as(packet.SYN), as(classic)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): without CWR and ECE, changed before hop 1",
			"ECN: hop 2 (198.18.2.1): too little of the TCP header quoted to tell its flags, IP ECN field as sent",
			"ECN: hop 3 (198.18.3.1): without CWR and ECE",
			"ECN: hop 4 (198.18.4.1): as it was sent, changed between hop 3 and hop 4",
		}},
		{"a short quote with another field", classic, 2, []ecnHop{{flags: classic, tos: 2}, {short: true, tos: 3}, {flags: packet.SYN, tos: 3}}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field ECT(0)",
			"ECN: hop 1 (198.18.1.1): as it was sent",
			"ECN: hop 2 (198.18.2.1): too little of the TCP header quoted to tell its flags, IP ECN field CE, changed between hop 1 and hop 2",
			"ECN: hop 3 (198.18.3.1): without CWR and ECE, IP ECN field CE, changed between hop 1 and hop 3",
		}},
		{"IP field erased", packet.SYN, 2, []ecnHop{{flags: packet.SYN, tos: 2}, {flags: packet.SYN}, target(synack)}, []string{
			"ECN: sent: SYN with no ECN flag, IP ECN field ECT(0)",
			"ECN: hop 1 (198.18.1.1): as it was sent",
			"ECN: hop 2 (198.18.2.1): IP ECN field Not-ECT, changed between hop 1 and hop 2",
		}},
		{"congestion", classic, 1, []ecnHop{{flags: classic, tos: 3}}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field ECT(1)",
			"ECN: hop 1 (198.18.1.1): IP ECN field CE, changed before hop 1",
		}},
		{"added", packet.SYN | packet.ECE, 0, []ecnHop{as(packet.SYN | packet.ECE | packet.AE)}, []string{
			"ECN: sent: SYN with ECE, IP ECN field Not-ECT",
			"ECN: hop 1 (198.18.1.1): with AE that was not sent, changed before hop 1",
		}},
		{"reset", classic, 0, []ecnHop{target(packet.RST | packet.ACK)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: target: its answer is no SYN+ACK, so it says nothing of ECN",
		}},
		{"sent back", classic, 0, []ecnHop{target(synack | packet.ECE | packet.CWR)}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: target: SYN+ACK with CWR and ECE: it only sends the flags back, and does not use ECN",
		}},
		{"the SYN+ACK's own field", classic, 0, []ecnHop{{flags: synack | packet.ECE, tos: 2, target: true}}, []string{
			"ECN: sent: SYN with CWR and ECE, IP ECN field Not-ECT",
			"ECN: target: SYN+ACK with ECE: it uses ECN (RFC 3168); the SYN+ACK's own IP ECN field is ECT(0)",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ECN(ecnTrace(tt.sent, tt.tos, tt.hops)); !slices.Equal(got, tt.want) {
				t.Errorf("%q\nwant\n%q", got, tt.want)
			}
		})
	}
	// RFC 9768 table 2.
	for f, want := range map[packet.Flags]string{
		0:                                   "SYN+ACK with no ECN flag: it does not use ECN",
		packet.ECE:                          "SYN+ACK with ECE: it uses ECN, but not Accurate ECN",
		packet.AE | packet.ECE:              "SYN+ACK with AE and ECE: it uses ECN, but not Accurate ECN",
		packet.CWR:                          "SYN+ACK with CWR: it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field Not-ECT",
		packet.CWR | packet.ECE:             "SYN+ACK with CWR and ECE: it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field ECT(1)",
		packet.AE:                           "SYN+ACK with AE: it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field ECT(0)",
		packet.AE | packet.CWR:              "SYN+ACK with AE and CWR: it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field CE",
		packet.AE | packet.CWR | packet.ECE: "SYN+ACK with AE, CWR and ECE: it only sends the flags back, and does not use ECN",
	} {
		got := ECN(ecnTrace(accurate, 0, []ecnHop{target(synack | f)}))
		if len(got) != 2 || got[0] != "ECN: sent: SYN with AE, CWR and ECE, IP ECN field Not-ECT" || got[1] != "ECN: target: "+want {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
	}
}

func ecnTrace(sent packet.Flags, tos uint8, hops []ecnHop) *trace.Trace {
	tr := trace.NewTrace(trace.PathOptions{Queries: 1})
	for i, h := range hops {
		r := trace.Result{
			Probe: packet.Probe{Src: source, Dst: target, TTL: uint8(i + 1), Flags: sent, TOS: tos},
			N:     i + 1, Outcome: trace.Answered, Reply: &packet.Reply{Kind: packet.KindTimeExceeded},
		}
		r.Reply.IP.Src = netip.AddrFrom4([4]byte{198, 18, byte(i + 1), 1})
		switch {
		case h.silent:
			r.Outcome, r.Reply = trace.Lost, nil
		case h.target:
			r.Reply.Kind, r.Reply.TCP.Flags, r.Reply.IP.TOS = packet.KindTCP, h.flags, h.tos
		default:
			q := &r.Reply.Quote
			q.IP.TOS, q.TCP.Have = h.tos, 20
			if q.TCP.Flags = h.flags; h.short {
				q.TCP.Have, q.TCP.Flags = 8, 0
			}
		}
		tr.Add(r)
	}
	tr.Finish()
	return tr
}
