package live

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// kind is a way to look at the figures.
type kind uint8

const (
	asTable    kind = iota // numbers, and a strip of history
	asWhiskers             // best, average, last and worst on one time axis
	asHeat                 // a map of hops by time
	kinds
)

func (k kind) String() string { return [...]string{"table", "whiskers", "heat map"}[k] }

// view is all that a screen depends on but the figures.
type view struct {
	o             *Options
	g             *glyphs
	width, height int
	now           time.Time
	tabs          []*tab
	shown         *tab // of these
	overview      bool // of all tabs is shown in its place
	theme         Theme

	kind      kind
	addresses bool // no names
	owners    bool
	answering bool // hops that are silent aren't shown
	logarithm bool // of the whiskers' axis
	help      bool
	details   bool
	paused    bool
	order     order
	back      int // how many rounds before now the history ends
	chosen    int // the TTL of the hop that was chosen; 0: none
	top       int // the first line of the list that is seen
	findings  []detect.Finding
	note      string        // what is done beside the rounds
	paths     *watchedPaths // nil: the tabs are targets
	tree      bool          // the graph of all paths is shown
}

const (
	leastWidth  = 40
	leastHeight = 6
	ttlWidth    = 5 // "> 12 " or with a mark " 12~ "
)

// draw is the screen: height lines of at most width columns each.
func (v *view) draw(t *trace.Stats) string {
	return paletteOf(v.o.Colors, v.theme).replacer().Replace(v.lines(t))
}

// lines is the screen in the usual styles.
func (v *view) lines(t *trace.Stats) string {
	if v.width < leastWidth || v.height < leastHeight {
		return clip(fmt.Sprintf("%dx%d is too small", v.width, v.height), v.width, v.g)
	}
	head := []string{v.headline()}
	if len(v.tabs) > 1 {
		head = append(head, v.tabLine())
	}
	if v.note != "" {
		head = append(head, (&line{}).put(dim, clip(v.note, v.width, v.g)).String())
	}
	foot := []string{v.keys()}
	switch {
	case v.help:
		return v.join(append(head, v.state(t)), v.helpLines(), foot)
	case v.tree && v.paths != nil:
		head = append(head, v.state(t))
		return v.join(head, v.scroll(v.treeLines(), v.height-len(head)-len(foot)), foot)
	case v.overview:
		heading, rows := v.allTabs()
		head = append(head, v.state(t), heading)
		foot = append(v.pathsLegend(), foot...)
		if v.paths != nil {
			foot = append(v.pane(t, v.height-len(head)-len(foot)-min(len(rows), v.height/2)-1), foot...)
		}
		return v.join(head, v.scroll(rows, v.height-len(head)-len(foot)), foot)
	}
	head = append(head, v.state(t))
	table, rows := v.list(t)
	head = append(head, table)
	room := v.height - len(head) - len(foot)
	if legend := v.legend(t); legend != "" && room > 4 {
		foot = append([]string{legend}, foot...)
		room--
	}
	if pane := v.pane(t, room-min(len(rows), room/2)-1); len(pane) > 0 {
		foot = append(pane, foot...)
		room -= len(pane)
	}
	return v.join(head, v.scroll(rows, room), foot)
}

// state says how what is shown is: all targets, or one of them.
func (v *view) state(t *trace.Stats) string {
	if v.overview {
		return v.summary()
	}
	return v.status(t)
}

// join puts the parts together; the foot stands at the bottom.
func (v *view) join(head, body, foot []string) string {
	all := slices.Clone(head)
	room := max(0, v.height-len(head)-len(foot))
	all = append(all, body[:min(len(body), room)]...)
	for len(all) < v.height-len(foot) {
		all = append(all, "")
	}
	return strings.Join(append(all, foot...), "\n")
}

// row is one line of the list, and the hop that it is about.
type row struct {
	ttl  int
	text string
}

