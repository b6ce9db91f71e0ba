package expect_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/expect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// traced makes a trace of a network's path.
func traced(t *testing.T, network string) *record.Trace {
	t.Helper()
	s, err := sim.Parse(network)
	if err != nil {
		t.Fatal(err)
	}
	made := new(record.Trace)
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s)
		if err != nil {
			t.Fatal(err)
		}
		conn := sim.NewConn(m)
		defer conn.Close()
		o := trace.PathOptions{Target: netip.AddrPortFrom(s.Paths[0].Target.Addr, 443), MaxTTL: 8,
			Source: netip.MustParseAddrPort("192.0.2.7:41234"), Rand: rand.New(rand.NewPCG(1, 7))}
		plan, err := trace.NewPath(o)
		if err != nil {
			t.Fatal(err)
		}
		made.Path, made.Started = o, time.Now()
		folded := trace.NewTrace(o)
		_, err = trace.Run(t.Context(), conn, plan, trace.Options{}, func(r trace.Result) {
			made.Results = append(made.Results, r)
			folded.Add(r)
		})
		if err != nil {
			t.Fatal(err)
		}
		made.Findings = detect.Findings(detect.Evidence{View: detect.View{Trace: folded, Options: o}})
		made.Ending.Reason = record.Complete
	})
	made.Owners = map[netip.Addr]record.Owner{netip.MustParseAddr("198.51.100.1"): {ASN: 64500, Name: "X"}}
	return made
}

const (
	open     = "router 10.0.1.1 delay=1ms\nrouter 198.51.100.1 delay=1ms\ntarget 203.0.113.9 delay=2ms"
	filtered = open + " filtered"
)

