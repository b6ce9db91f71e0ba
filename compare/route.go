package compare

import (
	"fmt"
	"maps"
	"slices"

	"go.example/tcptraceroute/trace"
)

// edit is a run of hops that differ: the old ones became the new ones. Hops are counted from 1, ends are excluded.
type edit struct {
	old, oldEnd int
	new, newEnd int
}

// align finds the edits with the least cost that turn one path into the other.
func align(old, new *side) []edit {
	n, m := len(old.hops), len(new.hops)
	cost := make([][]float64, n+1)
	for i := range cost {
		cost[i] = make([]float64, m+1)
	}
	for i := n; i >= 0; i-- {
		for j := m; j >= 0; j-- {
			cost[i][j], _, _ = step(old, new, cost, i, j)
		}
	}
	var edits []edit
	for i, j := 0, 0; i < n || j < m; {
		_, di, dj := step(old, new, cost, i, j)
		if di == 1 && dj == 1 && substitution(old.hops[i], new.hops[j]) < 1 {
			i, j = i+1, j+1
			continue
		}
		if k := len(edits) - 1; k >= 0 && edits[k].oldEnd == i+1 && edits[k].newEnd == j+1 {
			edits[k].oldEnd, edits[k].newEnd = i+1+di, j+1+dj
		} else {
			edits = append(edits, edit{i + 1, i + 1 + di, j + 1, j + 1 + dj})
		}
		i, j = i+di, j+dj
	}
	return edits
}

// step is the cheapest way from hops i and j on: its cost, and how many hops of each path its first step takes.
func step(old, new *side, cost [][]float64, i, j int) (least float64, di, dj int) {
	n, m := len(old.hops), len(new.hops)
	const insertion = 1.1 // dearer than a substitution, so that equal lengths stay aligned
	if i == n && j == m {
		return 0, 0, 0
	}
	least = 1e9
	if i < n && j < m {
		least, di, dj = cost[i+1][j+1]+substitution(old.hops[i], new.hops[j]), 1, 1
	}
	if i < n && cost[i+1][j]+insertion < least {
		least, di, dj = cost[i+1][j]+insertion, 1, 0
	}
	if j < m && cost[i][j+1]+insertion < least {
		least, di, dj = cost[i][j+1]+insertion, 0, 1
	}
	return least, di, dj
}

// substitution is what it costs that one hop became the other. Silence may be anybody's.
func substitution(a, b *hop) float64 {
	switch {
	case a.answered() == 0 && b.answered() == 0, a.meets(b):
		return 0
	case a.answered() == 0 || b.answered() == 0:
		return 0.2
	}
	return 1
}

// route compares the routers on the way.
func (c *comparison) route() {
	edits := align(c.old, c.new)
	for i, e := range edits {
		end := min(len(c.old.hops), len(c.new.hops)) + 1
		if i+1 < len(edits) {
			end = min(end, max(edits[i+1].old, edits[i+1].new))
		}
		chance, seen := 1.0, false
		for ttl := min(e.old, e.new); ttl < max(end, e.newEnd, e.oldEnd); ttl++ {
			a, b := c.old.at(ttl), c.new.at(ttl)
			if a.answered() > 0 && b.answered() > 0 && !a.meets(b) {
				members := maps.Clone(a.from)
				maps.Copy(members, b.from)
				chance *= disjoint(a.answered(), b.answered(), len(members))
				seen = true
			}
		}
		if !seen {
			continue // silence in the place of a router is no other route
		}
		c.edited(e, chance)
	}
}

// edited reports that hops have changed.
func (c *comparison) edited(e edit, chance float64) {
	d := Difference{Kind: Route, First: e.new, Last: e.newEnd - 1, Chance: chance}
	var old, new []string
	for ttl := e.old; ttl < e.oldEnd; ttl++ {
		d.Old = append(d.Old, c.old.addresses(c.old.at(ttl))...)
		old = append(old, c.old.names(c.old.at(ttl)))
	}
	for ttl := e.new; ttl < e.newEnd; ttl++ {
		d.New = append(d.New, c.new.addresses(c.new.at(ttl))...)
		new = append(new, c.new.names(c.new.at(ttl)))
	}
	switch {
	case len(old) == 0:
		d.Text = fmt.Sprintf("%s new on the way: %s", hopsText(e.new, e.newEnd), list(new))
	case len(new) == 0:
		d.First, d.Last = e.old, e.oldEnd-1
		d.Text = fmt.Sprintf("%s not on the way any more: %s", hopsText(e.old, e.oldEnd), list(old))
	default:
		d.Text = fmt.Sprintf("%s %s, before: %s", hopsText(e.new, e.newEnd), list(new), list(old))
	}
	d = c.doubtFlow(d)
	c.add(d)
	if d.Doubt == "" && d.Chance <= mostChance && e.newEnd-e.new != e.oldEnd-e.old {
		c.longer = true
	}
}

