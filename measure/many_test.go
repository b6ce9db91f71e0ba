package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// manySim is a run of Many in a simulated network.
type manySim struct {
	Many
	lines []string // what came of each target
	bad   []string
	json  bytes.Buffer
	end   record.ManyEnd
	err   error
	sent  []sim.Sent
	took  time.Duration
}

// hosts are what names lead to.
var hosts = map[string]string{
	"www.example": "198.18.0.1", "same.example": "198.18.0.1", "bad.example": "198.18.9.9", "late.example": "198.18.0.5",
}

// run traces the targets of a list through a network of the text form of package sim.
func (m *manySim) run(t *testing.T, network, list string, stop time.Duration, conn func(*sim.Conn) Network) {
	t.Helper()
	m.runWith(t, network, list, stop, conn, func(record.Listed) {})
}

// runWith is run with somebody who sees each target.
func (m *manySim) runWith(t *testing.T, network, list string, stop time.Duration, conn func(*sim.Conn) Network,
	done func(record.Listed)) {
	t.Helper()
	scenario, err := sim.Parse(network)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		model, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(model)
		tracer := Over(conn(c), Options{})
		defer tracer.Close()
		m.Request.Path.Rand, m.Request.Path.Queries = rand.New(rand.NewPCG(1, 1)), 2
		m.Targets = targets.Read(strings.NewReader(list), "list", targets.Options{Default: 443, Rand: rand.New(rand.NewPCG(1, 2))})
		m.LookUp = func(ctx context.Context, host string) ([]netip.Addr, error) {
			if host == "late.example" {
				time.Sleep(2 * time.Second)
			}
			if a := hosts[host]; a != "" {
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			}
			return nil, errors.New("no such name")
		}
		lines, err := record.NewManyLines(&m.json, record.ManyRun{Started: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		m.Bad = func(err error) { m.bad = append(m.bad, err.Error()) }
		m.Done = func(l record.Listed) {
			done(l)
			text := fmt.Sprintf("%d %s %d ", l.Index, l.Host, l.Port)
			if l.Trace == nil {
				text += l.Why.String()
			} else {
				s := l.Trace.Summary()
				text += fmt.Sprintf("%s %d %s", s.State, s.Hops, l.Trace.Ending.Reason)
			}
			m.lines = append(m.lines, text)
			if err := lines.Add(l); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), stop, errStopped)
		defer cancel()
		begin := time.Now()
		m.end, m.err = tracer.Many(ctx, &m.Many)
		m.took, m.sent = time.Since(begin), c.Sent()
	})
	slices.Sort(m.lines)
}

const manyNetwork = `
	router 10.0.0.1 delay=1ms
	target 198.18.0.1 open
	router 10.0.0.1 delay=1ms
	target 198.18.0.2 closed
	router 10.0.0.1 delay=1ms
	target 198.18.0.3 filtered
	router 10.0.0.1 delay=1ms
	router 10.0.0.2 reject=13
	target 198.18.1.4 open
	router 10.0.0.1 delay=1ms
	target 198.18.0.5 open
	router 10.0.0.1 delay=1ms
	target 198.18.9.9 open`

func overSim(c *sim.Conn) Network { return &simNetwork{Conn: c} }

