package live

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// ttls are those of the list's lines, in order.
func ttls(screen string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^ *>? ?(\d+)[ ~!] `).FindAllStringSubmatch(screen, -1) {
		all = append(all, m[1])
	}
	return all
}

// A key sorts the list, and choosing goes through it as it is seen.
func TestOrder(t *testing.T) {
	s := newScene(Options{UTF8: true})
	for i := range 10 {
		hops := []string{"192.0.2.1 5ms", "192.0.2.2 1ms", "*", "192.0.2.4 20ms", "203.0.113.5 10ms open"}
		if i == 3 {
			hops[1], hops[4] = "192.0.2.2 90ms", "*"
		}
		s.round(hops...)
	}
	for _, want := range []struct {
		says string
		ttls string
	}{
		{"", "1 2 3 4 5"}, {"by loss", "3 5 1 2 4"}, {"by average", "4 5 2 1 3"}, {"by worst", "2 4 5 1 3"}, {"", "1 2 3 4 5"},
	} {
		screen := s.shown(100, 20)
		if got := strings.Join(ttls(screen), " "); got != want.ttls || strings.Contains(screen, " by ") != (want.says != "") ||
			!strings.Contains(screen, want.says) {
			t.Errorf("%s, want %s %s\n%s", got, want.ttls, want.says, screen)
		}
		s.press("o")
	}
	s.press("o", "o", "g") // by worst now: o was pressed once more
	first := s.v.chosen
	s.press("j")
	second := s.v.chosen
	s.press("G")
	if first != 2 || second != 4 || s.v.chosen != 3 {
		t.Errorf("chosen %d, then %d, last %d", first, second, s.v.chosen)
	}
}

// Keys go back in the history, as far as it is kept, and forth to now.
func TestBack(t *testing.T) {
	for k, width := range map[kind]int{asTable: 120, asHeat: 120} {
		s := newScene(Options{UTF8: true})
		s.v.kind = k
		for i := range 40 {
			hop := "192.0.2.1 5ms"
			if i == 12 {
				hop = "*"
			}
			s.round(hop, "203.0.113.5 10ms open")
		}
		// where is how many cells right of the lost probe there are.
		where := func() int {
			for l := range strings.Lines(s.shown(width, 14)) {
				if i := strings.LastIndex(l, "×"); strings.HasPrefix(l, "  1") && i >= 0 {
					return len([]rune(strings.TrimRight(l[i:], "\n"))) - 1
				}
			}
			return -1
		}
		var got []int
		for _, key := range []string{"", "[", "[", "[", "[", "]", "esc"} {
			s.press(key)
			got = append(got, where())
		}
		if want := []int{27, 17, 7, -1, -1, -1, 27}; !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v\n%s", k, got, want, s.shown(width, 14))
		}
		s.press("[")
		if screen := s.shown(width, 14); !strings.Contains(screen, "10 s back") || strings.Contains(screen, "now") {
			t.Errorf("%v:\n%s", k, screen)
		}
	}
}

// Keys make rounds longer and shorter, within bounds.
func TestInterval(t *testing.T) {
	s := newScene(Options{})
	s.press("+") // nothing can be changed
	if s.s.o.Interval != time.Second {
		t.Errorf("every %v", s.s.o.Interval)
	}
	var set []time.Duration
	s.s.o.SetInterval = func(d time.Duration) { set = append(set, d) }
	s.press("+", "-", "-", "-", "-", "-", "-")
	want := []time.Duration{2 * time.Second, time.Second, 500 * time.Millisecond, 200 * time.Millisecond, 100 * time.Millisecond,
		100 * time.Millisecond, 100 * time.Millisecond}
	if !slices.Equal(set, want) {
		t.Errorf("%v, want %v", set, want)
	}
	if screen := s.shown(80, 10); !strings.Contains(screen, "every 0.1 s") {
		t.Error(screen)
	}
	s.s.o.Interval = time.Hour // by --interval: only a key for a shorter one changes it
	s.press("+")
	if s.s.o.Interval != time.Hour {
		t.Errorf("every %v", s.s.o.Interval)
	}
}
