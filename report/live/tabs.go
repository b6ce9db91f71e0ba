package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Several targets have a tab each, and an overview of all. A tab shows what the screen of a single target shows.

// called is what the screen is about.
func (v *view) called() string {
	switch {
	case v.overview && v.paths == nil:
		return fmt.Sprintf("%d targets", len(v.tabs))
	case v.paths == nil:
		return v.shown.target
	case v.overview || len(v.tabs) == 1:
		return fmt.Sprintf("%s: %s", v.o.Target, report.Plural(len(v.tabs), "path"))
	}
	return fmt.Sprintf("%s: path by %s", v.o.Target, v.shown.target)
}

// tabKey does what a key asks for that is about tabs, and reports whether it is.
func (m *model) tabKey(k string) bool {
	v := m.v
	if len(v.tabs) < 2 {
		return false
	}
	at := slices.Index(v.tabs, v.shown) + 1 // 0: the overview
	if v.overview {
		at = 0
	}
	switch {
	case k == "left":
		at += len(v.tabs)
	case k == "right":
		at++
	case len(k) == 1 && k[0] >= '0' && k[0] <= '9':
		if at = int(k[0] - '0'); at > len(v.tabs) {
			return true
		}
	case k == "enter" && v.overview && v.chosen > 0:
		at = v.chosen
	case k == "enter" && v.overview:
		m.move(1)
		return true
	default:
		return false
	}
	m.show(at % (len(v.tabs) + 1))
	return true
}

// show shows a tab, counted from 1, or the overview: 0.
func (m *model) show(at int) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	v := m.v
	if at > len(m.s.tabs) { // there are fewer meanwhile
		return
	}
	v.overview = at == 0
	v.chosen, v.top, v.back, v.details, v.findings = 0, 0, 0, false, nil
	if m.looked = (time.Time{}); at > 0 {
		m.s.tab = m.s.tabs[at-1]
		v.shown = m.s.tab
	}
}

// health is what is to be said of a target in one character.
type health uint8

const (
	waiting    health = iota
	suspect           // a path that is blamed for loss
	reached           // and none of the probes to it is lost
	trouble           // reached, but with loss; or its probes can't be sent
	unanswered        // or refused
	untraced
)

func (t *tab) health() health {
	s := t.stats
	switch {
	case t.why != "":
		return untraced
	case t.suspect:
		return suspect
	case failing(s) != nil:
		return trouble
	case s.Rounds() == 0 && !s.Reached():
		return waiting
	case !s.Ended():
		return unanswered
	}
	h := s.Hop(s.Last())
	switch _, style := stateOf(h.State); {
	case style == bad:
		return unanswered
	case h.Lost > 0:
		return trouble
	}
	return reached
}

// sign is how a health is shown.
func (v *view) sign(h health) (rune, style) {
	switch h {
	case reached:
		return v.g.mean, good
	case suspect:
		return '!', bad
	case trouble:
		return when(v.paths == nil, v.g.local, '~'), odd
	case unanswered, untraced:
		return v.g.lost, bad
	}
	return v.g.dot, dim
}

// tabLine is the line of all tabs, as far as there is room around the one that is shown.
func (v *view) tabLine() string {
	const long, short, sides = 22, 12, 6 // columns of a name, and of what stands beside it
	most := long
	if len(v.tabs)*(long+sides) > v.width {
		most = short
	}
	type cell struct {
		name  string
		sign  rune
		style style
		shown bool
	}
	cells := []cell{{name: "0 all", shown: v.overview}}
	at := 0
	for i, t := range v.tabs {
		sign, s := v.sign(t.health())
		c := cell{fmt.Sprintf("%d %s", i+1, clip(t.tabName(), most, v.g)), sign, s, t == v.shown && !v.overview}
		if c.shown {
			at = i + 1
		}
		cells = append(cells, c)
	}
	width := func(c cell) int { return len([]rune(c.name)) + 3 }
	from, to, room := at, at+1, v.width-width(cells[at])-4 // 4: there is more at both ends
	for grown := true; grown; {
		grown = false
		if to < len(cells) && width(cells[to]) <= room {
			room -= width(cells[to])
			to, grown = to+1, true
		}
		if from > 0 && width(cells[from-1]) <= room {
			from--
			room -= width(cells[from])
			grown = true
		}
	}
	var l line
	if from > 0 {
		l.put(dim, "< ")
	}
	for _, c := range cells[from:to] {
		l.put(when(c.shown, inverse, plain), " "+c.name)
		if c.sign != 0 {
			l.put(when(c.shown, inverse, c.style), string(c.sign))
		}
		l.put(when(c.shown, inverse, plain), " ")
	}
	if to < len(cells) {
		l.to(v.width-2).put(dim, " >")
	}
	return l.String()
}

func when[T any](so bool, then, otherwise T) T {
	if so {
		return then
	}
	return otherwise
}

