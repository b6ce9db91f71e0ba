package trace

import (
	"slices"
	"time"
)

// One router may answer from several of its addresses, and then looks like several routers side by side. Many routers
// number all packets that they send themselves by one counter, the IP ID (IPv4). If the answers of two addresses at one
// TTL, in the order in which they came, count on together, it is likely one counter: two counters that are independent
// stand at different numbers, and two that were started at the same time give the same number twice.

// The constants of that.
const (
	// faceAnswers is how many answers each of two addresses must have given, and faceTurns how often the one must have
	// answered after the other.
	faceAnswers = 6
	faceTurns   = 5

	// mostAhead is by how much the counter may go on from one answer to the next: what the router sends to others counts
	// too. Of two addresses whose IDs are drawn at random, each answer goes on by no more once in 64 times.
	mostAhead = 1024

	// mostIDs is how many answers of an address are remembered.
	mostIDs = 64
)

// numbered is an answer with its IP ID.
type numbered struct {
	recv  time.Time
	value int
	id    uint16
}

// number remembers the IP ID of an answer.
func (p *Paths) number(value int, r Result) {
	if r.Reply.IP.Version == 4 && r.Evidence != ByKernel && len(p.ids[value]) < mostIDs {
		p.ids[value] = append(p.ids[value], numbered{r.Recv, value, r.Reply.IP.ID})
	}
}

// countTogether reports whether the answers of two addresses have been numbered by one counter, for all that is known.
func (p *Paths) countTogether(a, b int) bool {
	if len(p.ids[a]) < faceAnswers || len(p.ids[b]) < faceAnswers {
		return false
	}
	all := slices.Concat(p.ids[a], p.ids[b])
	slices.SortStableFunc(all, func(x, y numbered) int { return x.recv.Compare(y.recv) })
	turns := 0
	for i, x := range all[1:] {
		if ahead := x.id - all[i].id; ahead == 0 || ahead > mostAhead {
			return false
		}
		if x.value != all[i].value {
			turns++
		}
	}
	return turns >= faceTurns
}

// faces finds the nodes that may be one router: at one TTL, with the same neighbours and one counter of IP IDs.
func (d *drawing) faces(p *Paths) {
	g := &d.g
	neighbours := func(i int) (all [][2]int) {
		for _, l := range g.Links {
			switch i {
			case l.To:
				all = append(all, [2]int{l.From, -1})
			case l.From:
				all = append(all, [2]int{-1, l.To})
			}
		}
		return all
	}
	for i := range g.Nodes {
		for k := i + 1; k < len(g.Nodes) && g.Nodes[k].TTL == g.Nodes[i].TTL; k++ {
			if d.value[i] < firstAddr || d.value[k] < firstAddr || p.final(d.value[i]) || p.final(d.value[k]) {
				continue
			}
			if p.countTogether(d.value[i], d.value[k]) && slices.Equal(neighbours(i), neighbours(k)) {
				g.Nodes[i].MayBe = append(g.Nodes[i].MayBe, k)
				g.Nodes[k].MayBe = append(g.Nodes[k].MayBe, i)
			}
		}
	}
}
