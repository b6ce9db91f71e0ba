package record_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// aRounds is a measurement of three rounds: a router, a silent hop, and a target whose port is open.
func aRounds() *record.Trace {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	o := trace.PathOptions{Source: netip.MustParseAddrPort("192.0.2.1:40000"), MaxTTL: 5,
		Target: netip.MustParseAddrPort("203.0.113.9:443")}.Effective()
	o.Rand = nil
	stats := trace.NewStats(o)
	n := 0
	for round := range 3 {
		for ttl := 1; ttl <= 3; ttl++ {
			n++
			sent := start.Add(time.Duration(round) * time.Second)
			r := trace.Result{N: n, Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: uint8(ttl)}, Outcome: trace.Answered,
				Sent: sent, Recv: sent.Add(time.Duration(ttl*(round+1)) * time.Millisecond), Reply: new(packet.Reply)}
			switch ttl {
			case 1:
				r.Reply.Kind, r.Reply.IP.Src = packet.KindTimeExceeded, netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + round/2)})
			case 2:
				r.Reply, r.Outcome, r.Recv = nil, trace.Lost, time.Time{}
			case 3:
				r.Reply.Kind, r.Reply.IP.Src = packet.KindTCP, o.Target.Addr()
				r.Reply.TCP.Flags = packet.SYN | packet.ACK
			}
			stats.Add(r)
		}
	}
	rounds := record.RoundsOf(stats)
	rounds.Interval, rounds.Count, rounds.Hops[0].Others = time.Second, 3, 1
	return &record.Trace{Header: record.Header{Version: "1.0", Host: "www.example", Started: start, Path: o, Length: 40},
		Rounds: rounds, Names: map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "gw.example"},
		Owners: map[netip.Addr]record.Owner{netip.MustParseAddr("10.0.0.2"): {ASN: 64500, Name: "X", Country: "ZZ"}},
		Ending: record.Ending{Time: start.Add(3 * time.Second), Reason: record.Complete, Counts: trace.Counts{Sent: 9}}}
}

// Rounds as a document, and as the last line of lines, are valid, and read again they are what they were.
func TestRoundsJSON(t *testing.T) {
	t.Parallel()
	want := aRounds()
	if h := want.Rounds.Hops[0]; h.Received != 3 || h.Changes != 1 || len(h.Responders) != 2 || h.Average != 2*time.Millisecond {
		t.Fatalf("%+v", h)
	}
	if o := want.Rounds.Outcome; !o.Reached || o.State != record.Open || o.TTL != 3 {
		t.Fatalf("%+v", o)
	}
	var doc, lines bytes.Buffer
	l := record.NewLines(&lines, want.Header)
	if err := want.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	if err := l.Finish(want); err != nil {
		t.Fatal(err)
	}
	s := compiled(t, true)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(parsed); err != nil {
		t.Errorf("%v\n%s", err, &doc)
	}
	for _, text := range []string{doc.String(), lines.String()} {
		got, err := record.ReadJSON(bytes.NewReader([]byte(text)))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got.Rounds, want.Rounds) || !reflect.DeepEqual(got.Names, want.Names) || !reflect.DeepEqual(got.Owners, want.Owners) {
			t.Errorf("%+v\n%+v", got.Rounds, want.Rounds)
		}
	}
}

// Rounds whose target has answered, but by no hop that is known, have reached it, and say what it answered; who answers
// in the name of a target that nothing reaches doesn't say how the path ends.
func TestRoundsOutcome(t *testing.T) {
	t.Parallel()
	o := trace.PathOptions{Source: netip.MustParseAddrPort("192.0.2.1:40000"), MaxTTL: 5,
		Target: netip.MustParseAddrPort("203.0.113.9:443")}.Effective()
	result := func(n, ttl int, outcome trace.Outcome, kind packet.Kind, flags packet.Flags) trace.Result {
		sent := time.Unix(int64(n), 0)
		r := trace.Result{N: n, Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: uint8(ttl)}, Outcome: outcome, Sent: sent,
			Recv: sent.Add(time.Millisecond), Reply: &packet.Reply{Kind: kind}, Evidence: trace.ByTag}
		r.Reply.IP.Src, r.Reply.TCP.Flags = o.Target.Addr(), flags
		return r
	}
	const synAck = packet.SYN | packet.ACK
	for what, x := range map[string]struct {
		results []trace.Result
		state   record.PathState
		ttl     int
	}{
		"one of several probes": {[]trace.Result{result(1, 2, trace.Shared, packet.KindTCP, synAck)}, record.Open, 0},
		"one, and one of several": {[]trace.Result{result(1, 2, trace.Answered, packet.KindTCP, synAck),
			result(2, 3, trace.Shared, packet.KindTCP, synAck)}, record.Open, 2},
		"a router afterwards": {[]trace.Result{result(1, 2, trace.Answered, packet.KindTCP, packet.RST),
			result(2, 2, trace.Answered, packet.KindTimeExceeded, 0)}, record.Closed, 0},
		"a device": {[]trace.Result{result(1, 2, trace.Answered, packet.KindTCP, packet.RST),
			result(1, 2, trace.Duplicate, packet.KindTimeExceeded, 0)}, record.NoAnswer, 0},
	} {
		stats := trace.NewStats(o)
		for _, r := range x.results {
			stats.Add(r)
		}
		got := record.RoundsOf(stats).Outcome
		if got.State != x.state || got.TTL != x.ttl || got.Reached != (x.state != record.NoAnswer) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
