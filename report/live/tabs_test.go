package live

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"go.example/tcptraceroute/trace"
)

// tabs are so many targets: most are reached, and of the others each has another trouble.
func tabs(o Options, n int) *scene {
	for i := range n {
		o.Targets = append(o.Targets, fmt.Sprintf("host-%d.some.longer.domain.example 443", i+1))
	}
	s := newScene(o)
	for i := range n {
		if i%7 == 3 && i > 3 {
			s.s.Refuse(i, "not found: no such name")
			continue
		}
		s.s.Begin(i, trace.PathOptions{Target: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 443)})
		s.s.tabs[i].began = start
	}
	for k := range 40 {
		round := s.n
		for i := range n {
			s.n = round // all are in the same
			noise := (k*k*7 + i*k*13 + i*i*31) % 97
			at := fmt.Sprintf("203.0.113.%d %dus open", i, 20000+1000*i+noise*200)
			switch {
			case i%7 == 1:
				s.roundOf(i, "192.0.2.1 1ms", "192.0.2.2 2ms", "*", "*")
			case i%7 == 2 && k%5 == 0:
				s.roundOf(i, "192.0.2.1 1ms", "192.0.2.2 2ms", "*")
			case i%7 == 4:
				s.roundOf(i, "192.0.2.1 1ms", "192.0.2.2 2ms prohibited")
			case i%7 == 3 && i > 3, i%7 == 6:
			default:
				s.roundOf(i, "192.0.2.1 1ms", "192.0.2.2 2ms", at)
			}
		}
		s.n = round + 1
	}
	s.look(s.v.now)
	return s
}

// TestTabs: an overview, and each target's own screen, with 1, 3 and 20 targets, on black and on white.
func TestTabs(t *testing.T) {
	for _, n := range []int{1, 3, 20} {
		for _, width := range []int{60, 80, 120, 250} {
			for theme, name := range map[Theme]string{DarkTheme: "dark", LightTheme: "light"} {
				s := tabs(Options{UTF8: true, Colors: ManyColors, Theme: theme}, n)
				golden(t, fmt.Sprintf("targets-%d-%d", n, width), s.shown(width, 24))
				if n == 20 {
					golden(t, fmt.Sprintf("colours-targets-%s-%d", name, width), strings.ReplaceAll(s.View().Content, "\x1b", "ESC"))
				}
				golden(t, fmt.Sprintf("target-of-%d-%d", n, width), s.press("right", "right", "right").shown(width, 24))
			}
		}
	}
	golden(t, "ascii-targets-80", tabs(Options{}, 20).shown(80, 24))
	golden(t, "help-targets-80", tabs(Options{}, 20).press("?").shown(80, 24))
	golden(t, "targets-by-loss-80", tabs(Options{}, 20).press("o", "j", "p").shown(80, 24))
}

// A path that goes on to the last hop that is asked isn't silent beyond it.
func TestTabBeyond(t *testing.T) {
	s := newScene(Options{Targets: []string{"a.example 443", "b.example 443"}})
	path := trace.PathOptions{Target: netip.MustParseAddrPort("203.0.113.1:443"), MaxTTL: 3}
	s.s.Begin(0, path)
	s.s.Begin(1, path)
	s.roundOf(0, "192.0.2.1 1ms", "192.0.2.2 2ms", "192.0.2.3 3ms")
	s.roundOf(1, "192.0.2.1 1ms", "192.0.2.2 2ms", "*")
	for i, want := range []string{"not reached in 3 hops (the last is 192.0.2.3)", "silent after hop 2 (192.0.2.2)"} {
		if got := s.s.tabs[i].become(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestTabKeys: keys go from target to target, and choose in the overview.
func TestTabKeys(t *testing.T) {
	s := tabs(Options{UTF8: true}, 12)
	s.shown(80, 24)
	for _, x := range []struct{ keys, want string }{
		{"", "12 targets"}, {"right", "host-1."}, {"right", "host-2."}, {"left left", "12 targets"}, {"left", "host-12."},
		{"right", "12 targets"}, {"7", "host-7."}, {"0", "12 targets"}, {"j j j enter", "host-3."}, {"0 G enter", "host-12."},
		{"0 enter enter", "host-1."}, {"0 k enter", "host-12."}, {"9", "host-9."},
	} {
		if x.keys != "" {
			s.press(strings.Fields(x.keys)...)
		}
		if first := strings.TrimPrefix(s.shown(80, 24), "tcptraceroute "); !strings.HasPrefix(first, x.want) {
			t.Fatalf("after %q: %q, want %q", x.keys, first[:40], x.want)
		}
	}
	if s.press("0", "r"); s.s.tabs[0].stats.Rounds()+s.s.tabs[11].stats.Rounds() != 0 {
		t.Error("not all are reset")
	}
	one := tabs(Options{}, 1)
	if one.press("left", "5", "0"); strings.Contains(one.shown(80, 24), "1 targets") || one.v.overview {
		t.Error("one target has an overview")
	}
}

// TestTabsFit at every size, as TestScreensFit holds of a single target.
func TestTabsFit(t *testing.T) {
	for _, o := range []Options{{}, {UTF8: true, Colors: ManyColors}} {
		s := tabs(o, 20)
		for _, keys := range [][]string{{}, {"G"}, {"9", "enter"}, {"?"}} {
			s.press(keys...)
			for width := 1; width <= 260; width += 7 {
				for height := 1; height <= 50; height += 7 {
					s.Update(tea.WindowSizeMsg{Width: width, Height: height})
					lines := strings.Split(colours.ReplaceAllString(s.View().Content, ""), "\n")
					if len(lines) > height {
						t.Fatalf("%dx%d: %d lines", width, height, len(lines))
					}
					for _, l := range lines {
						if n := utf8.RuneCountInString(l); n > width {
							t.Fatalf("%q, %dx%d: a line of %d columns: %q", keys, width, height, n, l)
						}
					}
				}
			}
		}
	}
}