// scroll is the part of the list that is seen: the chosen hop always is.
func (v *view) scroll(rows []row, room int) []string {
	if v.chosen > 0 {
		for i, r := range rows {
			if r.ttl != v.chosen {
				continue
			}
			if i < v.top {
				v.top = i
			}
			if i >= v.top+room {
				v.top = i - room + 1
			}
		}
	}
	v.top = max(0, min(v.top, len(rows)-room))
	var seen []string
	for _, r := range rows[v.top:] {
		if len(seen) < room {
			seen = append(seen, r.text)
		}
	}
	if rest := len(rows) - v.top - room; rest > 0 && room > 1 {
		seen[len(seen)-1] = (&line{}).put(dim, fmt.Sprintf("     %c %d more lines below", v.g.cut, rest+1)).String()
	}
	return seen
}

// headline says what is watched.
func (v *view) headline() string {
	clock := v.now.Format("15:04:05")
	var l line
	l.put(title, "tcptraceroute ").put(bold, clip(v.called(), v.width-len("tcptraceroute ")-len(clock)-1, v.g))
	return l.to(v.width-len(clock)).put(dim, clock).String()
}

// status sums the path up.
func (v *view) status(t *trace.Stats) string {
	var l line
	between := ""
	part := func(s style, text string) {
		if text != "" && l.width+4 < v.width {
			l.put(dim, between)
			l.put(s, clip(text, v.width-l.width, v.g))
			between = fmt.Sprintf(" %c ", v.g.dot)
		}
	}
	if v.paused {
		part(inverse, " PAUSED ")
		between = " "
	}
	last := t.Last()
	if v.shown.why != "" {
		part(bad, v.shown.why)
		return l.String()
	}
	if err := failing(t); err != nil {
		part(bad, record.LocalMark(err)+" "+record.Printable(err.Error()))
	}
	switch {
	case t.Rounds() == 0 && !t.Reached():
		part(dim, "waiting for the first answers")
	case t.Ended():
		h := t.Hop(last)
		end, _ := t.End()
		text, s := stateOf(end)
		part(s, text)
		part(plain, fmt.Sprintf("%d hops", last))
		if h.Sent() > 0 {
			s := good
			if h.Lost > 0 {
				s = bad
			}
			part(s, percent(h.Loss())+" loss")
		}
		if h.Received > 0 {
			part(plain, ms(h.Last)+" ms")
		}
	case t.Reached():
		end, _ := t.End()
		text, s := stateOf(end)
		part(s, text)
		part(bad, "how far away could not be told")
	default:
		part(bad, "no answer from the target")
		part(plain, fmt.Sprintf("last answer from hop %d", max(0, last-1)))
	}
	if v.order != byTTL {
		part(mark, "by "+v.order.String())
	}
	if v.back > 0 {
		part(mark, span(time.Duration(v.back)*v.o.Interval)+" back")
	}
	part(plain, "round "+number(t.Rounds()))
	part(plain, "every "+span(v.o.Interval))
	if age := v.now.Sub(v.shown.began).Truncate(time.Second); age > 0 {
		part(plain, "for "+span(age))
	}
	return l.String()
}

// failing is why the newest probe could not be sent; nil where it could.
func failing(t *trace.Stats) error {
	for ttl := t.First(); ttl <= t.Asked(); ttl++ {
		h := t.Hop(ttl)
		if h.Samples() > 0 && h.Sample(0).Outcome == trace.Failed && !h.Sample(0).Sent.Before(t.Newest()) {
			return h.Err
		}
	}
	return nil
}

// stateOf is what the target, or who refuses, says.
func stateOf(end *trace.Result) (string, style) {
	if end == nil {
		return "", plain
	}
	if m := record.Mark(end.Reply); m != "" {
		return "refused " + m, bad
	}
	s := record.StateOf(*end)
	if s == "closed" {
		return "[" + s + "]", odd
	}
	return "[" + s + "]", good
}

// order is what the hops are sorted by.
type order uint8

const (
	byTTL order = iota
	byLoss
	byAverage
	byWorst
	orders
)

func (o order) String() string { return [...]string{"hop", "loss", "average", "worst"}[o] }

// hops are those that are shown, in the order of the list, and how many are hidden.
func (v *view) hops(t *trace.Stats) (hops []*trace.HopStats, hidden int) {
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		h := t.Hop(ttl)
		if v.answering && h.Received == 0 && ttl != t.Last() {
			hidden++
			continue
		}
		hops = append(hops, h)
	}
	slices.SortStableFunc(hops, func(a, b *trace.HopStats) int { // the largest first
		switch v.order {
		case byLoss:
			return cmp.Compare(b.Loss(), a.Loss())
		case byAverage:
			return cmp.Compare(b.Average(), a.Average())
		case byWorst:
			return cmp.Compare(b.Worst, a.Worst)
		}
		return 0
	})
	return hops, hidden
}