// TestMany: each target of a list comes to one end, and nothing is sent to what is excluded.
func TestMany(t *testing.T) {
	m := &manySim{}
	m.Exclude = new(targets.Set)
	if err := m.Exclude.Exclude(strings.NewReader("198.18.9.0/24\n198.18.0.2:80"), "never", targets.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	m.Skip = func(t targets.Target) bool { return t.Host == "198.18.1.4" && t.Port == 1 }
	m.run(t, manyNetwork, `# all kinds
198.18.0.1
198.18.0.2/31
same.example
www.example 22
nowhere.example
bad.example
198.18.9.9
198.18.0.2 80
198.18.0.1:443
late.example
198.18.1.4
198.18.1.4 1
no/thing
`, time.Hour, overSim)
	want := []string{
		"1 198.18.0.1 443 open 2 complete", "11 late.example 443 open 2 complete", "12 198.18.1.4 443 refused 3 complete",
		"198.18.0.2 443 closed 2 complete", "198.18.0.3 443 no_answer 0 complete", "4 same.example 443 same",
		"5 www.example 22 open 2 complete", "6 nowhere.example 443 not_found", "7 bad.example 443 excluded",
	}
	for i, line := range m.lines { // those of the network may come in any order
		if index, rest, _ := strings.Cut(line, " "); (index == "2" || index == "3") && strings.HasPrefix(rest, "198") {
			m.lines[i] = rest
		}
	}
	slices.Sort(m.lines)
	slices.Sort(want)
	if !slices.Equal(m.lines, want) || m.err != nil {
		t.Errorf("%v\ngot  %q\nwant %q", m.err, m.lines, want)
	}
	if want := []string{"list:14: not a network (as 10.0.0.0/28 is): no/thing"}; !slices.Equal(m.bad, want) {
		t.Errorf("bad lines: %q", m.bad)
	}
	s := m.Status()
	if s.Read != 13 || s.Done() != 7 || s.Excluded != 3 || s.Repeated != 2 || s.Resumed != 1 || s.BadLines != 1 || s.Open != 0 || !s.All {
		t.Errorf("%+v", s)
	}
	if e := m.end; e.Reached != 4 || e.Refused != 1 || e.NotReached != 1 || e.NotTraced != 1 || e.Unsent != 0 || e.ExitCode != 1 ||
		e.Reason != record.Complete || e.Read != s.Read {
		t.Errorf("%+v", e)
	}
	for _, p := range m.sent {
		if dst := p.Probe.Dst; m.Exclude.Has(dst) {
			t.Fatalf("a packet to %v", dst)
		}
	}
}

// TestManyEnd: how a run ends follows from what became of its targets.
func TestManyEnd(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		family     names.Family
		code       int
		reason     record.Reason
		err        error
	}{
		{"all reached", "198.18.0.1\n", names.Any, 0, record.Complete, nil},
		{"refused by a router", "198.18.1.4\n", names.Any, 0, record.Complete, nil},
		{"a line that can't be read", "198.18.0.1\nno/thing\n", names.Any, 1, record.Complete, nil},
		{"named twice, or excluded, by an address or a name",
			"198.18.0.1\n198.18.0.1\nsame.example\n198.18.9.9\nbad.example\n", names.Any, 0, record.Complete, nil},
		{"all are excluded", "198.18.9.9\nbad.example\n", names.Any, 0, record.Complete, nil},
		{"an address that is nobody's", "198.18.0.1\n0.0.0.0\n", names.Any, 1, record.Complete, nil},
		{"addresses that are nobody's", "0.0.0.0\n::\n255.255.255.255\n", names.Any, 2, record.NotSent, ErrNoneSent},
		{"no way to one", "198.18.0.1\n2001:db8::1\n", names.IPv4, 1, record.Complete, nil},
		{"no way to any", "2001:db8::1\n", names.IPv4, 2, record.NotSent, ErrNoneSent},
	} {
		m := &manySim{}
		m.Request.Family, m.Exclude = tt.family, new(targets.Set)
		if err := m.Exclude.Exclude(strings.NewReader("198.18.9.0/24"), "never", targets.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		m.run(t, manyNetwork, tt.list, time.Hour, overSim)
		if m.err != tt.err || m.end.Err != tt.err || m.end.ExitCode != tt.code || m.end.Reason != tt.reason {
			t.Errorf("%s: %v, %+v", tt.name, m.err, m.end)
		}
	}
}

// TestManyAgain: the same run twice writes the same bytes. No two of its targets are equally far away, for of what happens
// at one instant either may come first.
func TestManyAgain(t *testing.T) {
	network, list := "", ""
	for i, state := range []string{"open", "closed", "filtered", "open", "closed", "open"} {
		network += fmt.Sprintf("router 10.0.0.1 delay=%dus\ntarget 198.18.%d.1 %s delay=%dus\n", 1000+137*i, i, state, 500+i*i*71)
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	var out [2]string
	for i := range out {
		m := &manySim{}
		m.run(t, network, list, time.Hour, overSim)
		out[i] = m.json.String()
	}
	if out[0] != out[1] {
		t.Errorf("%s\n%s", out[0], out[1])
	}
}

// TestManyInterrupted: when its context ends, a run begins no target any more and ends within its grace, even if the list
// goes on for ever.
func TestManyInterrupted(t *testing.T) {
	m := &manySim{}
	m.Grace, m.Rate, m.Open = time.Second, 100, 16
	network, list := "", ""
	for i := range 200 {
		network += fmt.Sprintf("router 10.0.0.1\ntarget 198.18.%d.1 filtered\n", i)
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	m.run(t, network, list, 1500*time.Millisecond, overSim)
	if m.err != errStopped || m.took < 2*time.Second || m.took > 2501*time.Millisecond || len(m.lines) != 16 {
		t.Errorf("%v after %v, %d targets", m.err, m.took, len(m.lines))
	}
	for _, line := range m.lines {
		if !strings.HasSuffix(line, " interrupted") {
			t.Errorf("%s", line)
		}
	}
	if c := m.end.ManyCounts; c.Interrupted != 16 || c.NotReached != 0 || c.NotBegun() == 0 || c.NotBegun() != c.Read-16 {
		t.Errorf("%+v", c)
	}
}

// deafNetwork is a host whose probes can't be sent.
type deafNetwork struct {
	simNetwork
	tried int
}

func (d *deafNetwork) Send(packet.Probe) (time.Time, error) {
	d.tried++
	return time.Time{}, errors.New("operation not permitted")
}

// TestManyNotSent: a host that can send nothing tries a few targets, and says so.
func TestManyNotSent(t *testing.T) {
	m := &manySim{}
	var d *deafNetwork
	list := ""
	for i := range 200 {
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	m.run(t, manyNetwork, list, time.Hour, func(c *sim.Conn) Network {
		d = &deafNetwork{simNetwork: simNetwork{Conn: c}}
		return d
	})
	if !errors.As(m.err, new(*trace.SendError)) || d.tried > 400 || len(m.lines) < mostUnsent {
		t.Errorf("%v after %d probes, %d targets", m.err, d.tried, len(m.lines))
	}
}

// noWay is a host without a route to some targets.
type noWay struct{ simNetwork }

func (n *noWay) Route(dst, src netip.AddrPort) (wire.Route, error) {
	if dst.Addr() == netip.MustParseAddr("198.18.0.2") {
		return wire.Route{}, errors.New("network is unreachable")
	}
	return n.simNetwork.Route(dst, src)
}

// TestManyNoWay: a target that this host has no way to doesn't hold up the others. A link-local one needs its interface.
func TestManyNoWay(t *testing.T) {
	m := &manySim{}
	m.run(t, manyNetwork, "198.18.0.2\n198.18.0.1\nfe80::1\n", time.Hour, func(c *sim.Conn) Network { return &noWay{simNetwork{Conn: c}} })
	if want := []string{"1 198.18.0.2 443 no_way", "2 198.18.0.1 443 open 2 complete", "3 fe80::1 443 no_way"}; !slices.Equal(m.lines, want) {
		t.Errorf("%q", m.lines)
	}
}

// TestManyWaitsForReader: while nobody takes what came of the targets, no more and more of them are begun.
func TestManyWaitsForReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scenario, err := sim.Parse(manyNetwork)
		if err != nil {
			t.Fatal(err)
		}
		model, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		tracer := Over(&simNetwork{Conn: sim.NewConn(model)}, Options{})
		defer tracer.Close()
		done := 0
		m := &Many{
			Targets: func(yield func(targets.Target, error) bool) {
				for port := range uint16(1000) {
					if !yield(targets.Target{Host: "198.18.0.1", Addr: netip.MustParseAddr("198.18.0.1"), Port: port + 1}, nil) {
						return
					}
				}
			},
			Rate: 10000,
		}
		m.Done = func(record.Listed) {
			if done++; done == 1 {
				time.Sleep(time.Hour)
				if status := m.Status(); status.Done() < mostBehind || status.Done() > mostBehind+10 {
					t.Errorf("%d targets came to their end while the first was being shown", status.Done())
				}
			}
		}
		if _, err := tracer.Many(t.Context(), m); err != nil || done != 1000 {
			t.Errorf("%v, %d targets", err, done)
		}
	})
}

// gatewaySim is a host behind a gateway.
type gatewaySim struct{ simNetwork }

func (n *gatewaySim) Route(dst, src netip.AddrPort) (wire.Route, error) {
	r, err := n.simNetwork.Route(dst, src)
	r.Gateway = netip.MustParseAddr("10.0.0.1")
	return r, err
}

// TestManyGateway: a first router that answers little is seen in each of 40 traces, or taken over from others, and asked at
// most 20 times a second; a target right behind it, or in its place, is shown where it is.
func TestManyGateway(t *testing.T) {
	m := &manySim{}
	network, list := "", ""
	for i := range 40 {
		network += "router 10.0.0.1 rate=1s/6 device=1 delay=1ms\nrouter 10.0.2.1 rate=1s/6 device=2 delay=1ms\n"
		network += fmt.Sprintf("target 198.18.%d.1 open\n", i)
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	// The gateway by another of its addresses; a host behind it; the same of a silent one; what the gateway refuses.
	network += "target 198.18.100.1 closed\nrouter 10.0.0.1 device=1 delay=1ms\ntarget 198.18.101.1 open\n" +
		"router 10.0.0.1 device=1 delay=1ms\ntarget 198.18.102.1 filtered\nrouter 10.0.0.1 rate=1s/6 delay=1ms reject=13\ntarget 198.18.103.1\n"
	list += "198.18.100.1\n198.18.101.1\n198.18.102.1\n198.18.103.1\n"
	first := make(map[string]string)
	var traces []*record.Trace
	m.Rate = 500
	m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
		func(l record.Listed) { traces = append(traces, l.Trace) })
	inferred := 0
	for _, made := range traces {
		f := made.Fold()
		shown := ""
		if f.First() == 1 {
			for _, r := range f.Hop(1).Probes {
				if r.Outcome == trace.Answered {
					shown = r.Reply.From().String()
				}
			}
		}
		if a := made.Inferred[1]; a.IsValid() {
			if shown != "" {
				t.Errorf("%s: %s is seen, and %v taken over", made.Host, shown, a)
			}
			shown = a.String()
			inferred++
		}
		first[made.Host] = fmt.Sprintf("%s %d", shown, f.EndTTL())
	}
	for i := range 40 {
		if host := fmt.Sprintf("198.18.%d.1", i); first[host] != "10.0.0.1 3" {
			t.Errorf("%s: %s", host, first[host])
		}
	}
	for host, want := range map[string]string{"198.18.100.1": "198.18.100.1 1", "198.18.101.1": "10.0.0.1 2",
		"198.18.102.1": "10.0.0.1 0"} {
		if first[host] != want {
			t.Errorf("%s: %s, want %s", host, first[host], want)
		}
	}
	if end := first["198.18.103.1"]; !strings.HasSuffix(end, " 2") {
		t.Errorf("what the gateway refuses: %s", end)
	}
	if inferred < 20 {
		t.Errorf("%d are taken over", inferred)
	}
	checkAsked(t, m.sent)
}

// checkAsked holds that no second has more than 20 probes to hop 1 of targets behind the gateway.
func checkAsked(t *testing.T, sent []sim.Sent) {
	t.Helper()
	var at []time.Time
	for _, s := range sent {
		if s.Probe.TTL == 1 && s.Probe.Dst.Addr().As4()[2] < 100 {
			at = append(at, s.At)
		}
	}
	begin := 0
	for i := range at {
		for at[i].Sub(at[begin]) >= time.Second {
			begin++
		}
		if n := i - begin + 1; n > 20 {
			t.Fatalf("hop 1 was asked %d times within a second", n)
		}
	}
}

// TestManyDiamond: behind a diamond of four no target is given a hop of another branch.
func TestManyDiamond(t *testing.T) {
	m := &manySim{}
	network, list := "", ""
	for i := range 1000 {
		network += "router 10.0.0.1 device=1 delay=1ms\nrouter 10.0.2.1,10.0.2.2,10.0.2.3,10.0.2.4 device=2 delay=1ms\n"
		target := fmt.Sprintf("198.18.%d.%d", i%250, 1+i/250)
		network += "router 10.0.3.1 device=3\ntarget " + target + " open\n"
		list += target + "\n"
	}
	m.Rate = 5000
	branches := make(map[netip.Addr]int)
	m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
		func(l record.Listed) {
			f := l.Trace.Fold()
			for ttl, a := range l.Trace.Inferred {
				if ttl != 1 || a.String() != "10.0.0.1" {
					t.Errorf("%s: %v at hop %d is taken over", l.Host, a, ttl)
				}
			}
			if f.EndTTL() != 4 {
				t.Errorf("%s is at hop %d", l.Host, f.EndTTL())
			}
			for _, r := range f.Hop(2).Probes {
				if r.Reply != nil {
					branches[r.Reply.From()]++
				}
			}
		})
	if len(branches) != 4 || len(m.lines) != 1000 {
		t.Errorf("%d targets, branches: %v", len(m.lines), branches)
	}
}

