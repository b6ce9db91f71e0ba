package live

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"
)

// Colors is how many colours a terminal has.
type Colors uint8

const (
	NoColors Colors = iota
	SixteenColors
	ManyColors // 256
)

// If are the colours to use if they are wanted or not: some if they are, even if the terminal seems to have none.
func (c Colors) If(wanted bool) Colors {
	if !wanted {
		return NoColors
	}
	return max(c, SixteenColors)
}

// ErrNoTerminal says what to use where there is no screen.
var ErrNoTerminal = errors.New("--live needs a terminal: use --report -c 10 instead")

// Terminal says what a terminal can do, by the environment. An error is ErrNoTerminal.
func Terminal(in, out any, getenv func(string) string) (colors Colors, utf8 bool, err error) {
	name := getenv("TERM")
	if !terminal(in) || !terminal(out) || name == "" || name == "dumb" {
		return 0, false, ErrNoTerminal
	}
	locale := getenv("LC_ALL")
	for _, k := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = getenv(k)
		}
	}
	locale = strings.ToLower(locale)
	utf8 = strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
	many := getenv("COLORTERM") != "" || strings.Contains(name, "256color") || strings.Contains(name, "direct")
	switch {
	case getenv("NO_COLOR") != "": // no-color.org
		colors = NoColors
	case many:
		colors = ManyColors
	default:
		colors = SixteenColors
	}
	return colors, utf8, nil
}

func terminal(f any) bool {
	file, ok := f.(term.File)
	return ok && term.IsTerminal(file.Fd())
}

const (
	// refresh is how often the screen is drawn anew at the most.
	refresh = 250 * time.Millisecond

	// lookAgain is how often the findings are made anew.
	lookAgain = 2 * time.Second

	// framesPerSecond is how often the terminal library looks whether there is something to be written. Keys are answered
	// no faster.
	framesPerSecond = 12
)

// Run shows the screen on a terminal until the user quits, ctx ends or Finish was called, and leaves the terminal as it
// was. It opens no file, and asks the environment for nothing but the terminal's name.
func (s *Screen) Run(ctx context.Context, in io.Reader, out io.Writer, terminalName string) error {
	profile := map[Colors]colorprofile.Profile{
		NoColors: colorprofile.ASCII, SixteenColors: colorprofile.ANSI, ManyColors: colorprofile.ANSI256,
	}[s.o.Colors]
	// To a terminal that is far away the library puts no questions, of what it can do beyond what is needed here. Else who
	// quits at once would get the answers typed into his shell. Only the background is asked for, see quit.
	environment := []string{"TERM=" + terminalName, "SSH_TTY=unknown"}
	m := newModel(s)
	p := tea.NewProgram(m, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(),
		tea.WithEnvironment(environment), tea.WithColorProfile(profile), tea.WithFPS(framesPerSecond))
	m.terminal, m.asking = p, s.o.asks(terminalName)
	m.in, _ = in.(term.File)
	defer context.AfterFunc(ctx, func() { p.Send(ended{}) })()
	s.mu.Lock()
	s.again = func() { p.Send(continued{}) }
	s.mu.Unlock()
	_, err := p.Run()
	return err
}

// Again draws the screen anew on a terminal that somebody else has had meanwhile, since the program was stopped from
// outside.
func (s *Screen) Again() {
	s.mu.Lock()
	again := s.again
	s.mu.Unlock()
	if again != nil {
		again()
	}
}

// Leave is what makes a terminal show again what it showed before Run, for who ends the program while Run still runs.
const Leave = "\x1b[>4m\x1b[<1u\x1b[m\x1b[?1049l\x1b[?25h"

// Mode remembers the mode of a terminal, and returns what restores it: to be called before Run, and for who ends the
// program while Run still runs.
func Mode(in any) (restore func()) {
	file, ok := in.(term.File)
	if !ok {
		return func() {}
	}
	state, err := term.GetState(file.Fd())
	if err != nil {
		return func() {}
	}
	return func() { term.Restore(file.Fd(), state) } // an error: there is no terminal any more
}