// list is the heading of the table and its lines.
func (v *view) list(t *trace.Stats) (heading string, rows []row) {
	hops, hidden := v.hops(t)
	var f frame
	switch v.kind {
	case asTable:
		f = v.tableFrame(t, hops)
	case asWhiskers:
		f = v.whiskerFrame(hops)
	case asHeat:
		f = v.heatFrame(t, hops)
	}
	for _, h := range hops {
		rows = append(rows, row{h.TTL, v.row(t, h, f)})
		for _, text := range v.below(h) {
			rows = append(rows, row{h.TTL, (&line{}).to(ttlWidth).put(dim, clip(text, v.width-ttlWidth, v.g)).String()})
		}
	}
	for _, text := range f.below {
		rows = append(rows, row{0, text})
	}
	if hidden > 0 {
		rows = append(rows, row{0, (&line{}).to(ttlWidth).put(dim,
			clip(fmt.Sprintf("silent hops hidden: %d (s shows them)", hidden), v.width-ttlWidth, v.g)).String()})
	}
	return f.heading, rows
}

// frame is how the lines of a list are laid out.
type frame struct {
	heading string
	host    int // its columns
	columns []column
	right   func(l *line, h *trace.HopStats) // what stands right of the numbers
	below   []string                         // the list
}

// hostWidth is what the hosts take, between bounds.
func (v *view) hostWidth(hops []*trace.HopStats, least, most int) int {
	n := least
	for _, h := range hops {
		n = max(n, len([]rune(v.host(h)))+len(stateText(h)))
	}
	return min(n+1, most)
}

func stateText(h *trace.HopStats) string {
	if text, _ := stateOf(h.State); text != "" {
		return " " + text
	}
	return ""
}

// row is the line of a hop.
func (v *view) row(t *trace.Stats, h *trace.HopStats, f frame) string {
	var l line
	kind := t.LossKind(h.TTL)
	v.number(&l, h.TTL, kind)
	name, s := v.host(h), plain
	if h.Received == 0 {
		s = dim
	}
	state, stateStyle := stateOf(h.State)
	room := f.host - 1
	if state != "" && room > len(state)+8 {
		room -= len(state) + 1
	} else {
		state = ""
	}
	if a := h.Responder(); a.IsValid() && len([]rune(name)) > room {
		name = v.short(a)
	}
	l.put(s, clip(name, room, v.g))
	if state != "" {
		l.put(plain, " ").put(stateStyle, state)
	}
	l.to(ttlWidth + f.host)
	for _, c := range f.columns {
		s := plain
		if c.name == "Loss" {
			s = lossStyle(kind)
		} else if h.Received == 0 {
			s = dim
		}
		l.put(s, fmt.Sprintf("%*s", c.width, c.text(h)))
	}
	if f.right != nil {
		f.right(&l, h)
	}
	return l.String()
}

// number is the TTL, and what its loss means.
func (v *view) number(l *line, ttl int, kind trace.LossKind) {
	pointer, s := " ", plain
	if ttl == v.chosen {
		pointer, s = ">", mark
	}
	l.put(s, fmt.Sprintf("%s%2d", pointer, ttl))
	switch kind {
	case trace.Harmless:
		l.put(dim, "~")
	case trace.Carried, trace.AtEnd:
		l.put(bad, "!")
	}
	l.to(ttlWidth)
}

func lossStyle(k trace.LossKind) style {
	switch k {
	case trace.Harmless:
		return dim
	case trace.Carried, trace.AtEnd:
		return bad
	}
	return plain
}

// host is who answers at a hop.
func (v *view) host(h *trace.HopStats) string {
	a := h.Responder()
	if !a.IsValid() {
		if h.Failed > 0 && h.Lost == 0 {
			return record.LocalMark(h.Err)
		}
		if h.Sent() == 0 {
			return "(waiting)"
		}
		return "(no answer)"
	}
	return v.label(a)
}

