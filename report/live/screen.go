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
	Interval time.Duration // of a round

	Name     func(netip.Addr) string               // "" where no name is known, or not yet; nil: none ever is
	Owner    func(netip.Addr) (record.Owner, bool) // nil: nobody knows
	Findings func(*trace.Trace) []detect.Finding   // what the last answers say; nil: nobody looks
	// what the figures say of loss; made anew whenever they are shown; nil: as above
	Losses func(*trace.Stats) []detect.Finding
	Hold   func(bool) // stops the rounds, or lets them go on; nil: they can't be stopped

	SetInterval func(time.Duration) // changes the time of a round; nil: it can't be changed

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
	stats   *trace.Stats
	recent  *trace.Recent
	began   time.Time // when the figures began
	changed bool      // since it was drawn last
	over    bool      // no more results come
	again   func()    // draws everything anew; nil: Run has not begun
}

// looksAt is how many of a hop's last probes findings are made from.
const looksAt = 8

// New is a screen that nothing has come in for yet.
func New(o Options) *Screen {
	return &Screen{o: o, stats: trace.NewStats(o.Path), recent: trace.NewRecent(o.Path, looksAt), began: time.Now()}
}

// Add takes a result in.
func (s *Screen) Add(r trace.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Add(r)
	s.recent.Add(r)
	s.changed = true
}

// Stats is the figures, for who adds no more.
func (s *Screen) Stats() (t *trace.Stats, began time.Time) { return s.stats, s.began }

// reset begins anew.
func (s *Screen) reset(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Reset()
	s.recent.Reset()
	s.began = now
}
