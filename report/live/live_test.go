package live

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

var update = flag.Bool("update", false, "write the golden screens anew")

var (
	start   = time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	colours = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// scene is a screen that something was shown on: one result a hop and round.
type scene struct {
	*model
	n int
}

func newScene(o Options) *scene {
	if o.Interval = time.Second; o.Targets == nil {
		o.Target = "www.example.com (203.0.113.5) port 443 (https)"
	}
	o.Hold = func(bool) {}
	s := New(o)
	for _, t := range s.tabs {
		t.began = start
	}
	m := newModel(s)
	m.v.now = start
	return &scene{model: m}
}

// round adds what became of one probe to each hop: "10.0.0.1 12ms", with a state behind it where it is the target's, "*"
// for one that was lost, "!" for one that was not sent, "" for none.
func (s *scene) round(hops ...string) {
	s.roundOf(0, hops...)
}

// roundOf is round of one of several targets.
func (s *scene) roundOf(target int, hops ...string) {
	at := start.Add(time.Duration(s.n) * time.Second)
	for i, h := range hops {
		if h == "" {
			continue
		}
		r := trace.Result{Probe: packet.Probe{TTL: uint8(i + 1)}, N: s.n*len(hops) + i, Outcome: trace.Lost, Sent: at}
		f := strings.Fields(h)
		switch {
		case f[0] == "!":
			r.Outcome, r.Err, r.Sent, r.Tried = trace.Failed, syscall.EPERM, time.Time{}, at
		case f[0] != "*":
			d, err := time.ParseDuration(f[1])
			if err != nil {
				panic(err)
			}
			r.Outcome, r.Recv = trace.Answered, at.Add(d)
			r.Reply = &packet.Reply{IP: packet.IP{Version: 4, Src: netip.MustParseAddr(f[0])}, Kind: packet.KindTimeExceeded}
			if len(f) > 2 {
				switch f[2] {
				case "open":
					r.Reply.Kind, r.Reply.TCP.Flags = packet.KindTCP, packet.SYN|packet.ACK
				case "closed":
					r.Reply.Kind, r.Reply.TCP.Flags = packet.KindTCP, packet.RST|packet.ACK
				case "shared":
					r.Reply.Kind, r.Reply.TCP.Flags, r.Outcome = packet.KindTCP, packet.SYN|packet.ACK, trace.Shared
				case "prohibited":
					r.Reply.Kind, r.Reply.Code = packet.KindUnreachable, 13
				}
			}
		}
		s.s.AddTo(target, r)
	}
	s.n++
	s.v.now = at.Add(700 * time.Millisecond)
}

// busy is a path with everything on it.
func busy(o Options) *scene {
	o.Name = func(a netip.Addr) string {
		return map[string]string{
			"192.0.2.1": "gw.example.net", "198.51.100.9": "ae-1.r20.frnkge13.de.bb.gin.carrier.example",
			"198.51.100.66": "evil\x1b[2J\nname", "203.0.113.5": "www.example.com",
		}[a.String()]
	}
	o.Findings = func(trace.PathOptions, *trace.Trace) []detect.Finding {
		return []detect.Finding{
			{Title: "Missing answers at hop 3 (198.51.100.17) are no loss", Confidence: detect.Likely},
			{Title: "Port 443 is open: the target's address accepts the connection", Confidence: detect.Certain},
		}
	}
	s := newScene(o)
	for i := range 300 {
		// A small generator, so that the screens are the same for ever.
		noise := func(k int) int { return (i*i*7 + i*k*13 + k*k*31) % 97 }
		h := []string{
			fmt.Sprintf("192.0.2.1 %dus", 180+noise(1)*2),
			fmt.Sprintf("198.51.100.9 %dus", 2100+noise(2)*30),
			fmt.Sprintf("198.51.100.17 %dus", 9000+noise(3)*50),
			"*",
			fmt.Sprintf("198.51.100.%d %dus", 65+i%3%2, 18000+noise(5)*90),
			fmt.Sprintf("198.51.100.129 %dus", 62000+noise(6)*500),
			fmt.Sprintf("203.0.113.5 %dus open", 64000+noise(7)*2200),
		}
		if i%3 != 0 {
			h[2] = "*"
		}
		if i%41 == 40 {
			h[5], h[6] = "*", "*"
		}
		if i == 150 {
			h[0] = "!"
		}
		s.round(h...)
	}
	s.look(s.v.now)
	return s
}

// shown is the screen at a size, without colours.
func (s *scene) shown(width, height int) string {
	s.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return colours.ReplaceAllString(s.View().Content, "")
}

// press presses keys.
func (s *scene) press(keys ...string) *scene {
	for _, k := range keys {
		s.dirty = true
		s.key(k)
	}
	return s
}

// golden compares a screen with a kept one.
func golden(t *testing.T, name, got string) {
	t.Helper()
	var b strings.Builder
	for l := range strings.Lines(got + "\n") {
		b.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
	got = b.String()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
	}
}

func TestScreens(t *testing.T) {
	many := Options{UTF8: true, Colors: ManyColors}
	for _, width := range []int{60, 80, 120, 250} {
		for k := range kinds {
			s := busy(many)
			s.v.kind = k
			golden(t, fmt.Sprintf("%s-%d", strings.ReplaceAll(k.String(), " ", "-"), width), s.shown(width, 24))
		}
	}
	golden(t, "ascii-80", busy(Options{}).shown(80, 24))
	golden(t, "ascii-heat-80", busy(Options{}).press("v", "v").shown(80, 24))
	golden(t, "ascii-whiskers-80", busy(Options{}).press("v").shown(80, 24))
	golden(t, "logarithm-100", busy(many).press("v", "l").shown(100, 24))
	golden(t, "details-100", busy(many).press("G", "k", "k", "enter").shown(100, 30))
	golden(t, "help-80", busy(many).press("?").shown(80, 24))
	golden(t, "addresses-paused-80", busy(many).press("n", "p").shown(80, 24))
	golden(t, "answering-80", busy(many).press("s").shown(80, 24))
	golden(t, "low-80", busy(many).press("G").shown(80, 9))
	golden(t, "empty-80", newScene(many).shown(80, 10))
	golden(t, "reset-80", busy(many).press("r").shown(80, 10))

	filtered := newScene(many)
	for range 20 {
		filtered.round("192.0.2.1 1ms", "192.0.2.2 2ms", "*", "*", "*")
	}
	golden(t, "filtered-80", filtered.shown(80, 10))
	filtered.round("192.0.2.1 1ms", "192.0.2.2 2ms", "203.0.113.5 3ms shared")
	golden(t, "shared-80", filtered.shown(80, 10))

	moved := newScene(many)
	for range 20 {
		moved.round("192.0.2.1 1ms", "192.0.2.2 2ms", "203.0.113.5 3ms closed")
	}
	for range 20 {
		moved.round("192.0.2.1 1ms", "192.0.2.9 2ms", "192.0.2.3 3ms", "203.0.113.5 4ms closed")
	}
	golden(t, "moved-80", moved.shown(80, 12))

	refused := newScene(many)
	refused.round("192.0.2.1 1ms", "192.0.2.2 2ms prohibited")
	golden(t, "refused-80", refused.shown(80, 10))
}

// TestScreensFit at every size: no line is too long, no line too many, and nothing from the network gets through.
func TestScreensFit(t *testing.T) {
	for _, o := range []Options{{}, {UTF8: true, Colors: ManyColors}} {
		s := busy(o)
		s.s.o.Owner = func(netip.Addr) (record.Owner, bool) {
			return record.Owner{ASN: 64496, Name: "evil\x1b[2J owner"}, true
		}
		for _, keys := range [][]string{{}, {"G", "enter"}, {"?"}, {"?", "a"}} {
			s.press(keys...)
			for range kinds {
				s.press("v")
				for width := 1; width <= 260; width += 9 {
					for height := 1; height <= 50; height += 7 {
						got := s.shown(width, height)
						lines := strings.Split(got, "\n")
						if len(lines) > height {
							t.Fatalf("%dx%d: %d lines", width, height, len(lines))
						}
						for _, l := range lines {
							if n := utf8.RuneCountInString(l); n > width {
								t.Fatalf("%dx%d: a line of %d columns: %q", width, height, n, l)
							}
							if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && !o.UTF8 }) {
								t.Fatalf("%dx%d: %q", width, height, l)
							}
						}
					}
				}
			}
		}
	}
}

