package detect_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// A scenario is a network, what is asked of it, and what must be found: all of it, and nothing else. Each family of
// findings has a file of them in testdata:
//
//	== NAME
//	want CODE CONFIDENCE AFTER-BEFORE    one each; none: nothing is found
//	like CODE...                         what it looks like, and isn't
//	with WORD...                         how the trace is made; see option
//	loop ADDR...                         routers that packets go round between
//	...                                  the network, in the form of sim.Parse
type scenario struct {
	file, name string
	want       []string
	like       []string
	with       []string
	network    string

	target sim.TargetTruth // what has happened there, once there is evidence
}

func scenarios(tb testing.TB) []scenario {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no scenarios: %v", err)
	}
	var all []scenario
	for _, file := range files {
		family := strings.TrimSuffix(filepath.Base(file), ".txt") + ".go"
		if _, err := os.Stat(family); err != nil {
			tb.Errorf("%s: there is no family %s", file, family)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		head, text, _ := bytes.Cut(text, []byte("\n\n"))
		if bytes.HasPrefix(head, []byte("==")) {
			tb.Fatalf("%s: no line about what the file is about", file)
		}
		for line := range bytes.Lines(text) {
			l := strings.TrimSpace(string(line))
			if name, ok := strings.CutPrefix(l, "== "); ok {
				all = append(all, scenario{file: filepath.Base(file), name: name})
				continue
			}
			s := &all[len(all)-1]
			if want, ok := strings.CutPrefix(l, "want "); ok {
				s.want = append(s.want, want)
			} else if like, ok := strings.CutPrefix(l, "like "); ok {
				s.like = append(s.like, strings.Fields(like)...)
			} else if with, ok := strings.CutPrefix(l, "with "); ok {
				s.with = append(s.with, strings.Fields(with)...)
			} else if members, ok := strings.CutPrefix(l, "loop "); ok {
				s.network += loop(strings.Fields(members))
			} else {
				s.network += l + "\n"
			}
		}
	}
	return all
}

// loop is a circle of routers, gone round for longer than any probe lasts.
func loop(members []string) string {
	var b strings.Builder
	for i := range 70 { // an ordinary connection's TTL is 64
		fmt.Fprintf(&b, "router %s delay=1ms\n", members[i%len(members)])
	}
	return b.String()
}

// run is a trace of a scenario, and what was asked besides.
type run struct {
	heard   bool // the trace came to its end, by an answer of the target or a refusal
	tb      testing.TB
	conn    trace.Conn
	path    trace.PathOptions
	explain bool // ask detect.Questions
	mtu     *detect.PathMTU
	own     string // what this host does with ordinary connections; see option

	budget *trace.TargetBudget
	over   bool

	connections bool // the probes are connections, of which the kernel doesn't tell all; see told
}

// option reads one word of how the trace is made:
//
//	bare ecn ack df loose alone (no further traces)
//	connections (the probes are connections, as of a user without privileges)
//	unsent=ERRNO (this host sends no probe) unsent=ERRNO/N (of every three one isn't sent, until N were not)
//	unsent-below=ERRNO/TTL (it sends none with a lower TTL)
//	bare-ack (SYN+ACKs come as ACKs) closed-to=odd|even (a machine with the same address resets the
//	SYNs from these ports)
//	tcp-back-ttl=N all-back-ttl=N (a router sets the TTL of TCP, or of all, that comes back, so that N is left of it)
//	begins-ttl=N (the target's own answers begin with that TTL)
//	losing (this host loses packets all the time, so that no silence says anything of the network)
//	mtu=SIZE/FIRST/TTL/hole|told (what a search for it finds)
//	own=WORD (what this host does itself: see run.ask for each)
//	port=N tos=N length=N first=N max=N q=N source=ADDR
func (r *run) option(word string) {
	name, value, _ := strings.Cut(word, "=")
	n, _ := strconv.Atoi(value)
	switch name {
	case "bare":
		r.path.Options = packet.Options{}
	case "ecn":
		r.path.Flags |= packet.ECE | packet.CWR | packet.SYN
	case "ack":
		r.path.Flags, r.path.Options = packet.ACK, packet.Options{}
	case "bare-ack":
		r.spoil(bareACK)
	case "closed-to":
		r.spoil(func(b []byte) []byte { return closedTo(b, map[string]uint16{"even": 0, "odd": 1}[value]) })
	case "tcp-back-ttl", "all-back-ttl":
		r.spoil(func(b []byte) []byte { return setTTL(b, uint8(n), name == "all-back-ttl") })
	case "begins-ttl":
		r.spoil(func(b []byte) []byte { return beginTTL(b, uint8(n)) })
	case "losing":
		r.conn = &losing{Conn: r.conn}
	case "df":
		r.path.DontFragment = true
	case "loose":
		r.path.Loose = true
	case "alone":
		r.explain = false
	case "connections":
		r.connections = true
	case "unsent", "unsent-below":
		below := name == "unsent-below"
		name, some, _ := strings.Cut(value, "/")
		most, _ := strconv.Atoi(some)
		err := map[string]error{"EPERM": syscall.EPERM, "ENOBUFS": syscall.ENOBUFS, "EHOSTUNREACH": trace.ErrNextHop,
			"at-once": trace.ErrUnreachable}[name]
		r.conn.(interface {
			FailSend(func(int, packet.Probe) error)
		}).FailSend(func(n int, p packet.Probe) error {
			if below && int(p.TTL) >= most {
				return nil
			}
			if below || some == "" || n%3 == 0 && n < 3*most {
				return err
			}
			return nil
		})
	case "mtu":
		r.mtu = &detect.PathMTU{}
		how := ""
		if _, err := fmt.Sscanf(strings.ReplaceAll(value, "/", " "), "%d %d %d %s", &r.mtu.Size, &r.mtu.First, &r.mtu.TTL, &how); err != nil {
			r.tb.Fatalf("%q: %v", word, err)
		}
		r.mtu.Narrow, r.mtu.BlackHole = r.mtu.Size < r.mtu.First, how == "hole"
	case "own":
		r.own = value
	case "port":
		r.path.Target = netip.AddrPortFrom(r.path.Target.Addr(), uint16(n))
	case "tos":
		r.path.TOS = n
	case "length":
		r.path.Length = n
	case "first":
		r.path.FirstTTL = n
	case "max":
		r.path.MaxTTL = n
	case "q":
		r.path.Queries = n
	case "source":
		r.path.Source = netip.AddrPortFrom(netip.MustParseAddr(value), r.path.Source.Port())
	default:
		r.tb.Fatalf("unknown word %q", word)
	}
}

