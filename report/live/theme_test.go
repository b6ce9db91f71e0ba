package live

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// luminance is that of the last of an SGR sequence's colours (WCAG 2.2), of the 256 as xterm has them; ok is false
// where it has none of its own.
func luminance(s style) (l float64, ok bool) {
	sixteen := [...][3]float64{ // xterm's
		{0, 0, 0}, {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238}, {205, 0, 205}, {0, 205, 205}, {229, 229, 229},
		{127, 127, 127}, {255, 0, 0}, {0, 255, 0}, {255, 255, 0}, {92, 92, 255}, {255, 0, 255}, {0, 255, 255}, {255, 255, 255},
	}
	var rgb [3]float64
	fields := strings.Split(string(s), ";")
	n, _ := strconv.Atoi(fields[len(fields)-1])
	switch {
	case strings.Contains(string(s), "38;5;") && n >= 232:
		v := float64(8 + 10*(n-232))
		rgb = [3]float64{v, v, v}
	case strings.Contains(string(s), "38;5;") && n >= 16:
		for i, d := range []int{36, 6, 1} {
			if v := (n - 16) / d % 6; v > 0 {
				rgb[i] = float64(55 + 40*v)
			}
		}
	case n >= 30 && n <= 37:
		rgb = sixteen[n-30]
	case n >= 90 && n <= 97:
		rgb = sixteen[n-90+8]
	default:
		return 0, false
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := rgb[i] / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l, true
}

// Every colour can be read on the background that it is chosen for: a contrast of 3 at least, which is WCAG's limit
// for large text and graphics.
func TestContrast(t *testing.T) {
	const least = 3
	usual := palette{title: title, good: good, odd: odd, bad: bad, header: header}
	for i, s := range steps {
		usual.steps[i] = s.fg
	}
	for _, tt := range []struct {
		name         string
		p            *palette
		black, white bool
	}{
		{"usual", &usual, true, false}, {"light", &lightPalette, false, true}, {"16", &fewPalette, true, true},
		{"16 on black", &fewDarkPalette, true, false}, {"16 on white", &fewLightPalette, false, true},
	} {
		all := append([]style{tt.p.title, tt.p.good, tt.p.odd, tt.p.bad, tt.p.header}, tt.p.steps[:]...)
		for _, s := range all {
			l, ok := luminance(s)
			if black := (l + 0.05) / 0.05; ok && tt.black && black < least {
				t.Errorf("%s: %s on black: %.1f", tt.name, s, black)
			}
			if white := 1.05 / (l + 0.05); ok && tt.white && white < least {
				t.Errorf("%s: %s on white: %.1f", tt.name, s, white)
			}
		}
	}
}

func TestThemeOf(t *testing.T) {
	for value, want := range map[string]Theme{
		"": AnyTheme, "15;0": DarkTheme, "0;15": LightTheme, "0;default;15": LightTheme, "15;default;0": DarkTheme, "0;7": LightTheme,
		"7;8": DarkTheme, "12": LightTheme, "default;default": AnyTheme, "0;16": AnyTheme, "0;-1": AnyTheme, ";": AnyTheme,
	} {
		for name, want := range map[string]Theme{"": want, "auto": want, "dark": DarkTheme, "light": LightTheme} {
			if got := ThemeOf(name, func(string) string { return value }); got != want {
				t.Errorf("%q, %q: %v, want %v", name, value, got, want)
			}
		}
	}
}

// The screens with their colours, on black and on white, with 256 colours and with 16: golden, with ESC as \e.
func TestThemes(t *testing.T) {
	for name, o := range map[string]Options{
		"dark":     {UTF8: true, Colors: ManyColors, Theme: DarkTheme},
		"light":    {UTF8: true, Colors: ManyColors, Theme: LightTheme},
		"16":       {UTF8: true, Colors: SixteenColors},
		"16-dark":  {UTF8: true, Colors: SixteenColors, Theme: DarkTheme},
		"16-light": {UTF8: true, Colors: SixteenColors, Theme: LightTheme},
	} {
		widths := []int{80}
		if o.Colors == ManyColors {
			widths = []int{60, 80, 120, 250}
		}
		for _, width := range widths {
			s := busy(o)
			s.Update(tea.WindowSizeMsg{Width: width, Height: 24})
			table := s.View().Content
			if o.Colors == SixteenColors && strings.Contains(table, "8;5;") {
				t.Errorf("%s: one of 256 colours\n%q", name, table)
			}
			golden(t, fmt.Sprintf("colours-%s-%d", name, width), strings.ReplaceAll(table, "\x1b", `\e`))
		}
	}
}

// The terminal is asked for its background if nobody knows it, and its answer changes the colours. Who quits before
// that waits a little, so that his shell doesn't get the answer.
func TestAsksForBackground(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		term string
		want bool
	}{
		{Options{Colors: ManyColors}, "xterm-256color", true},
		{Options{Colors: SixteenColors}, "tmux", true},
		{Options{Colors: NoColors}, "xterm", false},
		{Options{Colors: SixteenColors}, "linux", false},
		{Options{Colors: SixteenColors}, "vt220", false},
		{Options{Colors: ManyColors, Theme: DarkTheme}, "xterm", false},
	} {
		if got := tt.o.asks(tt.term); got != tt.want {
			t.Errorf("%+v, %s: %t", tt.o, tt.term, got)
		}
	}
	s := busy(Options{UTF8: true, Colors: ManyColors})
	s.asking = true
	s.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	before := s.View().Content
	if _, cmd := s.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || !s.quitting {
		t.Error("it doesn't wait for the answer")
	}
	s.s.Finish()
	for _, end := range []tea.Msg{ended{}, tick(start), tea.KeyPressMsg{Code: 'q', Text: "q"}} {
		if _, cmd := s.Update(end); cmd != nil {
			t.Errorf("after %T it waits no longer", end)
		}
	}
	white := tea.BackgroundColorMsg{Color: whiteColor{}}
	_, cmd := s.Update(white)
	if cmd == nil || s.View().Content == before {
		t.Errorf("the answer changes nothing: %v", cmd)
	} else if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("it doesn't quit after the answer")
	}
	s = busy(Options{Colors: ManyColors})
	s.asking = true
	if _, cmd := s.Update(ended{}); cmd == nil || !s.quitting {
		t.Error("when the context ends, it doesn't wait for the answer")
	}
	s = busy(Options{Colors: ManyColors})
	if _, cmd := s.Update(ended{}); cmd == nil || s.quitting {
		t.Error("when the context ends, it waits for an answer to no question")
	} else if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("it doesn't quit when the context ends")
	}
	s.asking = true
	for range ticksToAnswer {
		s.Update(tick(start))
	}
	if s.asking {
		t.Error("it waits for ever for a terminal that doesn't answer")
	}
	if _, cmd := s.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || s.quitting {
		t.Error("it waits")
	}
}

type whiteColor struct{}

func (whiteColor) RGBA() (r, g, b, a uint32) { return 0xffff, 0xffff, 0xffff, 0xffff }