// Finish ends Run: no more results come.
func (s *Screen) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// model is a screen for the terminal library.
type model struct {
	s      *Screen
	v      *view
	looked time.Time // when the findings were made
	shown  string

	asking   bool // the terminal was asked for its background, and has not answered
	quitting bool // when it has
	ticks    int
	dirty    bool // something but the figures has changed

	terminal releaser  // nil: there is none
	in       term.File // the same, where keys come from
}

// releaser gives the terminal back for a while.
type releaser interface {
	ReleaseTerminal() error
	RestoreTerminal() error
}

// continued says that the program was stopped from outside, and the terminal may be in any mode.
type continued struct{}

// ended says that the program's context has ended.
type ended struct{}

type tick time.Time

func newModel(s *Screen) *model {
	v := &view{o: &s.o, g: &ascii, now: time.Now(), tabs: s.tabs, shown: s.tab, theme: s.o.Theme,
		addresses: s.o.Addresses, overview: len(s.tabs) > 1}
	if s.o.UTF8 {
		v.g = &blocks
	}
	return &model{s: s, v: v, dirty: true}
}

func wait() tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return tick(t) })
}

// mostWait is how long to wait for the terminal's answer when the screen ends before it has come. Else the shell would
// get it, or even the question.
const mostWait = 200 * time.Millisecond

// ticksToAnswer is after how many looks at the screen no answer is expected any more.
const ticksToAnswer = 8

// asks reports whether the terminal is to be asked for its background. The Linux console and terminals of old don't
// know the question.
func (o *Options) asks(terminalName string) bool {
	return o.Theme == AnyTheme && o.Colors > NoColors && terminalName != "linux" && !strings.HasPrefix(terminalName, "vt")
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	if m.asking {
		return tea.Batch(wait(), tea.RequestBackgroundColor)
	}
	return wait()
}

// quit ends the program, when the terminal has answered.
func (m *model) quit() tea.Cmd {
	switch {
	case !m.asking:
		return tea.Quit
	case m.quitting: // it waits already
		return nil
	}
	m.quitting = true
	return tea.Tick(mostWait, func(time.Time) tea.Msg { return tea.QuitMsg{} })
}

// background takes the terminal's answer.
func (m *model) background(dark bool) tea.Cmd {
	m.v.theme = LightTheme
	if dark {
		m.v.theme = DarkTheme
	}
	m.asking, m.dirty = false, true
	if m.quitting {
		return tea.Quit
	}
	return nil
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.v.width, m.v.height = msg.Width, msg.Height
		m.dirty = true
	case tick:
		now := time.Time(msg)
		if m.ticks++; m.ticks == ticksToAnswer {
			m.asking = false // it doesn't know the question
		}
		m.dirty = m.dirty || now.Unix() != m.v.now.Unix()
		m.v.now = now
		m.look(now)
		if m.s.finished() {
			return m, m.quit()
		}
		return m, wait()
	case continued:
		m.dirty = true
		return m, m.again()
	case ended:
		return m, m.quit()
	case tea.KeyPressMsg:
		m.dirty = true
		if msg.String() == "ctrl+z" { // in raw mode the terminal leaves that to us
			return m, m.suspend()
		}
		if m.key(msg.String()) {
			return m, m.quit()
		}
	case tea.BackgroundColorMsg:
		return m, m.background(msg.IsDark())
	}
	return m, nil
}

// suspend stops the program until the user continues it. Meanwhile the terminal is as it was before Run.
func (m *model) suspend() tea.Cmd {
	if m.terminal == nil || m.s.o.Suspend == nil {
		return nil
	}
	m.terminal.ReleaseTerminal() // an error: what is wrong with the terminal is told when it is taken again
	m.s.o.Suspend()
	if err := m.terminal.RestoreTerminal(); err != nil {
		return tea.Quit
	}
	return tea.ClearScreen
}

// again takes the terminal again that somebody else has had, and draws the screen anew.
func (m *model) again() tea.Cmd {
	if m.in != nil {
		term.MakeRaw(m.in.Fd()) // an error: there is no terminal any more
	}
	return tea.ClearScreen
}

func (s *Screen) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// look has the findings made anew, from time to time.
func (m *model) look(now time.Time) {
	if m.s.o.Findings == nil || now.Sub(m.looked) < lookAgain {
		return
	}
	m.looked = now
	m.s.mu.Lock()
	t, path, begun := m.s.recent.Trace(), m.s.path, m.s.begun && m.s.paths == nil
	m.s.mu.Unlock()
	m.v.findings = nil
	if begun {
		m.v.findings = m.s.o.Findings(path, t)
	}
	m.dirty = true
}

