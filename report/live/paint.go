package live

import (
	"strings"
	"time"
	"unicode/utf8"
)

// style is the parameters of an SGR sequence (ECMA-48 8.3.117); "": as it is. Colours are of the 256; the terminal
// library makes fewer of them where the terminal has fewer, or none.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	inverse style = "7"
	title   style = "1;38;5;75"
	good    style = "38;5;78"
	odd     style = "38;5;179"
	bad     style = "1;38;5;203"
	header  style = "1;38;5;250"
	mark    style = "1;38;5;75" // of the chosen hop
)

// A step is one of the shades that a round-trip time may have: the same everywhere on the screen, and always the
// same, so that the eye learns them.
type step struct {
	upTo time.Duration // 0: no bound
	name string
	fg   style
	bg   style
}

var steps = [...]step{
	{200 * time.Microsecond, "0.2", "38;5;26", "48;5;26"},
	{time.Millisecond, "1", "38;5;32", "48;5;32"},
	{5 * time.Millisecond, "5", "38;5;37", "48;5;37"},
	{20 * time.Millisecond, "20", "38;5;71", "48;5;71"},
	{50 * time.Millisecond, "50", "38;5;106", "48;5;106"},
	{100 * time.Millisecond, "100", "38;5;178", "48;5;178"},
	{200 * time.Millisecond, "200", "38;5;208", "48;5;208"},
	{0, "more", "38;5;166", "48;5;166"},
}

// shade is the step of a round-trip time.
func shade(d time.Duration) int {
	for i, s := range steps {
		if s.upTo == 0 || d <= s.upTo {
			return i
		}
	}
	return len(steps) - 1
}

// glyphs are what is drawn with.
type glyphs struct {
	levels                   []rune // from low to high
	lost, local, unknown     rune
	cut, arrow, branch, dash rune
	left, right, mean, last  rune // of whiskers
	rule, tick               rune
	dot, full                rune
}

var blocks = glyphs{
	levels: []rune("▁▂▃▄▅▆▇█"), lost: '×', local: '!', unknown: '?', cut: '…', arrow: '→', branch: '└', dash: '─',
	left: '├', right: '┤', mean: '●', last: '◆', rule: '─', tick: '┬', dot: '·', full: '█',
}

// ascii is for terminals whose locale says nothing of UTF-8.
var ascii = glyphs{
	levels: []rune("12345678"), lost: 'x', local: '!', unknown: '?', cut: '~', arrow: '>', branch: '+', dash: '-',
	left: '|', right: '|', mean: 'o', last: '*', rule: '-', tick: '+', dot: '.', full: '#',
}

// line is one line of the screen in the making. All that is put into it is printable and one column a rune.
type line struct {
	b     []byte
	width int
}

// put appends text.
func (l *line) put(s style, text string) *line {
	if text == "" {
		return l
	}
	if s == plain {
		l.b = append(l.b, text...)
	} else {
		l.b = append(append(append(append(append(l.b, "\x1b["...), s...), 'm'), text...), "\x1b[m"...)
	}
	l.width += utf8.RuneCountInString(text)
	return l
}

// to fills with blanks up to a column.
func (l *line) to(column int) *line {
	if n := column - l.width; n > 0 {
		l.put(plain, strings.Repeat(" ", n))
	}
	return l
}

// fit puts text that has n columns, cut or filled.
func (l *line) fit(s style, text string, n int, g *glyphs) *line {
	at := l.width
	return l.put(s, clip(text, n, g)).to(at + n)
}

// join appends another line.
func (l *line) join(m *line) *line {
	l.b = append(l.b, m.b...)
	l.width += m.width
	return l
}

func (l *line) String() string { return string(l.b) }

// clip cuts a text to n columns, and shows that it did.
func clip(text string, n int, g *glyphs) string {
	if n <= 0 {
		return ""
	}
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return string(r[:n-1]) + string(g.cut)
}
