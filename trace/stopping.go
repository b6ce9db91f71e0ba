package trace

import "math"

// The stopping rule of Paths. Of a node k successors were seen after n different flows through it: is there another
// one? If the node chooses uniformly and independently for each flow, n flows miss one of k+1 successors with the
// probability missed(k+1, n). The node is done when that is no more than 1 - confidence.

// draws is the distribution of how many different ones of j equally likely things were drawn: of i of them with the
// probability draws[i]. It goes step by step, because the closed form cancels.
type draws []float64

func newDraws(j int) draws {
	d := make(draws, j+1)
	d[0] = 1
	return d
}

// draw is one more.
func (d draws) draw() {
	j := float64(len(d) - 1)
	for i := len(d) - 1; i > 0; i-- {
		d[i] = d[i]*float64(i)/j + d[i-1]*(j-float64(i)+1)/j
	}
	d[0] = 0
}

// incomplete is the probability that some were not drawn.
func (d draws) incomplete() float64 { return max(0, 1-d[len(d)-1]) }

// missed is the probability that n draws from j equally likely ones have not shown all of them.
func missed(j, n int) float64 {
	if n < j {
		return 1
	}
	d := newDraws(j)
	for range n {
		d.draw()
	}
	return d.incomplete()
}

// stopping knows how many flows a node needs.
type stopping struct {
	eps  float64 // the probability of missing a successor of a node
	need []int   // by the number of successors seen
}

// flows is how many different flows must have passed a node of which k successors were seen.
func (s *stopping) flows(k int) int {
	for len(s.need) <= k {
		d, n := newDraws(len(s.need)+1), 0
		for n == 0 || d.incomplete() > s.eps {
			d.draw()
			n++
		}
		s.need = append(s.need, n)
	}
	return s.need[k]
}

// alike is how many answers to one flow, all the same, show that a node doesn't choose a way for each packet. They are
// more than a node needs, because all links beyond a balancer by packet would be wrong: with 12 answers one in 2048 of
// those that have two ways is taken for steady.
func (s *stopping) alike() int { return s.flows(1) + 4 }

// hidden is the share of the flows below which a successor may be missing after n flows.
func (s *stopping) hidden(n int) float64 {
	if n == 0 {
		return 1
	}
	return 1 - math.Pow(s.eps, 1/float64(n))
}
