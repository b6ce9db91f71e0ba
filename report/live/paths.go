package live

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// All paths to one target have a tab each, as several targets have, and the overview has a line for each path.

// watchedPaths are the paths that a screen shows.
type watchedPaths struct {
	plan     *trace.PathsRounds
	judged   time.Time // when the last probe was sent that the judgement knows
	findings []detect.Finding
	tree     []string // the graph in lines of text
	fresh    bool     // the view doesn't know them yet
}

// recentProbes is how many of a path's latest probes the column of its recent loss is about.
const recentProbes = 30

// Watch shows the paths that are watched from now on. It is for the goroutine that calls AddRound.
func (s *Screen) Watch(plan *trace.PathsRounds) {
	g := plan.Graph()
	o := report.PathsOptions{Target: s.o.Path.Target.Addr(), FirstTTL: s.o.Path.Effective().FirstTTL}
	if s.o.Name != nil && !s.o.Addresses {
		o.Name = s.o.Name
	}
	names, tree := report.NamePaths(&g, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = &watchedPaths{plan: plan, tree: tree, fresh: true}
	s.tabs = nil
	for i, name := range names {
		t := newTab(s.o.Path, name)
		t.begun, t.share = true, g.Ways[i].Share
		s.tabs = append(s.tabs, t)
	}
	s.tab, s.changed = s.tabs[0], true
}

// AddRound takes a result of the paths in.
func (s *Screen) AddRound(r trace.Result) {
	plan := s.paths.plan
	for _, i := range plan.Of(r) {
		s.AddTo(i, r)
	}
	if r.Sent.Sub(s.paths.judged) < lookAgain {
		return
	}
	g := plan.Graph()
	bad := map[uint16]bool{} // flows
	for _, x := range g.Suspects() {
		for _, port := range x.Ports {
			bad[port] = true
		}
	}
	findings := detect.InPaths(&g)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths.judged, s.paths.findings, s.changed = r.Sent, findings, true
	for i, w := range g.Ways {
		s.tabs[i].suspect = slices.ContainsFunc(w.Ports, func(port uint16) bool { return bad[port] })
	}
}

// Say shows what is done beside the rounds; "": what was said before stays.
func (s *Screen) Say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" {
		s.note, s.changed = text, true
	}
}

// update takes in what paths there are now, and what is said of them.
func (v *view) update(s *Screen) {
	v.note = s.note
	if s.paths == nil {
		return
	}
	if v.paths = s.paths; v.paths.fresh {
		v.paths.fresh = false
		v.tabs, v.overview = s.tabs, len(s.tabs) > 1
		v.chosen, v.top, v.back, v.details = 0, 0, 0, false
	}
	v.findings = v.paths.findings
}

// recentLoss is the loss of the latest probes.
func recentLoss(h *trace.HopStats, back int) string {
	sent, lost := 0, 0
	for i := back; i < h.Samples() && sent < recentProbes; i++ {
		switch h.Sample(i).Outcome {
		case trace.Lost:
			lost++
			sent++
		case trace.Answered:
			sent++
		}
	}
	if sent == 0 {
		return ""
	}
	return percent(float64(lost) / float64(sent))
}

// leastForPaths is how wide a terminal must be that paths have columns beside those of targets.
const leastForPaths = 60

// pathsHeading is the heading of these columns: before and behind the name.
func (v *view) pathsHeading() (before, behind string) {
	if v.paths == nil || v.width < leastForPaths {
		return "", ""
	}
	return " Share ", fmt.Sprintf("%7s", fmt.Sprintf("Loss%d", recentProbes))
}

// pathsColumns are these columns of a path.
func (v *view) pathsColumns(t *tab) (before, behind string) {
	if v.paths == nil || v.width < leastForPaths {
		return "", ""
	}
	if h := t.end(); h != nil {
		behind = recentLoss(h, v.back)
	}
	return fmt.Sprintf("%5.1f%% ", 100*t.share), fmt.Sprintf("%7s", behind)
}

// treeLines are the graph of all paths.
func (v *view) treeLines() []row {
	var rows []row
	for _, text := range v.paths.tree {
		rows = append(rows, row{text: (&line{}).put(plain, clip(text, v.width, v.g)).String()})
	}
	return rows
}

// pathsLegend explains the mark of a path that is blamed, if there is one.
func (v *view) pathsLegend() []string {
	if v.paths == nil || !slices.ContainsFunc(v.tabs, func(t *tab) bool { return t.suspect }) {
		return nil
	}
	text := clip(" loses more than the others", v.width-4, v.g)
	return []string{(&line{}).to(3).put(bad, "!").put(dim, text).String()}
}

// tabName is what the line of tabs calls one.
func (t *tab) tabName() string {
	name, _, _ := strings.Cut(t.target, " ")
	return name
}