// label is an address as it is shown.
func (v *view) label(a netip.Addr) string {
	text := a.String()
	if !v.addresses && v.o.Name != nil {
		if name := v.o.Name(a); name != "" && name != text {
			text = fmt.Sprintf("%s (%s)", record.Printable(name), text)
		}
	}
	if v.owners && v.o.Owner != nil {
		if o, ok := v.o.Owner(a); ok {
			text += fmt.Sprintf(" AS%d", o.ASN)
			if o.Name != "" {
				text += " " + record.Printable(o.Name)
			}
		}
	}
	if mark := record.AddressMark(a, v.shown.path.Target.Addr()); mark != "" {
		text += " " + mark
	}
	return text
}

// short is the shorter form of an address: its name alone.
func (v *view) short(a netip.Addr) string {
	if mark := record.AddressMark(a, v.shown.path.Target.Addr()); mark != "" {
		return a.String() + mark
	}
	if !v.addresses && v.o.Name != nil {
		if name := v.o.Name(a); name != "" {
			return record.Printable(name)
		}
	}
	return a.String()
}

// below is what stands under a hop: who else answers there, and what changed last.
func (v *view) below(h *trace.HopStats) []string {
	const most = 4
	all, others := h.Responders()
	if len(all) < 2 {
		return nil
	}
	now := h.Responder()
	all = slices.SortedStableFunc(slices.Values(all),
		func(a, b trace.Responder) int { return cmp.Compare(b.Count, a.Count) })
	var lines []string
	for _, r := range all {
		if r.Addr == now {
			continue
		}
		if len(lines) == most {
			others = h.Received
			for _, x := range all[:most+1] {
				others -= x.Count
			}
			break
		}
		lines = append(lines, fmt.Sprintf("%c %s  %d of %d answers, last %s", v.g.branch, v.label(r.Addr), r.Count,
			h.Received, r.Last.Format("15:04:05")))
	}
	if others > 0 {
		lines = append(lines, fmt.Sprintf("%c still others  %d of %d answers", v.g.branch, others, h.Received))
	}
	if c := h.RecentChanges(); len(c) > 0 {
		x := c[len(c)-1]
		what := "changed"
		if h.Changes > h.Received/4 && h.Changes > 2 {
			what = "alternates: changed"
		}
		lines = append(lines, fmt.Sprintf("%c %s at %s: %s %c %s", v.g.branch, times(h.Changes, what),
			x.At.Format("15:04:05"), x.From, v.g.arrow, x.To))
	}
	return lines
}

func times(n int, what string) string {
	if n == 1 {
		return what
	}
	return fmt.Sprintf("%s %d times, last", what, n)
}

// tableFrame lays out numbers and a strip of history.
func (v *view) tableFrame(t *trace.Stats, hops []*trace.HopStats) frame {
	const leastHistory = 10
	f := frame{columns: choose(v.width-ttlWidth, min(28, max(17, v.width*3/10)), leastHistory+1)}
	numbers := 0
	for _, c := range f.columns {
		numbers += c.width
	}
	f.host = v.hostWidth(hops, 15, max(18, v.width-ttlWidth-numbers-max(leastHistory, v.width/6)-2))
	strip := v.width - ttlWidth - f.host - numbers - 2
	var l line
	v.heading(&l, f)
	if strip >= 4 {
		l.put(plain, "  ").put(header, clip("History", strip, v.g))
		f.right = func(l *line, h *trace.HopStats) {
			l.put(plain, "  ")
			v.strip(l, h, strip, lossStyle(t.LossKind(h.TTL)))
		}
	}
	f.heading = l.to(v.width).String()
	return f
}

// heading is the part of a list's heading that all have.
func (v *view) heading(l *line, f frame) {
	l.to(ttlWidth).fit(header, "Host", f.host, v.g)
	for _, c := range f.columns {
		l.put(header, fmt.Sprintf("%*s", c.width, c.name))
	}
}

