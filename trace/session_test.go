package trace_test

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// TestStrays: a target that answers the first probe alone, which has the highest TTL, is nowhere.
func TestStrays(t *testing.T) {
	o := trace.PathOptions{Source: source4, Target: netip.AddrPortFrom(address(false, 4), 443), MaxTTL: 12, Queries: 2}
	sent := time.Now()
	result := func(n, ttl int, kind packet.Kind, back uint8) trace.Result {
		r := trace.Result{Probe: packet.Probe{TTL: uint8(ttl)}, N: n, Outcome: trace.Lost, Sent: sent}
		if kind != packet.KindOther {
			r.Outcome, r.Recv, r.Reply = trace.Answered, sent, &packet.Reply{Kind: kind}
			r.Reply.IP.TTL = back
		}
		return r
	}
	const none, tcp, exceeded = packet.KindOther, packet.KindTCP, packet.KindTimeExceeded
	for _, tt := range []struct {
		name    string
		results []trace.Result
		last    int
		placed  bool
	}{
		{"the first alone", []trace.Result{result(1, 12, tcp, 61), result(2, 11, none, 0), result(3, 12, none, 0)}, 12, false},
		{"nothing else was asked there", []trace.Result{result(1, 12, tcp, 61), result(2, 11, none, 0)}, 11, false},
		{"one more", []trace.Result{result(1, 12, tcp, 61), result(2, 11, none, 0), result(3, 12, tcp, 61)}, 12, true},
		{"behind a router", []trace.Result{result(1, 12, tcp, 61), result(2, 11, exceeded, 0), result(3, 12, none, 0)}, 12, true},
		{"its answer comes from as far away", []trace.Result{result(1, 12, tcp, 53), result(2, 11, none, 0)}, 12, true},
		{"a nearer one too", []trace.Result{result(1, 12, tcp, 61), result(2, 4, tcp, 61), result(3, 11, none, 0)}, 4, true},
	} {
		folded := trace.NewTrace(o)
		for _, r := range tt.results {
			folded.Add(r)
		}
		folded.Finish()
		shown := false
		for h := range folded.Hops() {
			for _, r := range h.Probes {
				shown = shown || r.FromTarget()
			}
		}
		if unplaced := folded.Unplaced(); folded.Last() != tt.last || shown != tt.placed || (unplaced == nil) != tt.placed || !folded.Reached() {
			t.Errorf("%s: the last hop is %d, shown: %v, unplaced: %v", tt.name, folded.Last(), shown, unplaced)
		}
	}
}

// TestCheckSession: what a trace inside a connection shows is enough, or why it isn't.
func TestCheckSession(t *testing.T) {
	o := trace.PathOptions{Source: source4, Target: netip.AddrPortFrom(address(false, 4), 443), MaxTTL: 12}
	for _, tt := range []struct {
		name   string
		target string // its probes: + answered, - lost, ! refused
		closed bool
		ttl    uint8 // of its SYN+ACK
		ok     bool
	}{
		{"all answered", "+++", false, 61, true},
		{"all answered after the end", "+++", true, 61, true},
		{"one lost", "+-+", false, 61, true},
		{"the last lost", "++-", false, 61, true},
		{"one lost after the end", "+-+", true, 61, false},
		{"no more answers", "+--", false, 61, false},
		{"none", "---", false, 61, false},
		{"none, but it is farther", "---", false, 40, true},
		{"refused", "!!-", true, 61, true},
	} {
		folded := trace.NewTrace(o)
		for i, c := range tt.target {
			r := trace.Result{Probe: packet.Probe{TTL: 4}, N: i + 1, Outcome: trace.Answered, Reply: &packet.Reply{Kind: packet.KindTCP}}
			switch c {
			case '-':
				r.Outcome, r.Reply = trace.Lost, nil
			case '!':
				r.Reply.Kind = packet.KindUnreachable
			}
			folded.Add(r)
		}
		folded.Finish()
		if err := trace.CheckSession(folded, tt.closed, tt.ttl); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
