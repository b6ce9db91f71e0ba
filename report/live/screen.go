package live

import (
	"net/netip"
	"sync"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Options say what is watched, and whom the screen asks. None of the functions may block for long, but for Suspend.
type Options struct {
	Path     trace.PathOptions
	Target   string        // as it is called: "www.example.com (203.0.113.5) port 443 (https)"
	Targets  []string      // several of them, each with a tab of its own; Path and Target don't apply
	Interval time.Duration // of a round

	Name  func(netip.Addr) string               // "" where no name is known, or not yet; nil: none ever is
	Owner func(netip.Addr) (record.Owner, bool) // nil: nobody knows
	// what the last answers say; nil: nobody looks
	Findings func(trace.PathOptions, *trace.Trace) []detect.Finding
	// what the figures say of loss; made anew whenever they are shown; nil: as above
	Losses func(*trace.Stats) []detect.Finding
	Hold   func(bool) // stops the rounds, or lets them go on; nil: they can't be stopped

	SetInterval func(time.Duration) // changes the time of a round; nil: it can't be changed
	Reset       func()              // is called when the figures begin anew; nil: nobody else has any

	// stops the program until its user continues it; may block; nil: Ctrl-Z does nothing
	Suspend func()

	UTF8      bool // the terminal shows more than ASCII
	Colors    Colors
	Theme     Theme
	Addresses bool // no names are shown, as the user asked for
}

// Screen gathers results and shows them. Add may be called by any goroutine.
type Screen struct {
	o Options

	mu      sync.Mutex
	tabs    []*tab
	*tab                  // the one that is shown
	changed bool          // since it was drawn last
	over    bool          // no more results come
	note    string        // what is done beside the rounds; "": nothing is
	paths   *watchedPaths // of one target; nil: none are, or not yet
	again   func()        // draws everything anew; nil: Run has not begun
}

// tab is one target of a screen, and its figures.
type tab struct {
	path   trace.PathOptions
	target string
	stats  *trace.Stats
	recent *trace.Recent
	began  time.Time // when the figures began
	begun  bool      // path is known
	why    string    // it isn't traced; "": it is, or will be

	share   float64 // of the flows that take this path
	suspect bool    // the path is blamed for loss
}

func newTab(path trace.PathOptions, target string) *tab {
	return &tab{path: path, target: target, stats: trace.NewStats(path), recent: trace.NewRecent(path, looksAt),
		began: time.Now()}
}

// looksAt is how many of a hop's last probes findings are made from.
const looksAt = 8

// New is a screen that nothing has come in for yet.
func New(o Options) *Screen {
	s := &Screen{o: o}
	if len(o.Targets) == 0 {
		s.tabs = []*tab{newTab(o.Path, o.Target)}
		s.tabs[0].begun = true
	}
	for _, target := range o.Targets {
		s.tabs = append(s.tabs, newTab(trace.PathOptions{}, target))
	}
	s.tab = s.tabs[0]
	return s
}

// Add takes a result in, of the first target.
func (s *Screen) Add(r trace.Result) { s.AddTo(0, r) }

// AddTo takes a result in, of the target with this index. Targets that there are not have no results.
func (s *Screen) AddTo(index int, r trace.Result) {
	s.with(index, func(t *tab) {
		t.stats.Add(r)
		t.recent.Add(r)
	})
}

// Begin says how one of several targets is traced, before its first result.
func (s *Screen) Begin(index int, path trace.PathOptions) {
	s.with(index, func(t *tab) {
		begun := newTab(path, t.target)
		t.path, t.stats, t.recent, t.began, t.begun = path, begun.stats, begun.recent, begun.began, true
	})
}

// Refuse says why one of several targets is not traced.
func (s *Screen) Refuse(index int, why string) {
	s.with(index, func(t *tab) { t.why = why })
}

func (s *Screen) with(index int, change func(*tab)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index >= 0 && index < len(s.tabs) {
		change(s.tabs[index])
		s.changed = true
	}
}

// Stats is the figures of the first target, for who adds no more.
func (s *Screen) Stats() (t *trace.Stats, began time.Time) { return s.StatsOf(0) }

// StatsOf is the figures of the target with this index, for who adds no more.
func (s *Screen) StatsOf(index int) (t *trace.Stats, began time.Time) {
	return s.tabs[index].stats, s.tabs[index].began
}

// reset begins the figures of some targets anew.
func (s *Screen) reset(now time.Time, tabs ...*tab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Reset != nil {
		s.o.Reset()
	}
	if s.paths != nil { // they are judged together
		tabs = s.tabs
		s.paths.findings = nil
	}
	for _, t := range tabs {
		t.suspect = false
		t.stats.Reset()
		t.recent.Reset()
		t.began = now
	}
}
