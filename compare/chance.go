package compare

import (
	"cmp"
	"math"
	"slices"
)

// mostChance is how often chance alone may make a difference of one kind, in comparisons of unchanged paths.
const mostChance = 0.001

// outcomes counts probes by whether something was seen.
type outcomes struct{ seen, not int }

func (a outcomes) all() int { return a.seen + a.not }

// fisher returns the two-sided probability of two counts that differ as much as these, if nothing has changed: Fisher's
// exact test.
func fisher(a, b outcomes) float64 {
	seen := a.seen + b.seen
	log := func(n int) float64 {
		return choose(a.all(), n) + choose(b.all(), seen-n) - choose(a.all()+b.all(), seen)
	}
	const rounding = 1e-9
	p, own := 0.0, log(a.seen)
	for n := max(0, seen-b.all()); n <= min(seen, a.all()); n++ {
		if l := log(n); l <= own+rounding {
			p += math.Exp(l)
		}
	}
	return min(p, 1)
}

// choose returns the logarithm of the number of ways to choose k of n.
func choose(n, k int) float64 {
	of := func(n int) float64 {
		l, _ := math.Lgamma(float64(n + 1))
		return l
	}
	return of(n) - of(k) - of(n-k)
}

// disjoint returns an upper bound for the probability that n answers and m others have no responder in common, if each
// answer comes from any of k responders by chance.
func disjoint(n, m, k int) float64 {
	s := float64(n) / float64(n+m)
	return min(1, math.Exp2(float64(k-1))*math.Pow(s, float64(n))*math.Pow(1-s, float64(m)))
}

// stratum is two samples of the same quantity.
type stratum struct{ old, new []float64 }

// mostSample is how many values of a sample the rank test uses: its cost grows with the third power.
const mostSample = 40

// ranks returns the two-sided probability of rank sums that are as far from their mean as these, over all strata, if
// the order of the values is chance: Wilcoxon's rank sum test, exact and with ties.
func ranks(strata []stratum) float64 {
	sum, mean := 0, 0.0
	sums := []float64{1} // probability of each sum so far
	for _, s := range strata {
		old, new := s.old[:min(len(s.old), mostSample)], s.new[:min(len(s.new), mostSample)]
		ranks := doubleRanks(old, new)
		all := 0
		for _, r := range ranks {
			all += r
		}
		for _, r := range ranks[len(old):] {
			sum += r
		}
		mean += float64(all) * float64(len(new)) / float64(len(ranks))
		sums = convolve(sums, subsetSums(ranks, len(new), all))
	}
	p, far := 0.0, math.Abs(float64(sum)-mean)
	for s, chance := range sums {
		if math.Abs(float64(s)-mean) >= far-1e-9 {
			p += chance
		}
	}
	return min(p, 1)
}

// doubleRanks returns twice the rank of each value among all, of the old ones first. Equal values share a rank.
func doubleRanks(old, new []float64) []int {
	values := slices.Concat(old, new)
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks := make([]int, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = i + j + 1
		}
		i = j
	}
	return ranks
}

// subsetSums returns the probability of each sum of n of the numbers, which add up to all.
func subsetSums(numbers []int, n, all int) []float64 {
	ways := make([][]float64, n+1) // how many ways there are to get a sum with so many numbers
	for i := range ways {
		ways[i] = make([]float64, all+1)
	}
	ways[0][0] = 1
	for used, x := range numbers {
		for k := min(n, used+1); k > 0; k-- {
			for s := all; s >= x; s-- {
				ways[k][s] += ways[k-1][s-x]
			}
		}
	}
	total := 0.0
	for _, w := range ways[n] {
		total += w
	}
	for i := range ways[n] {
		ways[n][i] /= total
	}
	return ways[n]
}

// convolve returns the distribution of the sum of two independent numbers.
func convolve(a, b []float64) []float64 {
	c := make([]float64, len(a)+len(b)-1)
	for i, x := range a {
		if x == 0 {
			continue
		}
		for j, y := range b {
			c[i+j] += x * y
		}
	}
	return c
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}