// View implements tea.Model.
func (m *model) View() tea.View {
	m.s.mu.Lock()
	if m.s.changed || m.dirty {
		m.v.shown = m.s.tab
		m.v.update(m.s)
		m.shown = m.v.draw(m.s.stats)
		m.s.changed, m.dirty = false, false
	}
	m.s.mu.Unlock()
	v := tea.NewView(m.shown)
	v.AltScreen = true
	v.DisableBracketedPasteMode = true
	return v
}

// key does what a key asks for, and reports whether that is to quit.
func (m *model) key(k string) (quit bool) {
	v := m.v
	if m.tabKey(k) {
		return false
	}
	switch k {
	case "q", "Q", "ctrl+c":
		return true
	case "p", " ", "space":
		if hold := m.s.o.Hold; hold != nil {
			v.paused = !v.paused
			hold(v.paused)
		}
	case "+", "=":
		m.s.o.change(+1)
	case "-":
		m.s.o.change(-1)
	case "o":
		v.order = (v.order + 1) % orders
	case "[":
		m.goBack(backStep)
	case "]":
		m.goBack(-backStep)
	case "v", "tab":
		v.kind = v.kind.next()
	case "shift+tab":
		v.kind = (v.kind + kinds - 1) % kinds
	case "?", "h":
		v.help = !v.help
	case "esc":
		v.help, v.tree, v.details, v.chosen, v.back = false, false, false, 0, 0
	case "n":
		v.addresses = !v.addresses
	case "t":
		v.tree = !v.tree && v.paths != nil
	case "a":
		v.owners = !v.owners
	case "s":
		v.answering = !v.answering
	case "l":
		v.logarithm = !v.logarithm
	case "r":
		if v.overview {
			m.s.reset(v.now, v.tabs...)
		} else {
			m.s.reset(v.now, v.shown)
		}
		v.findings, v.back = nil, 0
	case "enter":
		v.details = !v.details || v.chosen == 0
		if v.chosen == 0 {
			m.move(1)
		}
	case "j", "down":
		m.move(1)
	case "k", "up":
		m.move(-1)
	case "g", "home":
		v.chosen = 0
		m.move(1)
	case "G", "end":
		v.chosen = 0
		m.move(-1)
	}
	return false
}

// move chooses the next hop downwards or upwards, of those that are seen; from no hop, the first or the last.
func (m *model) move(by int) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	var rows []int // what each may be chosen by
	if m.v.overview {
		rows = m.v.tabOrder()
	} else {
		hops, _ := m.v.hops(m.s.stats)
		for _, h := range hops {
			rows = append(rows, h.TTL)
		}
	}
	at := slices.Index(rows, m.v.chosen)
	if at < 0 && by < 0 {
		at = len(rows)
	}
	if at += by; at >= 0 && at < len(rows) {
		m.v.chosen = rows[at]
	}
}

// backStep is how many rounds a key goes back.
const backStep = 10

// goBack shows the history up to an earlier round, as far as it is kept, or a later one.
func (m *model) goBack(rounds int) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	kept := 0
	for _, t := range m.s.tabs {
		if t != m.s.tab && !m.v.overview {
			continue
		}
		for ttl := t.stats.First(); ttl <= t.stats.Last(); ttl++ {
			kept = max(kept, t.stats.Hop(ttl).Samples())
		}
	}
	m.v.back = max(0, min(m.v.back+rounds, kept-1))
}

// intervals are those that keys go through.
var intervals = [...]time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// change makes the interval the next longer one, or the next shorter one.
func (o *Options) change(by int) {
	if o.SetInterval == nil {
		return
	}
	next := o.Interval
	if by > 0 {
		for _, d := range slices.Backward(intervals[:]) {
			if d > o.Interval {
				next = d
			}
		}
	} else {
		for _, d := range intervals {
			if d < o.Interval {
				next = d
			}
		}
	}
	o.Interval = next
	o.SetInterval(next)
}

var (
	_ tea.Model = (*model)(nil)
)