// TestManySilentGateway: what came of the targets is not held back for a first router that never answers, and nobody is
// said to stand there.
func TestManySilentGateway(t *testing.T) {
	m := &manySim{}
	network, list := "", ""
	for i := range 100 {
		network += fmt.Sprintf("router *\nrouter 10.0.2.1 delay=1ms\ntarget 198.18.%d.1 open\n", i)
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	network, list = network+"router *\ntarget 198.18.200.1 filtered\n", list+"198.18.200.1\n"
	m.Rate = 200
	var latest time.Duration
	m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
		func(l record.Listed) {
			if len(l.Trace.Inferred) > 0 {
				t.Errorf("%s: %v", l.Host, l.Trace.Inferred)
			}
			if s := l.Trace.Summary(); s.Reached() && s.Hops != 3 {
				t.Errorf("%s is at hop %d", l.Host, s.Hops)
			}
			latest = max(latest, time.Since(l.Trace.Ending.Time))
		})
	if len(m.lines) != 101 || latest == 0 || latest > longestAwaiting+time.Second {
		t.Errorf("%d targets, one was held back for %v", len(m.lines), latest)
	}
}

// TestManyLimitedEnds: routers that answer little seem to be where paths end. That paths may go on is known by the traces
// that got past those routers, and a hop that was not asked is not silent.
func TestManyLimitedEnds(t *testing.T) {
	m := &manySim{}
	network, list := "", ""
	for i := range 120 {
		network += "router 10.0.0.1 rate=1s/6 device=1 delay=1ms\nrouter 10.0.2.1 rate=1s/6 device=2 delay=1ms\n"
		network += fmt.Sprintf("target 198.18.%d.1 %s\n", i, []string{"open", "filtered"}[i/100])
		list = fmt.Sprintf("198.18.%d.1\n", i) + list // the filtered ones first
	}
	m.run(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} })
	targets := 0
	for _, s := range m.end.Shared {
		targets += s.Targets
		switch {
		case s.Last == netip.MustParseAddr("10.0.2.1") && !s.MayGoOn():
		case s.Last == netip.MustParseAddr("10.0.0.1") && s.MayGoOn() && s.Past > 20:
		default:
			t.Errorf("%+v", s)
		}
	}
	if targets != 20 || len(m.end.Shared) != 2 {
		t.Errorf("%+v", m.end.Shared)
	}
}