// doubtFlow makes a difference of routes doubtful if the flows differ.
func (c *comparison) doubtFlow(d Difference) Difference {
	if !c.r.SameFlow {
		d.Doubt = otherFlow
		if c.known(d.New) {
			d.Doubt = "it is another flow, and the old trace knows of these routers on another path"
		}
	}
	return d
}

// known reports whether the old trace's search for all paths has met all these addresses.
func (c *comparison) known(addrs []string) bool {
	if c.old.Graph == nil {
		return false
	}
	met := make(map[string]bool)
	for _, n := range c.old.Graph.Nodes {
		met[n.Addr.String()] = true
	}
	return !slices.ContainsFunc(addrs, func(a string) bool { return !met[a] })
}

func hopsText(from, end int) string {
	if end-from > 1 {
		return fmt.Sprintf("hops %d to %d are", from, end-1)
	}
	return fmt.Sprintf("hop %d is", from)
}

// list joins names in the order of their hops.
func list(names []string) string {
	text := names[0]
	for _, n := range names[1:] {
		text += ", " + n
	}
	return text
}

// members compares who answers at hops that have several responders.
func (c *comparison) members() {
	shared := 0 // hops that can be compared
	for ttl := range c.new.hops {
		if c.several(ttl + 1) {
			shared++
		}
	}
	for ttl := 1; ttl <= len(c.new.hops); ttl++ {
		if a, b := c.old.at(ttl), c.new.at(ttl); c.several(ttl) {
			c.shares(ttl, a.from, b.from, shared, false)
		}
	}
}

// several reports whether a hop has several responders, and the traces share some: else the route is another.
func (c *comparison) several(ttl int) bool {
	a, b := c.old.at(ttl), c.new.at(ttl)
	return a.meets(b) && (len(a.from) > 1 || len(b.from) > 1)
}

// shares compares the shares of a hop's responders in its answers, or in the flows through it.
func (c *comparison) shares(ttl int, old, new map[who]int, tests int, flows bool) {
	all := maps.Clone(old)
	maps.Copy(all, new)
	count := func(m map[who]int) (n int) {
		for _, k := range m {
			n += k
		}
		return n
	}
	n, m := count(old), count(new)
	for _, w := range (&hop{from: all}).responders() {
		if old[w] > 0 && new[w] > 0 {
			continue // its share may be another, and it is still there
		}
		p := min(1, fisher(outcomes{old[w], n - old[w]}, outcomes{new[w], m - new[w]})*float64(len(all)*tests))
		d := Difference{Kind: Member, First: ttl, Last: ttl, Chance: p}
		unit := "answers"
		if flows {
			unit = "flows"
		}
		if new[w] > 0 {
			d.New = []string{c.new.addr(w)}
			d.Text = fmt.Sprintf("hop %d: %s is new there, with %d of %d %s (before: none of %d)", ttl, c.new.name(w), new[w], m,
				unit, n)
		} else {
			d.Old = []string{c.old.addr(w)}
			d.Text = fmt.Sprintf("hop %d: %s is gone there, which had %d of %d %s (now: none of %d)", ttl, c.old.name(w),
				old[w], n, unit, m)
		}
		if p > 0.05 {
			continue // members come and go
		}
		c.add(d)
	}
}

func (s *side) addr(w who) string {
	if w.target {
		return s.Path.Target.Addr().String()
	}
	return w.addr.String()
}

// graphs compares all paths, if both traces have searched for them.
func (c *comparison) graphs() {
	old, new := c.old.Graph, c.new.Graph
	if old == nil || new == nil {
		if old != nil || new != nil {
			c.note("only one of the traces has searched for all paths")
		}
		return
	}
	if !old.Tested || !new.Tested {
		c.note("a search for all paths didn't come to its end")
	}
	a, b := flowsBy(c.old.Graph), flowsBy(c.new.Graph)
	for _, ttl := range slices.Sorted(maps.Keys(b)) {
		if a[ttl] != nil && (len(a[ttl]) > 1 || len(b[ttl]) > 1) {
			c.shares(ttl, a[ttl], b[ttl], 1, true)
		}
	}
}

// flowsBy counts the flows through the routers of each hop.
func flowsBy(g *trace.Graph) map[int]map[who]int {
	all := make(map[int]map[who]int)
	for _, w := range g.Ways {
		for _, n := range w.Nodes {
			if n < 0 || g.Nodes[n].Target || !g.Nodes[n].Addr.IsValid() {
				continue
			}
			node := &g.Nodes[n]
			if all[node.TTL] == nil {
				all[node.TTL] = make(map[who]int)
			}
			all[node.TTL][who{addr: node.Addr}] += len(w.Ports)
		}
	}
	return all
}