// strip is the last probes of a hop, the newest at the right. How high a cell is compares it with the hop's other
// times, its colour with those of all.
func (v *view) strip(l *line, h *trace.HopStats, width int, lost style) {
	n := max(0, min(width, h.Samples()-v.back))
	l.to(l.width + width - n)
	// Differences that are small compared with the time itself don't make a mountain.
	span := max(h.Worst-h.Best, h.Best/4, 100*time.Microsecond)
	for back := n - 1; back >= 0; back-- {
		s := h.Sample(back + v.back)
		if s.Outcome != trace.Answered {
			v.gap(l, s.Outcome, lost)
			continue
		}
		top := len(v.g.levels) - 1
		level := int(float64(s.RTT-h.Best) / float64(span) * float64(top))
		l.put(steps[shade(s.RTT)].fg, string(v.g.levels[min(max(level, 0), top)]))
	}
}

// gap is a probe without a time. What loss at this hop means, its style says.
func (v *view) gap(l *line, f trace.Outcome, lost style) {
	switch f {
	case trace.Lost:
		l.put(lost, string(v.g.lost))
	case trace.Failed:
		l.put(odd, string(v.g.local))
	default:
		l.put(dim, string(v.g.dot))
	}
}

// whiskerFrame lays out one time axis for all hops.
func (v *view) whiskerFrame(hops []*trace.HopStats) frame {
	f := frame{columns: choose(v.width-ttlWidth, 17, max(30, v.width/2))}
	if len(f.columns) > 4 {
		f.columns = choose(ttlWidth+4*6+17, 17, 0)
	}
	numbers := 0
	for _, c := range f.columns {
		numbers += c.width
	}
	f.host = v.hostWidth(hops, 15, max(18, v.width/3))
	width := v.width - ttlWidth - f.host - numbers - 3
	if width < 8 {
		f.host = 18
		f.columns = choose(6, 0, 0)
		width = v.width - ttlWidth - f.host - 6 - 3
	}
	a := v.axis(hops, width)
	var l line
	v.heading(&l, f)
	l.put(plain, "  ").put(header, a.heading(v.g))
	f.heading = l.String()
	f.right = func(l *line, h *trace.HopStats) {
		l.put(plain, "  ")
		v.whisker(l, h, a)
	}
	return f
}

// axis maps times to columns.
type axis struct {
	low, high time.Duration
	logarithm bool
	width     int
}

// axis spans the times of all hops: from nothing, or in the logarithmic form from a power of ten, to a round figure.
func (v *view) axis(hops []*trace.HopStats, width int) axis {
	a := axis{width: width, logarithm: v.logarithm, low: math.MaxInt64}
	for _, h := range hops {
		if h.Received > 0 {
			a.high = max(a.high, h.Worst)
			a.low = min(a.low, h.Best)
		}
	}
	if a.high == 0 {
		a.low, a.high = 100*time.Microsecond, time.Millisecond
	}
	a.high = nice(a.high)
	if !a.logarithm {
		a.low = 0
		return a
	}
	a.low = max(time.Duration(math.Pow(10, math.Floor(math.Log10(float64(a.low))))), time.Microsecond)
	if a.low*10 > a.high {
		a.high = a.low * 10
	}
	return a
}

// nice is the next of 1, 2, 5, 10, 20, ... that is no less.
func nice(d time.Duration) time.Duration {
	p := time.Duration(math.Pow(10, math.Floor(math.Log10(float64(d)))))
	for _, f := range []time.Duration{1, 2, 3, 5, 8, 10} {
		if d <= f*p {
			return f * p
		}
	}
	return 10 * p
}

// at is the column of a time.
func (a *axis) at(d time.Duration) int {
	share := float64(d-a.low) / float64(a.high-a.low)
	if a.logarithm {
		share = math.Log(float64(max(d, a.low))/float64(a.low)) / math.Log(float64(a.high)/float64(a.low))
	}
	return min(max(int(math.Round(share*float64(a.width-1))), 0), a.width-1)
}

// heading is the axis' marks.
func (a *axis) heading(g *glyphs) string {
	cells := []rune(strings.Repeat(string(g.rule), a.width))
	label := func(at int, text string) {
		r := []rune(text)
		at = min(max(at, 0), a.width-len(r))
		if at < 0 {
			return
		}
		copy(cells[at:], r)
	}
	if a.logarithm {
		for d := a.low; d < a.high; d *= 10 {
			label(a.at(d), short(d))
		}
	} else {
		for n := max(1, min(4, a.width/14)); n > 0; n-- {
			d := a.high * time.Duration(n) / time.Duration(max(1, min(4, a.width/14)))
			if d < a.high {
				label(a.at(d), short(d))
			}
		}
		label(0, "0")
	}
	label(a.width, short(a.high)+" ms")
	return string(cells)
}