// losing is a host that has lost answers.
type losing struct{ simNetwork }

func (*losing) LostHere() int { return 3 }

// TestManyLostHere: what this host has lost is known while the run goes on, and at its end.
func TestManyLostHere(t *testing.T) {
	m := &manySim{}
	during := 0
	m.runWith(t, manyNetwork, "198.18.0.1\n198.18.0.3\n", time.Hour, func(c *sim.Conn) Network { return &losing{simNetwork{Conn: c}} },
		func(record.Listed) { during = m.Status().LostHere })
	if during != 3 || m.Status().LostHere != 3 || m.end.Counts.LostHere != 3 {
		t.Errorf("%d, %d, %d", during, m.Status().LostHere, m.end.Counts.LostHere)
	}
}

// TestManyRounds: rounds of many targets, one after the other or side by side, show of each target its own hops, each
// asked once per round.
func TestManyRounds(t *testing.T) {
	for _, open := range []int{0, 5} {
		m := &manySim{}
		m.Request.Rounds, m.Open, m.Findings = &Rounds{Interval: time.Second, Count: 5}, open, true
		got := make(map[string]string)
		m.runWith(t, manyNetwork, "198.18.0.1\n198.18.0.2/31\n198.18.1.4\n198.18.9.9\n", time.Hour, overSim, func(l record.Listed) {
			text := ""
			for _, h := range l.Trace.Rounds.Hops {
				for _, r := range h.Responders {
					text += fmt.Sprintf("%d %v %d/%d %v, ", h.TTL, r.Addr, h.Received, h.Sent(), h.Worst)
				}
			}
			got[l.Host] = text + l.Summary.State
			if len(l.Trace.Results)+len(l.Trace.Findings) > 0 || l.Trace.Ending.Counts.Sent < 10 {
				t.Errorf("%d results, %+v", len(l.Trace.Results), l.Trace.Ending.Counts)
			}
		})
		for host, want := range map[string]string{
			"198.18.0.1": "1 10.0.0.1 5/5 2ms, 2 198.18.0.1 5/5 2ms, open",
			"198.18.0.2": "1 10.0.0.1 5/5 2ms, 2 198.18.0.2 5/5 2ms, closed",
			"198.18.0.3": "1 10.0.0.1 5/5 2ms, no_answer",
			"198.18.1.4": "1 10.0.0.1 5/5 2ms, 2 10.0.0.2 5/5 2ms, 3 10.0.0.2 5/5 2ms, refused",
			"198.18.9.9": "1 10.0.0.1 5/5 2ms, 2 198.18.9.9 5/5 2ms, open",
		} {
			if got[host] != want {
				t.Errorf("%d at a time, %s: %s, want %s", open, host, got[host], want)
			}
		}
		if one := m.took > 15*time.Second; one != (open == 0) || len(got) != 5 || m.err != nil {
			t.Errorf("%d targets in %v, %v", len(got), m.took, m.err)
		}
	}
}

