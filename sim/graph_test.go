package sim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// ways sends many SYNs with a TTL that lasts, and says how many routers each has passed,
// by what is left of its TTL at the target.
func (f family) ways(t *testing.T, m *Model, change func(i int, p *packet.Probe)) (passed []int) {
	t.Helper()
	m.Watch = func(a Arrival) {
		if a.Target {
			passed = append(passed, 64-int(ttl(a.Packet)))
		}
	}
	for i := range 200 {
		p := f.syn(64)
		change(i, &p)
		inject(t, m, ms(i), p)
	}
	m.run(time.Minute)
	if len(passed) != 200 {
		t.Fatalf("%d of 200 got to the target", len(passed))
	}
	return passed
}

// tally is how often each number is among them.
func tally(all []int) map[int]int {
	n := map[int]int{}
	for _, v := range all {
		n[v]++
	}
	return n
}

func byPort(f family) func(int, *packet.Probe) {
	return func(i int, p *packet.Probe) { p.Src = netip.AddrPortFrom(f.host, 2000+uint16(i)) }
}

// The ways of a fork have a length each, and a share of the flows; each flow keeps to its way, nested ones too.
func TestForkedWays(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const text = "no-host-rst\nrouter $1\nfork\nway share=0.2\nrouter $2\nrouter $3\nrouter $4\n" +
			"way\nrouter $5\nfork\nway\nway\nrouter $6\nend\nend\nrouter $7\ntarget $T"
		got := f.ways(t, f.network(t, text), byPort(f))
		if again := f.ways(t, f.network(t, text), byPort(f)); !slices.Equal(got, again) {
			t.Error("a flow changes its way")
		}
		n := tally(got)
		if len(n) != 3 || n[5] < 20 || n[5] > 60 || n[3] < 50 || n[4] < 50 {
			t.Errorf("routers passed, and how often: %v", n)
		}
	})
}

// What decides at a fork is what By says, and nothing else.
func TestForkDecides(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		byLabel := func(i int, p *packet.Probe) { p.FlowLabel = uint32(i) }
		same := func(int, *packet.Probe) {}
		for _, c := range []struct {
			by     string
			change func(int, *packet.Probe)
			ways   int
		}{
			{"ports", byPort(f), 2}, {"ports", same, 1}, {"ports", byLabel, 1},
			{"addresses", byPort(f), 1},
			{"label", byPort(f), 1}, {"label", byLabel, when(f.v4, 1, 2)},
			{"ports+label", byPort(f), 2}, {"ports+label", byLabel, when(f.v4, 1, 2)},
			{"packet", same, 2},
		} {
			m := f.network(t, "no-host-rst\nfork by="+c.by+"\nway\nway\nrouter $1\nend\ntarget $T")
			if n := tally(f.ways(t, m, c.change)); len(n) != c.ways {
				t.Errorf("by %s: %v, want %d ways", c.by, n, c.ways)
			}
		}
	})
}

func when[T any](so bool, then, otherwise T) T {
	if so {
		return then
	}
	return otherwise
}

// Forks with the same seed choose alike; others each for itself.
func TestForkSeeds(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const fork = "fork seed=5\nway\nway\nrouter $1\nend\n"
		n := tally(f.ways(t, f.network(t, "no-host-rst\n"+fork+fork+"target $T"), byPort(f)))
		if n[0] == 0 || n[1] != 0 || n[2] == 0 {
			t.Errorf("the same seed: %v", n)
		}
		const own = "fork\nway\nway\nrouter $1\nend\n"
		if n := tally(f.ways(t, f.network(t, "no-host-rst\n"+own+own+"target $T"), byPort(f))); len(n) != 3 {
			t.Errorf("a seed each: %v", n)
		}
	})
}

// Beyond a fork the routers are the same whichever way packets took: a limit there is one.
func TestForkSharesRouters(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "no-host-rst\nfork\nway\nrouter $1\nway\nrouter $2\nend\nrouter $3 packet-limit=1s/10\ntarget $T")
		for i := range 100 {
			p := f.syn(64)
			byPort(f)(i, &p)
			inject(t, m, 0, p)
		}
		m.run(ms(1))
		truth := m.Truth(0)
		if truth.Target.Arrived != 10 {
			t.Errorf("%d packets passed a limit of 10", truth.Target.Arrived)
		}
		if n := len(truth.Hops); n != 3 || truth.Hops[2].Hop != 2 || truth.Hops[2].Members[0].Dropped != 90 {
			t.Errorf("truth: %+v", truth.Hops)
		}
	})
}