// short is a time in milliseconds without digits that say nothing.
func short(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', 3, 64)
}

// whisker is a hop's times on the axis.
func (v *view) whisker(l *line, h *trace.HopStats, a axis) {
	if h.Received == 0 {
		l.to(l.width + a.width)
		return
	}
	cells := make([]rune, a.width)
	for i := range cells {
		cells[i] = ' '
	}
	low, high := a.at(h.Best), a.at(h.Worst)
	for i := low; i <= high; i++ {
		cells[i] = v.g.dash
	}
	cells[low], cells[high] = v.g.left, v.g.right
	last, mean := a.at(h.Last), a.at(h.Average())
	for i, c := range cells {
		s := steps[shade(h.Average())].fg
		switch i {
		case mean:
			l.put("1;"+s, string(v.g.mean))
		case last:
			l.put("1;"+steps[shade(h.Last)].fg, string(v.g.last))
		default:
			if c == ' ' {
				s = plain
			}
			l.put(s, string(c))
		}
	}
}

// heatFrame lays out a map: hops downwards, time to the right, the newest at the right end.
func (v *view) heatFrame(t *trace.Stats, hops []*trace.HopStats) frame {
	f := frame{columns: choose(6, 0, 0)}
	f.host = v.hostWidth(hops, 15, max(18, v.width/4))
	width := max(1, v.width-ttlWidth-f.host-6-2)
	var l line
	v.heading(&l, f)
	f.heading = l.put(plain, "  ").put(header, clip("Time, a round each", width, v.g)).String()
	f.right = func(l *line, h *trace.HopStats) {
		l.put(plain, "  ")
		v.heat(l, h, width, t.Newest(), lossStyle(t.LossKind(h.TTL)))
	}
	// The time axis.
	cells := []rune(strings.Repeat(" ", width))
	label := func(at int, text string) {
		r := []rune(text)
		if at = min(at, width-len(r)); at >= 0 {
			copy(cells[at:], r)
		}
	}
	for back := 20; back < width-4; back += 20 {
		label(width-1-back, string(v.g.tick)+"-"+span(time.Duration(back+v.back)*v.o.Interval))
	}
	if v.back == 0 {
		label(width-3, "now")
	}
	var below line
	below.to(ttlWidth+f.host+6+2).put(dim, string(cells))
	f.below = []string{below.String()}
	return f
}

// late is how much later than an interval a probe may be, as a share of it, before a round counts as skipped: 1 less
// this.
const late = 0.25

// heat is a hop's row of the map. The columns are rounds: a probe that was skipped leaves its own empty.
func (v *view) heat(l *line, h *trace.HopStats, width int, newest time.Time, lost style) {
	cells := make([]*trace.Sample, width)
	at := width - 1 + v.back
	for back := range h.Samples() {
		s := h.Sample(back)
		if back == 0 {
			at -= int(newest.Sub(s.Sent) / v.o.Interval)
		} else {
			at -= max(1, int(float64(h.Sample(back-1).Sent.Sub(s.Sent))/float64(v.o.Interval)+late))
		}
		if at < 0 {
			break
		}
		if at < width {
			cells[at] = &s
		}
	}
	for _, s := range cells {
		switch {
		case s == nil:
			l.put(plain, " ")
		case s.Outcome != trace.Answered:
			v.gap(l, s.Outcome, lost)
		case v.o.Colors > NoColors:
			l.put(steps[shade(s.RTT)].fg, string(v.g.full)) // not a blank with a background: terminals lose those
		default:
			l.put(plain, string(v.g.levels[shade(s.RTT)]))
		}
	}
}