// TestManyRoundsInterrupted: the figures are those of the rounds so far.
func TestManyRoundsInterrupted(t *testing.T) {
	m := &manySim{}
	m.Request.Rounds, m.Open = &Rounds{Interval: time.Second, Count: 100}, 2
	m.runWith(t, manyNetwork, "198.18.0.1\n198.18.0.2\n198.18.9.9\n", 4500*time.Millisecond, overSim, func(l record.Listed) {
		if h := l.Trace.Rounds.Hops; len(h) != 2 || h[0].Received != 5 || h[1].Received+h[1].Unknown != 5 || h[1].Received < 4 {
			t.Errorf("%s: %+v", l.Host, h)
		}
	})
	want := []string{"1 198.18.0.1 443 open 2 interrupted", "2 198.18.0.2 443 closed 2 interrupted"}
	if !slices.Equal(m.lines, want) || m.err != errStopped {
		t.Errorf("%v: %q", m.err, m.lines)
	}
}

// TestManyRoundsLimited: one after the other, targets behind a router with Linux's limit show no loss there; side by side
// they take its answers from each other.
func TestManyRoundsLimited(t *testing.T) {
	network, list := "", ""
	for i := range 8 {
		network += fmt.Sprintf("router 10.0.0.1 rate=1s/6 device=1 delay=1ms\ntarget 198.18.%d.1 open\n", i)
		list += fmt.Sprintf("198.18.%d.1\n", i)
	}
	for open, want := range map[int]bool{0: false, 8: true} {
		lost := 0
		m := &manySim{}
		m.Request.Rounds, m.Open = &Rounds{Interval: time.Second, Count: 5}, open
		m.runWith(t, network, list, time.Hour, overSim, func(l record.Listed) { lost += l.Trace.Rounds.Hops[0].Lost })
		if lost > 20 != want || !want && lost > 0 {
			t.Errorf("%d at a time: %d of 40 probes to the router are lost", open, lost)
		}
	}
}
