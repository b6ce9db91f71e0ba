package compare_test

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// traced makes a trace of a network's path as the command does, and its findings.
func traced(t *testing.T, conn *sim.Conn, o trace.PathOptions) *record.Trace {
	t.Helper()
	plan, err := trace.NewPath(o)
	if err != nil {
		t.Fatal(err)
	}
	made := &record.Trace{Header: record.Header{Started: time.Now(), Host: o.Target.Addr().String(), Path: o,
		Length: plan.Length(o.Length)}}
	folded := trace.NewTrace(o)
	made.Ending.Counts, err = trace.Run(t.Context(), conn, plan, trace.Options{}, func(r trace.Result) {
		made.Results = append(made.Results, r)
		folded.Add(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	folded.Finish()
	made.Ending.Time, made.Ending.Reason = time.Now(), record.Complete
	made.Findings = detect.Findings(detect.Evidence{
		View: detect.View{Trace: folded, Options: o, Counts: made.Ending.Counts}})
	return made
}

// options are those of a trace to a path, from a source port.
func options(target netip.Addr, port, source uint16, queries int, seed uint64) trace.PathOptions {
	from := netip.MustParseAddr("192.0.2.7")
	if target.Is6() {
		from = netip.MustParseAddr("2001:db8::7")
	}
	return trace.PathOptions{Target: netip.AddrPortFrom(target, port), Source: netip.AddrPortFrom(from, source),
		ProbePorts: []uint16{source + 1, source + 2, source + 3}, Queries: queries, LabelSeed: 1 + uint64(source),
		Rand: rand.New(rand.NewPCG(seed, 7))}
}

// pair traces the path of one network, and then that of another.
func pair(t *testing.T, old, new string, queries int, seed uint64, source uint16) *compare.Report {
	t.Helper()
	var all [2]*record.Trace
	for i, network := range []string{old, new} {
		s, err := sim.Parse(network)
		if err != nil {
			t.Fatal(err)
		}
		s.Seed = seed
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(s)
			if err != nil {
				t.Fatal(err)
			}
			conn := sim.NewConn(m)
			defer conn.Close()
			port := uint16(41234)
			if i == 1 {
				port = source
			}
			all[i] = traced(t, conn, options(s.Paths[0].Target.Addr, 443, port, queries, seed+uint64(i)))
		})
	}
	return compare.Compare(all[0], all[1])
}

// kinds are the kinds of differences, each once, in order.
func kinds(all []compare.Difference) string {
	var names []string
	for _, d := range all {
		names = append(names, string(d.Kind))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

func text(r *compare.Report) string {
	var b strings.Builder
	r.WriteText(&b)
	return b.String()
}

const (
	network = `
		router 10.0.1.1 delay=1ms jitter=200us
		router 10.0.2.1 delay=2ms jitter=200us loss=0.02
		router 10.0.3.1 delay=3ms jitter=200us silent=0.3
		router 10.0.4.1 delay=2ms jitter=200us
		target 198.51.100.9 delay=2ms jitter=200us`
	balanced = `
		router 10.0.1.1 delay=1ms jitter=200us
		router 10.0.2.1,10.0.2.2 per-packet delay=2ms jitter=200us
		router 10.0.3.1 delay=3ms jitter=200us
		target 198.51.100.9 delay=2ms jitter=200us`
)

// with replaces parts of a network.
func with(network string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(network, pairs[i]) {
			panic("the network has no " + pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(network)
}

// Each change of a network is named, and nothing else.
func TestChanges(t *testing.T) {
	t.Parallel()
	const hop4, end = "router 10.0.4.1 delay=2ms jitter=200us", "target 198.51.100.9 delay=2ms jitter=200us"
	for _, tt := range []struct {
		name     string
		old, new string
		queries  int
		want     string // kinds
		words    string // in the text
	}{
		{"nothing", network, network, 3, "", "No difference since"},
		{"a router", network, with(network, "10.0.4.1", "10.9.4.1"), 10, "route", "hop 4 is 10.9.4.1, before: 10.0.4.1"},
		{"two routers", network, with(network, "10.0.1.1", "10.9.1.1", "10.0.2.1", "10.9.2.1"), 3, "route",
			"hops 1 to 2 are 10.9.1.1, 10.9.2.1, before: 10.0.1.1, 10.0.2.1"},
		{"one router more", network, with(network, hop4, "router 10.9.4.1\n"+hop4), 4, "distance route",
			"hop 4 is new on the way: 10.9.4.1"},
		{"one router less", network, with(network, hop4+"\n", ""), 12, "distance route time",
			"hop 4 is not on the way any more: 10.0.4.1"},
		{"closed", network, network + " closed", 3, "state", "closed, and was open"},
		{"opened", network + " closed", network, 3, "state", "open, and was closed"},
		{"filtered by the target", network, network + " filtered", 3, "state",
			"no answer, silent after hop 4 (10.0.4.1), and was open"},
		{"filtered by a router", network, with(network, hop4, hop4+" drop=443:syn"), 3, "state", "no answer"},
		{"a loop", network, with(network, end, strings.Repeat("router 10.0.3.1\nrouter 10.0.4.1\n", 15)+end), 3, "finding state",
			"no answer, not reached in 30 hops (the last is 10.0.4.1), and was open"},
		{"a loop where the path was silent", network + " filtered",
			with(network, end, strings.Repeat("router 10.0.3.1\nrouter 10.0.4.1\n", 15)+end), 3, "end finding",
			"not reached in 30 hops (the last is 10.0.4.1), and was silent after hop 4 (10.0.4.1)"},
		{"rejected", network, with(network, hop4, hop4+" reject=13:443"), 3, "state", "refused by 10.0.4.1 (!A), and was open"},
		{"rejected elsewhere", with(network, hop4, hop4+" reject=13"),
			with(network, "router 10.0.2.1", "router 10.0.2.1 reject=13"), 3, "state", "refused by 10.0.2.1"},
		{"dies elsewhere", with(network, "router 10.0.4.1", "router 10.0.4.1 drop", "silent=0.3", ""),
			with(network, "router 10.0.2.1", "router 10.0.2.1 drop"), 10, "end", "silent after hop 2 (10.0.2.1), and was silent after hop 4"},
		{"a member gone", balanced, with(balanced, "10.0.2.1,10.0.2.2 per-packet", "10.0.2.1"), 40, "member",
			"hop 2: 10.0.2.2 is gone there"},
		{"a member more", with(balanced, "10.0.2.1,10.0.2.2 per-packet", "10.0.2.1"), balanced, 40, "member",
			"hop 2: 10.0.2.2 is new there"},
		{"a member for another", balanced, with(balanced, "10.0.2.2", "10.0.2.9"), 40, "member",
			"hop 2: 10.0.2.9 is new there"},
		{"slower", network, with(network, "10.0.3.1 delay=3ms", "10.0.3.1 delay=23ms"), 10, "time",
			"from hop 3 (10.0.3.1) on the times have changed"},
		{"slower, three probes", network, with(network, "10.0.1.1 delay=1ms", "10.0.1.1 delay=9ms"), 3, "time", "the target takes"},
		{"faster", with(network, "10.0.2.1 delay=2ms", "10.0.2.1 delay=50ms"), network, 10, "time", "the target takes"},
		{"loss", network, with(network, end, end+" loss=0.7"), 40, "loss", "the target leaves"},
		{"source translated", network, with(network, "router 10.0.3.1", "router 10.0.3.1 raw-quote snat=203.0.113.5"), 3, "rewriting", "source address altered"},
		{"target translated", network, with(network, "router 10.0.3.1", "router 10.0.3.1 raw-quote dnat=203.0.113.77:8443"), 3,
			"rewriting", "destination address altered"},
		{"marks changed", network, with(network, "router 10.0.2.1", "router 10.0.2.1 set-tos=8"), 3, "rewriting", "DSCP altered to"},
		{"marks changed no more", with(network, "router 10.0.2.1", "router 10.0.2.1 set-tos=8"), network, 3, "rewriting",
			"before DSCP altered to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				r := pair(t, tt.old, tt.new, tt.queries, seed+1, 41234)
				if got := kinds(r.Differences); got != tt.want || !strings.Contains(text(r), tt.words) || !r.SameFlow {
					t.Errorf("seed %d: %q, want %q and %q:\n%s", seed, got, tt.want, tt.words, text(r))
				}
			}
		})
	}
}

var internetSeed = flag.Uint64("internet", 11, "the seed of the random paths that have no difference")

// noisy is a path with all that makes traces of it differ: jitter, loss on links and of answers, late ones, limits,
// routers that share out packets or flows, on ways of their own.
const noisy = `
	router 10.0.1.1 delay=1ms jitter=2ms
	router 10.0.2.1,10.0.2.2 per-packet delay=2ms jitter=1ms
	router 10.0.3.1 delay=3ms jitter=1ms silent=0.5
	router 10.0.4.1,10.0.4.2,10.0.4.3 per-packet delay=3ms jitter=1ms loss=0.01
	fork by=ports seed=5
	way share=0.5
	router 10.0.5.1 delay=2ms jitter=3ms slow=4ms
	router 10.0.6.1 delay=2ms jitter=3ms rate=100ms/2
	way share=0.5
	router 10.0.5.2 delay=2ms jitter=3ms slow=4ms
	router 10.0.6.2 delay=2ms jitter=3ms rate=100ms/2
	end
	router 10.0.7.1 delay=5ms late=0.2/500ms rate=1s/6
	router 10.0.8.1 delay=5ms jitter=10ms loss=0.03 back-loss=0.03
	router *
	router 10.0.10.1 delay=1ms dup=0.1
	target 198.51.100.9 delay=1ms jitter=2ms loss=0.05 back-loss=0.02`

// Traces of an unchanged noisy path have no difference: of the same flow, and of another.
func TestNoiseIsNoDifference(t *testing.T) {
	t.Parallel()
	s, err := sim.Parse(noisy)
	if err != nil {
		t.Fatal(err)
	}
	doubtful := 0
	for seed := range uint64(200) {
		queries := []int{3, 3, 10, 30}[seed%4]
		s.Seed = seed
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(s)
			if err != nil {
				t.Fatal(err)
			}
			conn := sim.NewConn(m)
			defer conn.Close()
			to := s.Paths[0].Target.Addr
			old := traced(t, conn, options(to, 443, 41234, queries, seed))
			time.Sleep(time.Hour)
			again := uint16(41234 + 100*(seed%3))
			r := compare.Compare(old, traced(t, conn, options(to, 443, again, queries, seed+1000)))
			if r.Changed() {
				t.Errorf("seed %d, %d queries: %s", seed, queries, text(r))
			}
			doubtful += len(r.Doubtful)
		})
	}
	t.Logf("%d doubtful in 200", doubtful)
}

// The same of paths of a random Internet.
func TestInternetIsNoDifference(t *testing.T) {
	t.Parallel()
	s := sim.Internet(*internetSeed, 300, sim.InternetOptions{})
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s)
		if err != nil {
			t.Fatal(err)
		}
		conn := sim.NewConn(m)
		defer conn.Close()
		changed, doubtful := 0, 0
		for i := range s.Paths {
			to := s.Paths[i].Target.Addr
			if slices.ContainsFunc(s.Paths[i].Routers, func(r sim.Router) bool { return r.OneISN }) {
				continue // this firewall never forgets a flow, and so drops the same one when it comes again
			}
			queries := []int{3, 3, 10}[i%3]
			old := traced(t, conn, options(to, sim.InternetPort, 41234, queries, uint64(i)))
			time.Sleep(time.Hour)
			r := compare.Compare(old, traced(t, conn, options(to, sim.InternetPort, 41234+uint16(i%2), queries, uint64(i)+1000)))
			if r.Changed() {
				changed++
				t.Errorf("path %d, %d queries: %s", i, queries, text(r))
			}
			doubtful += len(r.Doubtful)
		}
		t.Logf("%d of %d changed, %d doubtful", changed, len(s.Paths), doubtful)
	})
}