// legend explains the marks that are on the screen, and the shades where there is room for them.
func (v *view) legend(t *trace.Stats) string {
	var marks []line
	put := func(s style, mark, text string) {
		var l line
		l.put(s, mark).put(dim, text)
		marks = append(marks, l)
	}
	var lost, harmless, fault bool
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		lost = lost || t.Hop(ttl).Lost > 0
		switch t.LossKind(ttl) {
		case trace.Harmless:
			harmless = true
		case trace.Carried, trace.AtEnd:
			fault = true
		}
	}
	if fault {
		put(bad, "!", " loss")
	}
	if harmless {
		put(dim, "~", " only limits its answers")
	}
	if v.kind == asWhiskers {
		put(bold, string(v.g.mean), " average")
		put(bold, string(v.g.last), " last")
	} else if lost {
		put(bad, string(v.g.lost), " lost")
	}
	if scale := v.scale(); v.kind == asHeat {
		marks = slices.Insert(marks, 0, scale)
	} else {
		marks = append(marks, scale)
	}
	var l line
	l.to(ttlWidth - 2)
	for _, m := range marks {
		if m.width > 0 && l.width+2+m.width <= v.width {
			l.put(plain, "  ").join(&m)
		}
	}
	if l.width < ttlWidth {
		return ""
	}
	return l.String()
}

// scale is what the shades stand for; nothing where there are none.
func (v *view) scale() (l line) {
	for i, s := range steps {
		if v.o.Colors > NoColors {
			l.put(legendStyle(s), " "+s.name+" ")
		} else if v.kind == asHeat {
			l.put(plain, string(v.g.levels[i])).put(dim, " "+s.name+" ")
		}
	}
	if l.width > 0 {
		l.put(dim, " ms")
	}
	return l
}

// pane is the lines at the bottom: the details of the chosen hop, or what the answers say.
func (v *view) pane(t *trace.Stats, room int) []string {
	var lines []string
	switch {
	case v.details && !v.overview && v.chosen >= t.First() && v.chosen <= t.Last():
		lines = v.detail(t, t.Hop(v.chosen))
	default:
		lines = v.found(t)
	}
	if len(lines) == 0 || room < 1 {
		return nil
	}
	rule := (&line{}).put(dim, strings.Repeat(string(v.g.rule), v.width)).String()
	return append([]string{rule}, lines[:min(len(lines), room)]...)
}

// found is the findings, the weightiest first, each with what it rests on where there is room.
func (v *view) found(t *trace.Stats) []string {
	all := v.findings
	if v.o.Losses != nil && v.paths == nil {
		all = append(v.o.Losses(t), all...)
		slices.SortStableFunc(all, func(a, b detect.Finding) int { return b.Weight - a.Weight })
	}
	var lines []string
	for _, f := range all {
		var l line
		s := odd
		if f.Confidence == detect.Certain {
			s = bold
		}
		l.put(s, fmt.Sprintf(" %-8s ", f.Confidence)).put(plain, clip(record.Printable(f.Title), v.width-10, v.g))
		lines = append(lines, l.String())
	}
	return lines
}

// detail is everything about one hop.
func (v *view) detail(t *trace.Stats, h *trace.HopStats) []string {
	var lines []string
	add := func(name, text string) {
		var l line
		l.put(bold, fmt.Sprintf(" %-9s ", name)).put(plain, clip(text, v.width-11, v.g))
		lines = append(lines, l.String())
	}
	add(fmt.Sprintf("hop %d", h.TTL), v.host(h)+stateText(h))
	text := fmt.Sprintf("%d sent, %d answered, %d lost (%s)", h.Sent(), h.Received, h.Lost, percent(h.Loss()))
	switch t.LossKind(h.TTL) {
	case trace.Harmless:
		text += ": limits its answers, later hops don't show this loss"
	case trace.Carried:
		text += ": later hops show it too, so packets are lost here or before"
	case trace.AtEnd:
		text += ": packets are lost, or their answers"
	}
	add("probes", text)
	if h.Failed+h.Unknown+h.Late+h.Duplicates > 0 {
		text := fmt.Sprintf("%d not sent by this host, %d that can't be told, %d late answers, %d doubled", h.Failed,
			h.Unknown, h.Late, h.Duplicates)
		if h.Err != nil {
			text += "; " + record.LocalMark(h.Err) + " " + record.Printable(h.Err.Error())
		}
		add("besides", text)
	}
	if h.Received > 0 {
		add("times", fmt.Sprintf("last %s  best %s  average %s  worst %s  deviation %s ms", ms(h.Last), ms(h.Best),
			ms(h.Average()), ms(h.Worst), ms(h.Deviation())))
		add("jitter", fmt.Sprintf("last %s  average %s  worst %s  smoothed (RFC 3550) %s ms", ms(h.Jitter),
			ms(h.AverageJitter()), ms(h.WorstJitter), ms(h.SmoothJitter())))
	}
	all, others := h.Responders()
	for _, r := range all {
		add("answers", fmt.Sprintf("%s  %d, first %s, last %s", v.label(r.Addr), r.Count, r.First.Format("15:04:05"),
			r.Last.Format("15:04:05")))
	}
	if others > 0 {
		add("answers", fmt.Sprintf("of still others  %d", others))
	}
	for _, c := range slices.Backward(h.RecentChanges()) {
		add("changed", fmt.Sprintf("%s  %s %c %s", c.At.Format("15:04:05"), c.From, v.g.arrow, c.To))
	}
	return lines
}