// linuxSYN are the options of a Linux SYN.
func linuxSYN(tb testing.TB) packet.Options {
	o, err := packet.Options{}.WithMSS(1460)
	for _, add := range []func(packet.Options) (packet.Options, error){
		packet.Options.WithSACKPermitted,
		func(o packet.Options) (packet.Options, error) { return o.WithTimestamps(1, 0) },
		func(o packet.Options) (packet.Options, error) { return o.With(packet.OptionNOP) },
		func(o packet.Options) (packet.Options, error) { return o.WithWindowScale(7) },
	} {
		if err == nil {
			o, err = add(o)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// view makes one trace.
func (r *run) view(o trace.PathOptions) detect.View {
	spared := o
	if r.explain && !r.connections {
		spared.TargetSYNs, spared.UnheardSYNs = detect.TraceSYNs, detect.TraceSYNs
		if o.SourcePorts() == 1 || o.Effective().Queries > trace.DefaultQueries {
			r.budget = trace.NewTargetBudget(o.Target.Addr(), detect.MostSYNs)
			r.budget.TakeOrdinary(0)
		}
		spared.Budget = r.budget
	}
	path, err := trace.NewPath(spared)
	if err != nil {
		r.tb.Fatal(err)
	}
	plan := trace.Plan(path)
	if r.budget != nil {
		plan = r.budget.Guard(path)
	}
	v := detect.View{Trace: trace.NewTrace(o), Options: o}
	v.Counts, err = trace.Run(r.tb.Context(), r.conn, plan, trace.Options{}, func(x trace.Result) { v.Add(r.told(x)) })
	if err != nil && !errors.As(err, new(*trace.SendError)) {
		r.tb.Fatal(err)
	}
	v.Trace.Finish()
	v.Spared = path.Spared()
	v.Short = v.Spared || r.budget != nil && (r.budget.Withheld() > 0 || path.Short())
	return v
}

// told leaves out of a result what a kernel doesn't tell of a connection.
func (r *run) told(x trace.Result) trace.Result {
	if r.connections && x.Reply != nil {
		x.Reply = x.Reply.Clone()
		x.Reply.Quote, x.Reply.IP.TTL, x.Evidence = packet.Quote{}, 0, trace.ByKernel
	}
	return x
}

// evidence makes the trace and what else is asked for.
func (r *run) evidence() detect.Evidence {
	e := detect.Evidence{View: r.view(r.path), MTU: r.mtu, Connections: r.connections}
	if !r.explain {
		return e
	}
	e.SYNs = r.budget
	r.heard = e.Trace.Reached()
	r.askHost(&e)
	for questions := detect.Questions(e); len(questions) > 0 && !r.over; questions = detect.Questions(e) {
		if *hurried && r.path.Rand.IntN(3) == 0 { // the time is up: some are left out, and all that would follow
			n := r.path.Rand.IntN(len(questions) + 1)
			e.Unasked, questions, r.over = questions[n:], questions[:n], n < len(questions)
		}
		for i, q := range questions {
			questions[i].Options.Source = netip.AddrPortFrom(r.path.Source.Addr(), r.path.Source.Port()+11*uint16(q.Flow))
		}
		r.ask(&e, questions)
	}
	if detect.ControlAgain(e) {
		e.Host.Controls = append(e.Host.Controls, r.control(1))
	}
	return e
}

// ask makes further traces side by side, as the program does.
func (r *run) ask(e *detect.Evidence, questions []detect.Question) {
	var plans []trace.Plan
	var views []detect.View
	for _, q := range questions {
		q.Options.Spacing = trace.DefaultSpacing * time.Duration(len(questions))
		if r.budget != nil {
			q.Options.Budget = r.budget
		}
		path, err := trace.NewPath(q.Options)
		if err != nil {
			r.tb.Fatal(err)
		}
		plan := trace.Plan(path)
		if r.budget != nil {
			plan = r.budget.Guard(path)
		}
		plans = append(plans, plan)
		views = append(views, detect.View{Trace: trace.NewTrace(q.Options), Options: q.Options})
	}
	if len(plans) == 0 {
		return
	}
	all := trace.NewGroup(plans...)
	counts, err := trace.Run(r.tb.Context(), r.conn, all, trace.Options{}, func(x trace.Result) {
		if i, x := all.Of(x); i >= 0 {
			views[i].Add(r.told(x))
		}
	})
	if err != nil {
		r.tb.Fatal(err)
	}
	for i, q := range questions {
		views[i].Trace.Finish()
		views[i].Counts = counts
		if g, ok := plans[i].(*trace.Guarded); ok && g.Withheld() > 0 {
			r.tb.Logf("withheld %v %v", q.Ask, g.Withheld())
			r.over = true
			continue
		}
		e.Answer(q, views[i])
	}
}

// evidence runs a scenario in virtual time. spoil may change what the host receives.
func (s *scenario) evidence(t *testing.T, seed uint64, spoil func([]byte) []byte) (e detect.Evidence) {
	t.Helper()
	network, err := sim.Parse(s.network)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.file, s.name, err)
	}
	network.Seed = seed
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(network)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		target := network.Paths[0].Target.Addr
		source := netip.MustParseAddrPort("192.0.2.1:40000")
		if target.Is6() {
			source = netip.MustParseAddrPort("[2001:db8:1::1]:40000")
		}
		r := &run{tb: t, conn: c, explain: true, path: trace.PathOptions{
			Target: netip.AddrPortFrom(target, 443), Source: source, Options: linuxSYN(t),
			ProbePorts: []uint16{40001, 40002, 40003, 40004},
			Rand:       rand.New(rand.NewPCG(seed, 1)),
		}}
		if spoil != nil {
			r.conn = &spoiler{c, spoil}
		}
		for _, w := range s.with {
			r.option(w)
		}
		e = r.evidence()
		s.target = c.Truth(0).Target
	})
	return e
}