// TestColours: what is shown by colour besides the mark.
func TestColours(t *testing.T) {
	s := busy(Options{UTF8: true, Colors: ManyColors})
	s.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	lines := strings.Split(s.View().Content, "\n")
	for _, want := range []struct {
		line int
		text string
	}{
		{5, "\x1b[" + string(dim) + "m~\x1b[m"},         // hop 3 limits its answers
		{5, "\x1b[" + string(dim) + "m 66.7%\x1b[m"},    // so its loss is harmless
		{6, "\x1b[" + string(dim) + "m(no answer)"},     // hop 4
		{10, "\x1b[" + string(bad) + "m  2.3%\x1b[m"},   // hop 6: loss that the target has too
		{11, "\x1b[" + string(bad) + "m  2.3%\x1b[m"},   // the target's loss
		{11, "\x1b[" + string(good) + "m[open]\x1b[m"},  // its state
		{3, "\x1b[" + string(steps[1].fg) + "m▁\x1b[m"}, // hop 1's times
		{11, "\x1b[" + string(bad) + "m×\x1b[m"},        // a lost probe
		{5, "\x1b[" + string(dim) + "m×\x1b[m"},         // one that only wasn't answered
	} {
		if !strings.Contains(lines[want.line], want.text) {
			t.Errorf("line %d doesn't have %q: %q", want.line, want.text, lines[want.line])
		}
	}
}