// keys is the last line.
func (v *view) keys() string {
	var l line
	for _, k := range []struct{ key, what string }{
		{"q", "quit"}, {"p", "pause"}, {"0-9 left right", when(v.paths == nil, "target", "path")}, {"t", "tree"},
		{"v", v.kind.next().String()}, {"?", "help"},
		{"j/k", "choose"}, {"enter", when(v.overview, "show", "details")},
		{"r", "reset"},
		{"n", "names"}, {"s", "silent"}, {"a", "AS"}, {"l", "log axis"}, {"o", "order"},
		{"[ ]", "back"}, {"+ -", "interval"},
	} {
		if k.key == "a" && v.o.Owner == nil || k.key == "l" && v.kind != asWhiskers || k.key == "p" && v.o.Hold == nil ||
			k.key == "0-9 left right" && len(v.tabs) < 2 || k.key == "t" && v.paths == nil ||
			v.overview && strings.Contains("v s l n a", k.key) ||
			k.key == "+ -" && v.o.SetInterval == nil || k.key == "[ ]" && v.kind == asWhiskers {
			continue
		}
		if l.width+len(k.key)+len(k.what)+3 > v.width {
			break
		}
		l.put(bold, " "+k.key).put(dim, " "+k.what+" ")
	}
	return l.String()
}

func (k kind) next() kind { return (k + 1) % kinds }

// helpLines explain keys and marks.
func (v *view) helpLines() []string {
	lines := []string{""}
	for _, k := range [][2]string{
		{"q, Ctrl-C", "quit, and print the table"},
		{"p, space", "pause: nothing is sent until it goes on"},
		{"v, tab", "table, whiskers on one time axis, heat map of hops by time"},
		{"j k, down up", "choose a hop"},
		{"enter", "all about the chosen hop, or no more"},
		{"0-9 left right", fmt.Sprintf("0: all %ss; 1-9: one of them; the one before, or after",
			when(v.paths == nil, "target", "path"))},
		{"t", "the paths' routers and links, or no more"},
		{"g G", "to the first or the last hop"},
		{"o", "sort by hop, loss, average or worst time"},
		{"[ ]", "10 rounds back in the history, or forth; esc: now"},
		{"+ -", "a longer or a shorter round"},
		{"r", "forget all figures"},
		{"n", "names and addresses, or addresses alone"},
		{"a", "who owns the address, where that is known"},
		{"s", "hide hops that never answer, or show them"},
		{"l", "logarithmic axis of the whiskers, or not"},
		{"? h", "this, or no more"},
		{"", ""},
		{"~ 40%", "the hop only limits its answers: later hops have less loss"},
		{"! 40%", "packets are lost: later hops have it too, or it is the last"},
		{"Jttr", "how far the last two times are apart"},
		{string(v.g.lost) + " " + string(v.g.local) + " " + string(v.g.dot), "lost; not sent by this host; can't be told"},
	} {
		if k[0] == "0-9 left right" && len(v.tabs) < 2 || k[0] == "t" && v.paths == nil {
			continue
		}
		var l line
		l.put(bold, fmt.Sprintf("  %-15s", k[0])).put(plain, clip(k[1], v.width-17, v.g))
		lines = append(lines, l.String())
	}
	return lines
}