// Answers go home by routers of their own: from there and from beyond, through what these do to them.
func TestHome(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		plain := "router $1 delay=1ms\nrouter $2 delay=1ms\nrouter $3 delay=1ms\n"
		home := func(words, inside string) string {
			return plain + "home " + words + "\n" + inside + "end\nrouter $4 delay=1ms\ntarget $T delay=1ms"
		}
		for _, c := range []struct {
			text  string
			ttl   uint8 // of the probe
			left  uint8 // of the answer's TTL when it comes; 0: none does
			after time.Duration
		}{
			{home("", ""), 2, 254, ms(4)},      // nearer routers are as they were
			{home("", ""), 3, 255, ms(3)},      // the router itself: straight home
			{home("", ""), 4, 254, ms(5)},      // one beyond, back through it
			{home("", ""), 9, 62, ms(7)},       // the target
			{home("skip=1", ""), 9, 61, ms(8)}, // past the router before
			{home("skip=2", ""), 9, 62, ms(7)}, // past both, and so home
			{home("", "router $5 delay=2ms\nrouter $6 delay=2ms\n"), 9, 60, ms(11)},
			{home("skip=1", "router $5 delay=2ms\n"), 9, 60, ms(10)},
			{home("", "router $5 drop=not-syn\n"), 9, 0, 0},
			{home("", "router $5 drop=not-syn\n"), 4, 253, ms(5)}, // no TCP
			{home("", "router $5 drop=not-tcp\n"), 4, 0, 0},
			{home("", "router $5 drop=from-80\n"), 9, 0, 0},
			{home("", "router $5 drop=from-81\n"), 9, 61, ms(7)},
			{home("", "router $5 stateful\n"), 9, 0, 0}, // a SYN+ACK of no connection that it knows
			{home("", "router $5 loss=1\n"), 9, 0, 0},
			{home("share=1", "router $5 loss=1\n"), 9, 0, 0},
		} {
			m := f.network(t, c.text)
			inject(t, m, 0, f.syn(c.ttl))
			all := receive(t, m, ms(500))
			switch {
			case c.left == 0 && len(all) > 0:
				t.Errorf("TTL %d: %v answered\n%s", c.ttl, all[0].From(), c.text)
			case c.left == 0:
			case len(all) != 1:
				t.Errorf("TTL %d: %d answers\n%s", c.ttl, len(all), c.text)
			case all[0].IP.TTL != c.left || all[0].at != c.after:
				t.Errorf("TTL %d: comes with TTL %d after %v, want %d and %v\n%s",
					c.ttl, all[0].IP.TTL, all[0].at, c.left, c.after, c.text)
			}
		}
	})
}

// A limit on a way home counts the answers in the order in which they come, and a share of the flows goes by it.
func TestHomeLimitsAndShares(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		run := func(words, router string) int {
			m := f.network(t, "no-host-rst\nrouter $1\nhome "+words+"\nrouter $5 "+router+"\nend\ntarget $T closed")
			for i := range 100 {
				p := f.syn(9)
				byPort(f)(i, &p)
				inject(t, m, ms(i), p)
			}
			return len(receive(t, m, time.Second))
		}
		if n := run("", "packet-limit=50ms/5"); n != 6 {
			t.Errorf("%d answers, want 5 and one more", n)
		}
		if n := run("share=0.5", "drop"); n < 30 || n > 70 {
			t.Errorf("%d of 100 flows get home, half of which go by a filter", n)
		}
	})
}

// A packet that is too long is answered, if it may not be cut up.
func TestTooBig(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const text = "router $1 longest=100 longest-told\ntarget $T"
		p := f.syn(9)
		p.Length, p.DontFragment = 200, true
		got := f.one(t, text, p)
		kind := when(f.v4, packet.KindUnreachable, packet.KindTooBig)
		if got.From() != f.addr("$1") || got.MTU != 100 || got.Kind != kind || f.v4 && got.Code != 4 {
			t.Errorf("answered by %v: %+v", got.From(), got.Reply)
		}
		if p.DontFragment = false; f.v4 {
			if got := f.one(t, text, p); got.Kind != packet.KindTCP {
				t.Errorf("one that may be cut up is answered by %v", got.From())
			}
		}
		f.one(t, text, f.syn(9))
	})
}