func TestKeys(t *testing.T) {
	held := false
	s := busy(Options{})
	s.s.o.Hold = func(h bool) { held = h }
	s.shown(80, 24)
	chosen := func(want int, keys ...string) {
		t.Helper()
		if s.press(keys...); s.v.chosen != want {
			t.Errorf("%q: hop %d is chosen, want %d", keys, s.v.chosen, want)
		}
	}
	chosen(1, "j")
	chosen(2, "down")
	chosen(1, "k")
	chosen(1, "up")
	chosen(7, "G")
	chosen(7, "j")
	chosen(1, "g")
	chosen(0, "esc")
	chosen(7, "k")
	chosen(3, "esc", "j", "j", "j")
	chosen(5, "s", "j") // hop 4 is hidden
	chosen(1, "esc", "enter")
	if !s.v.details {
		t.Error("no details")
	}
	if s.press("p"); !held || !s.v.paused {
		t.Error("not paused")
	}
	if s.press("space"); held || s.v.paused {
		t.Error("still paused")
	}
	if s.press("tab").v.kind != asWhiskers || s.press("v").v.kind != asHeat || s.press("v").v.kind != asTable || s.press("shift+tab").v.kind != asHeat {
		t.Error("the views don't go round")
	}
	if s.press("r"); s.s.stats.Hop(1).Sent() != 0 {
		t.Error("not reset")
	}
	for _, k := range []string{"q", "Q", "ctrl+c"} {
		if !s.key(k) {
			t.Errorf("%s doesn't quit", k)
		}
	}
	if s.key("x") {
		t.Error("x quits")
	}
}

func TestImpossibleAddress(t *testing.T) {
	v := &view{o: &Options{Name: func(netip.Addr) string { return "localhost" }},
		shown: newTab(trace.PathOptions{Target: netip.MustParseAddrPort("127.0.0.9:80")}, "localhost")}
	for a, want := range map[string][2]string{
		"127.0.0.1": {"localhost (127.0.0.1) <?loopback>", "127.0.0.1<?loopback>"},
		"127.0.0.9": {"localhost (127.0.0.9)", "localhost"}, // the target's own
		"10.0.0.1":  {"localhost (10.0.0.1)", "localhost"},
	} {
		addr := netip.MustParseAddr(a)
		if label, short := v.label(addr), v.short(addr); label != want[0] || short != want[1] {
			t.Errorf("%q, %q, want %q", label, short, want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, x := range []struct{ got, want string }{
		{ms(0), "0.000"}, {ms(45 * time.Microsecond), "0.045"}, {ms(999600), "1.00"}, {ms(1234567), "1.23"}, {ms(9996000), "10.0"},
		{ms(12345678), "12.3"}, {ms(123 * time.Millisecond), "123"}, {ms(3 * time.Second), "3000"},
		{percent(0), "0%"}, {percent(1), "100%"}, {percent(0.0001), "<0.1%"}, {percent(0.9999), "99.9%"}, {percent(0.0234), "2.3%"},
		{number(99999), "99999"}, {number(100000), "100k"}, {number(12345678), "12M"},
		{span(time.Second), "1 s"}, {span(100 * time.Millisecond), "0.1 s"}, {span(200 * time.Second), "3 m 20 s"},
		{span(3*time.Hour + 2*time.Minute), "3 h 02 m"}, {span(49 * time.Hour), "2 d 01 h"},
		{nice(130 * time.Millisecond).String(), "200ms"}, {nice(100 * time.Millisecond).String(), "100ms"}, {nice(7).String(), "8ns"},
	} {
		if x.got != x.want {
			t.Errorf("%q, want %q", x.got, x.want)
		}
	}
}

func TestTerminal(t *testing.T) {
	for _, term := range []string{"", "dumb", "xterm"} {
		_, _, err := Terminal(strings.NewReader(""), new(strings.Builder), func(k string) string {
			return map[string]string{"TERM": term}[k]
		})
		if err != ErrNoTerminal {
			t.Errorf("TERM=%s and no terminal: %v", term, err)
		}
	}
}

// TestRun ends the screen in every way, while results come in.
func TestRun(t *testing.T) {
	for name, end := range map[string]func(s *Screen, keys *os.File, cancel func()){
		"finished":  func(s *Screen, _ *os.File, _ func()) { s.Finish() },
		"key":       func(_ *Screen, keys *os.File, _ func()) { keys.WriteString("vjq") },
		"cancelled": func(_ *Screen, _ *os.File, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			in, keys, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			defer keys.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// Nothing is asked: on a busy machine the question may come after the end, see TestAsksForBackground.
			s := busy(Options{Colors: ManyColors, UTF8: true, Theme: DarkTheme})
			var adding sync.WaitGroup
			adding.Go(func() {
				for range 100 {
					s.round("192.0.2.1 1ms", "*", "203.0.113.5 3ms open")
				}
			})
			var out bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- s.s.Run(ctx, in, &out, "xterm-256color") }()
			adding.Wait()
			end(s.s, keys, cancel)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if !strings.Contains(out.String(), "\x1b[?1049h") || !strings.HasSuffix(strings.TrimRight(out.String(), "\r\n"), "h") {
				t.Errorf("the screen wasn't left as it was: %q", out.String())
			}
		})
	}
}
