package live

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// answering answers a plan's probes: routers 192.0.2.x at hop 1 and 3, between them one of so many, by the source port,
// and the target at hop 4. The bad one loses every third of its packets.
type answering struct {
	width, bad int
	t          *testing.T
	n          int
	now        time.Time
}

func (a *answering) answer(p packet.Probe) trace.Result {
	a.n++
	member := int(p.Src.Port()) % a.width
	r := trace.Result{Probe: p, N: a.n, Outcome: trace.Answered, Sent: a.now, Evidence: trace.ByTag}
	if p.TTL > 2 && member == a.bad && a.n%3 == 0 {
		r.Outcome = trace.Lost
		return r
	}
	from := map[uint8]netip.Addr{1: netip.MustParseAddr("192.0.2.1"), 3: netip.MustParseAddr("192.0.2.3"),
		2: netip.AddrFrom4([4]byte{198, 51, 100, byte(member + 1)})}[p.TTL]
	r.Reply = &packet.Reply{IP: packet.IP{Version: 4, Src: from}, Kind: packet.KindTimeExceeded}
	if p.TTL >= 4 {
		r.Reply.IP.Src, r.Reply.Kind = p.Dst.Addr(), packet.KindTCP
		r.Reply.TCP.Flags = packet.SYN | packet.ACK
	}
	r.Recv = a.now.Add(time.Duration(p.TTL)*5*time.Millisecond + time.Duration(a.n*7%13)*200*time.Microsecond)
	return r
}

// run carries a plan out until the given time, without a network: each probe has its outcome at once.
func (a *answering) run(plan trace.Plan, until time.Time, seen func(trace.Result)) {
	for a.now.Before(until) {
		action := plan.Next(a.now)
		switch {
		case action.Do == trace.DoSend:
			r := a.answer(action.Probe)
			r.Note = action.Note
			plan.Learn(a.now, r)
			seen(r)
		case action.Do == trace.DoWait && action.Until.IsZero():
			return
		case action.Do == trace.DoWait:
			a.now = action.Until
		}
	}
}

// manyPaths is a screen of so many paths that were watched for two minutes; of these the fourth loses packets.
func manyPaths(t *testing.T, o Options, width int) *scene {
	o.Path = trace.PathOptions{Target: netip.MustParseAddrPort("203.0.113.5:443"), Source: netip.MustParseAddrPort("192.0.2.200:40000"),
		Rand: rand.New(rand.NewPCG(1, 2)), LabelSeed: 1}
	s := newScene(o)
	a := &answering{width: width, bad: -1, t: t, now: start}
	p := trace.PathsOptions{Path: o.Path}
	for i := range 255 {
		p.Ports = append(p.Ports, 41000+uint16(i))
	}
	for ttl := range 4 {
		r := a.answer(packet.Probe{TTL: uint8(ttl + 1), Src: o.Path.Source, Dst: o.Path.Target})
		p.Known = append(p.Known, r)
	}
	search, err := trace.NewPaths(p)
	if err != nil {
		t.Fatal(err)
	}
	a.run(search, start.Add(time.Minute), func(trace.Result) {})
	watch, err := trace.NewPathsRounds(search, trace.PathsRoundsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.s.Say(fmt.Sprintf("Watching %d paths: in each round %d probes, %d of them SYNs to the target", len(watch.Ways()),
		watch.Probes(), watch.TargetSYNs()))
	s.s.Watch(watch)
	for _, x := range s.s.tabs {
		x.began = start
	}
	a.bad, a.now = 3, start
	a.run(watch, start.Add(2*time.Minute), s.s.AddRound)
	s.v.now = start.Add(2 * time.Minute)
	s.look(s.v.now)
	return s
}

// TestPathsScreens: the paths as rows with the bad one marked, one of them, and the tree, on black and on white.
func TestPathsScreens(t *testing.T) {
	s := manyPaths(t, Options{UTF8: true, Colors: ManyColors}, 16)
	for _, width := range []int{60, 80, 120, 250} {
		for theme, name := range map[Theme]string{DarkTheme: "dark", LightTheme: "light"} {
			s.v.theme = theme
			golden(t, fmt.Sprintf("paths-%d", width), s.shown(width, 30))
			golden(t, fmt.Sprintf("colours-paths-%s-%d", name, width), strings.ReplaceAll(s.View().Content, "\x1b", "ESC"))
			golden(t, fmt.Sprintf("paths-tree-%d", width), s.press("t").shown(width, 30))
			golden(t, fmt.Sprintf("path-of-16-%d", width), s.press("t", "4").shown(width, 16))
			s.press("0")
		}
	}
	golden(t, "ascii-paths-80", manyPaths(t, Options{}, 4).shown(80, 20))
	golden(t, "help-paths-80", manyPaths(t, Options{}, 4).press("?").shown(80, 30))
	if s := manyPaths(t, Options{}, 4); strings.Contains(s.press("r").shown(80, 20), "!") {
		t.Errorf("the mark is left after the figures were forgotten:\n%s", s.shown(80, 20))
	}
}

// A mark and a finding are there both, or neither is. At every size no line is too long.
func TestPathsMarks(t *testing.T) {
	for _, width := range []int{2, 4, 16} {
		s := manyPaths(t, Options{UTF8: true, Colors: ManyColors}, width)
		for i, x := range s.s.tabs {
			if bad := strings.Contains(x.target, fmt.Sprintf("198.51.100.%d ", 4)) || strings.HasSuffix(x.target, ".4"); x.suspect != bad {
				t.Errorf("%d wide: path %d, %s: blamed %v", width, i+1, x.target, x.suspect)
			}
		}
		if found := len(s.s.paths.findings) > 0; found != (width > 2) {
			t.Errorf("%d wide: findings %v", width, s.s.paths.findings)
		}
		for w := 1; w <= 260; w += 9 {
			for h := 1; h <= 50; h += 7 {
				lines := strings.Split(s.shown(w, h), "\n")
				for _, l := range lines {
					if utf8.RuneCountInString(l) > w || len(lines) > h {
						t.Fatalf("%dx%d: %q", w, h, lines)
					}
				}
			}
		}
	}
}

// New paths take the place of those before, whatever is shown.
func TestPathsAgain(t *testing.T) {
	s := manyPaths(t, Options{UTF8: true}, 16)
	s.press("9").shown(80, 24)
	other := manyPaths(t, Options{UTF8: true}, 4)
	s.s.Watch(other.s.paths.plan)
	s.press("9", "right", "j", "[") // before the next look
	s.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	if got := s.shown(80, 24); !strings.Contains(got, "4 paths") || !s.v.overview {
		t.Errorf("%s", got)
	}
}