func text(all []detect.Finding) (lines []string) {
	for _, x := range all {
		lines = append(lines, fmt.Sprintf("%s %v %d-%d", x.Code, x.Confidence, x.After, x.Before))
	}
	return lines
}

// Every finding is right in its own scenarios, and silent in all others: each scenario names all that must be found.
func TestScenarios(t *testing.T) {
	all := scenarios(t)
	if len(all) < 40 {
		t.Errorf("only %d scenarios", len(all))
	}
	found, alike := map[detect.Code]int{}, map[detect.Code]int{}
	for _, s := range all {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			findings := detect.Findings(s.evidence(t, 1, nil))
			got := strings.Join(text(findings), "\n")
			if want := strings.Join(s.want, "\n"); got != want {
				t.Errorf("found\n%s\nwant\n%s\n%s", got, want, details(findings))
			}
		})
		for _, w := range s.want {
			code, _, _ := strings.Cut(w, " ")
			found[detect.Code(code)]++
			if slices.Contains(s.like, code) {
				t.Errorf("%s: is %s, not only like it", s.name, code)
			}
		}
		for _, l := range s.like {
			if !slices.Contains(detect.Codes(), detect.Code(l)) {
				t.Errorf("%s: there is no %s", s.name, l)
			}
			alike[detect.Code(l)]++
		}
	}
	for _, c := range detect.Codes() {
		if c == detect.LossyBranch || c == detect.SlowBranch {
			continue // of all paths, see TestInPaths
		}
		if found[c] == 0 {
			t.Errorf("no scenario for %s", c)
		}
		if alike[c] < 2 {
			t.Errorf("%d scenarios that look like %s and aren't, want 2", alike[c], c)
		}
	}
}

func details(findings []detect.Finding) string {
	var b strings.Builder
	for _, x := range findings {
		fmt.Fprintf(&b, "%s\n    %s\n    %s\n", x.Title, strings.Join(x.Evidence, "\n    "), x.Advice)
	}
	return b.String()
}