// summary says how all targets are.
func (v *view) summary() string {
	counts := map[health]int{}
	for _, t := range v.tabs {
		counts[t.health()]++
	}
	var l line
	if v.paused {
		l.put(inverse, " PAUSED ").put(plain, " ")
	}
	between := ""
	part := func(s style, text string) {
		if l.width+len([]rune(between+text)) <= v.width {
			l.put(dim, between).put(s, text)
			between = fmt.Sprintf(" %c ", v.g.dot)
		}
	}
	for _, x := range []struct {
		h    health
		text string
	}{
		{suspect, "blamed for loss"},
		{reached, "reached"}, {trouble, "with loss"}, {unanswered, "not reached"}, {untraced, "not traced"},
		{waiting, "waiting"},
	} {
		if counts[x.h] > 0 {
			_, s := v.sign(x.h)
			part(s, fmt.Sprintf("%d %s", counts[x.h], x.text))
		}
	}
	if v.order != byTTL {
		part(mark, "by "+v.order.String())
	}
	if v.paths != nil {
		rounds := 0
		for _, t := range v.tabs {
			rounds = max(rounds, t.stats.Rounds())
		}
		part(plain, "round "+number(rounds))
	}
	part(plain, "every "+span(v.o.Interval))
	return l.String()
}

// tabOrder are the tabs in the order of the overview, counted from 1.
func (v *view) tabOrder() []int {
	order := make([]int, len(v.tabs))
	for i := range order {
		order[i] = i + 1
	}
	last := func(i int) *trace.HopStats { return v.tabs[i-1].end() }
	slices.SortStableFunc(order, func(a, b int) int { // the largest first; who doesn't answer has lost all
		x, y := last(a), last(b)
		switch {
		case v.order == byTTL:
			return 0
		case x == nil || y == nil:
			return cmp.Compare(when(x == nil, 0, 1), when(y == nil, 0, 1))
		case v.order == byLoss:
			return cmp.Compare(y.Loss(), x.Loss())
		case v.order == byAverage:
			return cmp.Compare(y.Average(), x.Average())
		}
		return cmp.Compare(y.Worst, x.Worst)
	})
	return order
}

// end is the hop where the path ends; nil: it isn't known to.
func (t *tab) end() *trace.HopStats {
	if !t.stats.Ended() {
		return nil
	}
	return t.stats.Hop(t.stats.Last())
}

// become is what became of a target.
func (t *tab) become() string {
	s := t.stats
	switch h := t.end(); {
	case t.why != "":
		return t.why
	case h != nil:
		text, _ := stateOf(h.State)
		return text
	case s.Rounds() == 0:
		return "waiting"
	}
	for ttl := s.Last(); ttl >= s.First(); ttl-- {
		switch h := s.Hop(ttl); {
		case h.Received == 0:
		case ttl == t.path.Effective().MaxTTL:
			return fmt.Sprintf("not reached in %d hops (the last is %v)", ttl, h.Responder())
		default:
			return fmt.Sprintf("silent after hop %d (%v)", ttl, h.Responder())
		}
	}
	return "no answer, nor from any hop"
}

// allTabs is the overview: a heading, and a line for each target.
func (v *view) allTabs() (heading string, rows []row) {
	const stateWidth, hopsWidth, leastHistory = 14, 5, 10
	before, behind := v.pathsHeading()
	taken := ttlWidth + len(before) + stateWidth + hopsWidth + len(behind)
	columns := choose(v.width-taken, max(15, v.width/4), leastHistory+1)
	for _, c := range columns {
		taken += c.width
	}
	host := 15
	for _, t := range v.tabs {
		host = max(host, len([]rune(t.target))+1)
	}
	host = min(host, max(15, v.width-taken-leastHistory-2))
	strip := v.width - taken - host - 2
	var l line
	l.to(ttlWidth).put(header, before).fit(header, when(v.paths == nil, "Target", "Path"), host, v.g)
	l.fit(header, "State", stateWidth, v.g).put(header, " Hops").put(header, behind)
	for _, c := range columns {
		l.put(header, fmt.Sprintf("%*s", c.width, c.name))
	}
	if strip >= 4 {
		l.put(plain, "  ").put(header, clip("History", strip, v.g))
	}
	heading = l.to(v.width).String()
	for _, n := range v.tabOrder() {
		t := v.tabs[n-1]
		var l line
		pointer := when(n == v.chosen, ">", " ")
		sign, s := v.sign(t.health())
		l.put(when(n == v.chosen, mark, plain), fmt.Sprintf("%s%2d", pointer, n)).put(s, string(sign)).to(ttlWidth)
		before, behind := v.pathsColumns(t)
		l.put(plain, before).fit(plain, clip(t.target, host-1, v.g), host, v.g)
		h := t.end()
		if h == nil { // there are no figures of the target
			l.put(s, clip(t.become(), v.width-l.width, v.g))
			rows = append(rows, row{n, l.String()})
			continue
		}
		_, state := stateOf(h.State)
		l.fit(state, t.become(), stateWidth, v.g).put(plain, fmt.Sprintf("%*d", hopsWidth, h.TTL))
		l.put(plain, behind)
		kind := t.stats.LossKind(h.TTL)
		for _, c := range columns {
			l.put(when(c.name == "Loss", lossStyle(kind), plain), fmt.Sprintf("%*s", c.width, c.text(h)))
		}
		if strip >= 4 {
			l.put(plain, "  ")
			v.strip(&l, h, strip, lossStyle(kind))
		}
		rows = append(rows, row{n, l.String()})
	}
	return heading, rows
}
