package live

import (
	"strconv"
	"strings"
)

// Theme is what the colours are chosen for.
type Theme uint8

const (
	// AnyTheme is for a background that isn't known: Run asks the terminal for it.
	AnyTheme Theme = iota
	DarkTheme
	LightTheme
)

// ThemeOf is the theme that a user names: dark or light. Any other name leaves it to what the environment knows of the
// terminal's background: COLORFGBG, which some terminals set.
func ThemeOf(name string, getenv func(string) string) Theme {
	switch name {
	case "dark":
		return DarkTheme
	case "light":
		return LightTheme
	}
	text := getenv("COLORFGBG") // "15;0", "15;default;0"
	background, err := strconv.Atoi(text[strings.LastIndexByte(text, ';')+1:])
	switch {
	case err != nil || background < 0 || background > 15:
		return AnyTheme
	case background == 7 || background > 8: // as vim(1) takes it
		return LightTheme
	}
	return DarkTheme
}

// A palette is the styles that stand in the place of the usual ones, which are for 256 colours on black.
type palette struct {
	title, good, odd, bad, header style
	steps                         [len(steps)]style
}

var (
	// lightPalette is 256 colours on white.
	lightPalette = palette{
		title: "1;38;5;25", good: "38;5;28", odd: "38;5;130", bad: "1;38;5;160", header: "1;38;5;240",
		steps: [...]style{"38;5;26", "38;5;31", "38;5;30", "38;5;28", "38;5;64", "38;5;94", "38;5;166", "38;5;124"},
	}

	// Of the 16 colours red and magenta alone can be read on black and on white, whatever terminals make of them; beside
	// them there is the terminal's own colour.
	fewPalette = palette{
		title: "1", good: "1", odd: "35", bad: "1;31", header: "1",
		steps: [...]style{"39", "39", "39", "39", "1", "35", "35", "31"},
	}
	fewDarkPalette = palette{
		title: "1;36", good: "32", odd: "33", bad: "1;91", header: "1",
		steps: [...]style{"94", "96", "36", "32", "92", "33", "93", "91"},
	}
	fewLightPalette = palette{
		title: "1;34", good: "1", odd: "35", bad: "1;31", header: "1",
		steps: [...]style{"34", "34", "34", "39", "39", "35", "35", "31"},
	}
)

// paletteOf is the palette for a terminal; nil: the usual styles.
func paletteOf(colors Colors, theme Theme) *palette {
	switch {
	case colors == ManyColors && theme == LightTheme:
		return &lightPalette
	case colors != SixteenColors:
		return nil
	case theme == DarkTheme:
		return &fewDarkPalette
	case theme == LightTheme:
		return &fewLightPalette
	}
	return &fewPalette
}

// replacer turns the usual styles of a screen into those of the palette. What else is on the screen is printable, and
// so can't look like a style.
func (p *palette) replacer() *strings.Replacer {
	if p == nil {
		return strings.NewReplacer()
	}
	var all []string
	put := func(from, to style) { all = append(all, "\x1b["+string(from)+"m", "\x1b["+string(to)+"m") }
	put(title, p.title)
	put(good, p.good)
	put(odd, p.odd)
	put(bad, p.bad)
	put(header, p.header)
	for i, s := range steps {
		put(s.fg, p.steps[i])
		put("1;"+s.fg, "1;"+p.steps[i])
		put(legendStyle(s), "7;"+p.steps[i])
	}
	return strings.NewReplacer(all...)
}

// legendStyle is how the legend shows a step.
func legendStyle(s step) style { return "38;5;255;" + s.bg }