// A condition holds, or the part that doesn't is named with what there is instead.
func TestCheck(t *testing.T) {
	t.Parallel()
	all := map[string]*record.Trace{
		"open": traced(t, open), "filtered": traced(t, filtered), "closed": traced(t, open+" closed"),
		"far": traced(t, "router 10.0.1.1 delay=20ms\nrouter 203.0.113.1\n target 203.0.113.9 delay=21ms"),
	}
	measured := *all["open"]
	measured.MTU = &record.MTU{MTU: trace.MTU{Size: 1400}}
	all["measured"] = &measured
	bare := *all["open"]
	bare.Findings = nil
	all["bare"] = &bare
	for _, tt := range []struct{ trace, text, want string }{
		{"open", "reached", ""},
		{"open", "!reached", "!reached (reached is true)"},
		{"filtered", "reached", "reached (reached is false)"},
		{"open", "state == open", ""},
		{"open", `state == "open"`, ""},
		{"closed", "state == open && reached", "state == open (state is closed)"},
		{"filtered", "state==no_answer", ""},
		{"open", "hops <= 3", ""},
		{"open", "reached && hops<3", "hops<3 (hops is 3)"},
		{"open", "hops + 1 == 4", ""},
		{"filtered", "hops <= 3", "hops <= 3 (hops isn't known: the target gave no answer)"},
		{"filtered", "hops > 3", "hops > 3 (hops isn't known: the target gave no answer)"},
		{"open", "rtt<50ms", ""},
		{"open", "rtt < 0.05s && rtt_min>1us && rtt_max<1m", ""},
		{"far", "reached && hops<=15 && rtt<50ms && !via(AS64500)", "rtt<50ms (rtt is 82ms)"},
		{"filtered", "rtt<50ms", "rtt<50ms (no time is known: the target gave no answer)"},
		{"filtered", "rtt>=50ms", "rtt>=50ms (no time is known: the target gave no answer)"},
		{"filtered", "!reached || rtt<50ms", ""},
		{"open", "loss<=0%", ""},
		{"open", "loss < 10", ""},
		{"filtered", "loss < 10%", "loss < 10% (loss is 100.0%)"},
		{"open", "via(10.0.1.1) && via(198.51.100.0/24) && !via(2001:db8::/32)", ""},
		{"open", "via(10.0.1.2)", "via(10.0.1.2) (via(10.0.1.2) is false)"},
		{"open", `via("10.0.1.1")`, ""},
		{"open", "via(AS64500)", ""},
		{"open", "reached && !via(AS64500)", "!via(AS64500) (via(AS64500) is true)"},
		{"open", "via(AS64501)", "via(AS64501) (via(AS64501) is false)"},
		{"far", "!via(AS64500)", "!via(AS64500) (the AS of 203.0.113.1 isn't known)"},
		{"open", `finding("port-open")`, ""},
		{"open", `!finding("port-open")`, `!finding("port-open") (finding(port-open) is true)`},
		{"open", "finding(port-open) && !finding(path-ends)", ""},
		{"open", "finding( path-ends )", "finding( path-ends ) (finding(path-ends) is false)"},
		{"open", "false", "false"},
		{"bare", `!finding("port-closed")`, `!finding("port-closed") (no findings are known: the trace was saved without)`},
		{"measured", "mtu >= 1400", ""},
		{"measured", "mtu >= 1500", "mtu >= 1500 (mtu is 1400)"},
		{"open", "mtu >= 1500", "mtu >= 1500 (mtu isn't known: --mtu measures it)"},
		{"open", "reached && (hops < 2 || rtt > 1s)", "(hops < 2 || rtt > 1s) (hops is 3, rtt is 8ms)"},
		{"open", "hops < 2 || hops > 2 && reached", ""},
		{"open", "not reached or hops == 3", ""},
	} {
		c, err := expect.Compile(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := c.Check(all[tt.trace]); got != tt.want {
			t.Errorf("%s, of %s: %q, want %q", tt.text, tt.trace, got, tt.want)
		}
	}
}

// A mistake is told in one line, with its place.
func TestCompile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		column int
		reason string
	}{
		{"", 1, "there is no condition"},
		{" ", 1, "there is no condition"},
		{"reached && rt<50ms", 12, "unknown name rt; a condition may ask for reached, state"},
		{"rtt<50", 4, "a time is compared with a time, such as 50ms or 1.5s"},
		{"reached &&", 11, ""},
		{"hops", 1, "a condition is true or false"},
		{"hops < ", 7, "something is missing at the end"},
		{"via", 1, "a condition is true or false, and this is a question that needs something in brackets, such as via(192.0.2.1)"},
		{"hops<=15ms", 5, "a time is compared with a time"},
		{"state<5", 6, "a word can't be compared or computed with a number"},
		{"reached==1", 8, "true or false can't be compared or computed with a number"},
		{"rtt <50 ms", 9, "this isn't expected here: ms"},
		{"reached(1)", 1, "no brackets follow this"},
		{"via()", 1, "via takes one thing in its brackets"},
		{"finding(5)", 9, "5 is no finding"},
		{"finding(nonsense)", 9, "nonsense is no finding"},
		{"duration(nonsense) < 5ms", 10, "duration takes something else in its brackets"},
		{"finding(path - ends)", 14, "finding takes something else in its brackets"},
		{`reached && via("10." + "0.0.1")`, 22, "via takes something else in its brackets"},
		{"hops<99999999999999999999999", 28, "this is no number, or one that is too large"},
		{"!hops", 1, "this can't be computed"},
		{`hops<"a`, 8, "a quote is missing at the end"},
		{"(reached", 9, ""},
		{"reached)", 8, ""},
		{"via(AS)", 5, "AS is none of what via takes"},
		{"reached && via(10.0.0.0/33)", 16, "10.0.0.0/33 is none of what via takes"},
		{"via(1+2)", 5, "1+2 is none of what via takes"},
		{`finding("nonsense")`, 9, "nonsense is no finding"},
		{"reached\x1b[31m", 8, "only printable ASCII is allowed"},
		{strings.Repeat("x", 1001), 1001, "a condition has at most 1000 bytes"},
		{"1..1000000000 == 2..3", 2, ".. is not allowed in a condition"},
		{`state matches "(a+)+"`, 7, "matches is not allowed in a condition"},
		{"[1,2] == [1]", 1, "this is not allowed"},
		{"reached ? true : false", 22, "this is not allowed"},
		{"all([1], true)", 1, ""},
		{"len(state) > 1", 1, "unknown name len"},
		{"let x = 1; x == 1", 5, "this is not allowed"},
		{strings.Repeat("!", 900) + "reached", 1, ""},
		{strings.Repeat("(", 900) + "reached", 1, ""},
	} {
		_, err := expect.Compile(tt.text)
		mistake, ok := errors.AsType[*expect.Error](err)
		if !ok || !strings.Contains(mistake.Reason, tt.reason) || strings.Contains(err.Error(), "\n") || mistake.Column > len(tt.text)+1 ||
			tt.reason != "" && mistake.Column != tt.column {
			t.Errorf("%.40q: %v", tt.text, err)
		}
	}
}

// Whatever is typed, there is a condition or one line.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{"reached && hops<=15 && rtt<50ms && !via(AS64500)", `finding("dnat") || loss<5%`, "via('x')", "((", "%%", "1.5.5s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := expect.Compile(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", err)
			}
			return
		}
		c.Check(&record.Trace{Header: record.Header{Path: trace.PathOptions{MaxTTL: 3}}})
	})
}

func ExampleCompile() {
	c, err := expect.Compile("reached && hops <= 15 && rtt < 50ms")
	if err != nil {
		panic(err)
	}
	saved := new(record.Trace) // as record.ReadJSON returns it
	if failed := c.Check(saved); failed != "" {
		println("failed: " + failed)
	}
}
