package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// How much more of the processor's time this program may take than traceroute. A Go program that prints one line takes
// 0.8 of what a whole trace of traceroute takes, and to wake a goroutine for each answer costs more than poll(2).
const (
	mostCPUOfProbe = 3
	mostCPUOfTrace = 3.5
)

// mostCPUOfBefore is how much of the processor's time a further probe may take, of what it took an earlier program.
const mostCPUOfBefore = 0.8

// claim is one promise of this project about itself, and what was measured.
type claim struct {
	what     string
	measured float64
	limit    float64
	least    bool // the limit is one from below
	format   string
	detail   string
}

func (c claim) holds() bool {
	if c.least {
		return c.measured >= c.limit
	}
	return c.measured <= c.limit
}

func (c claim) String() string {
	word, side := "FAILS", "at most"
	if c.holds() {
		word = "holds"
	}
	if c.least {
		side = "at least"
	}
	return fmt.Sprintf("%s  %s: "+c.format+", %s "+c.format+"  (%s)", word, c.what, c.measured, side, c.limit, c.detail)
}

// claims are those that can be judged by what has been run. A tool that failed says nothing about the network; one
// that had to be ended after mostTime says that it took that long.
func (r results) claims() (all []claim) {
	r = slices.DeleteFunc(slices.Clone(r), func(t trial) bool {
		return t.Error != "" && t.WallSeconds < mostTime.Seconds()
	})
	add := func(c claim) {
		if !math.IsNaN(c.measured) && !math.IsNaN(c.limit) {
			all = append(all, c)
		}
	}
	ratio := func(kind, peer string, limit float64, what string) {
		us, them := r.of(kind, ours), r.of(kind, peer)
		us, them = us.with(them), them.with(us)
		a, b := median(us.each(wallOf)), median(them.each(wallOf))
		add(claim{what + ", of " + peer + "'s", a / b, limit, false, "%.3f",
			fmt.Sprintf("medians %.3f s and %.3f s, %d paths", a, b, len(us))})
	}
	ratio(kindInternet, "traceroute", 0.35, "wall time")
	ratio(kindInternet, "mtr", 0.1, "wall time")
	ratio(kindInternet, "tcptraceroute", 0.02, "wall time")

	us := r.of(kindInternet, ours)
	for _, peer := range []string{"traceroute", "mtr", "tcptraceroute", "scamper", "nmap"} {
		them := r.of(kindInternet, peer)
		same := us.with(them)
		add(claim{"hops found, % beside " + peer + "'s", 100 * same.foundShare(), 100 * them.with(us).foundShare(), true,
			"%.2f",
			fmt.Sprintf("%d paths", len(same))})
	}
	add(claim{"hops found, % of those that answer within 3 s", 100 * us.foundShare(), 99.5, true, "%.2f",
		fmt.Sprintf("%.0f of %.0f", sum(us.each(foundOf)), sum(us.each(findableOf)))})
	if len(us) > 0 {
		add(claim{"wrong hops", sum(us.each(wrongOf)), 0, false, "%.0f", fmt.Sprintf("%d paths", len(us))})
	}
	ratio(kindFiltered, "traceroute", 0.2, "wall time filtered behind hop 10")

	them := r.of(kindInternet, "traceroute")
	add(claim{"SYNs at the target, median, beside traceroute's", median(us.with(them).each(targetSYNsOf)),
		median(them.with(us).each(targetSYNsOf)), false, "%.1f",
		fmt.Sprintf("%d paths", len(us.with(them)))})
	add(claim{"SYNs at the target, median, of the probes asked for", median(us.each(targetSYNsOf)) / queries, 1.5, false,
		"%.2f",
		fmt.Sprintf("95 %%: %.0f, most: %.0f", quantile(us.each(targetSYNsOf), 0.95), largest(us.each(targetSYNsOf)))})

	for _, kind := range []string{kindAlone, kindBusy} {
		errors := r.of(kind, ours).all(wireErrorsOf)
		add(claim{"RTT error, " + kind + ", median µs", median(errors), 20, false, "%.1f",
			fmt.Sprintf("%d times", len(errors))})
		add(claim{"RTT error, " + kind + ", 99th percentile µs", quantile(errors, 0.99), 200, false, "%.1f",
			fmt.Sprintf("%d times", len(errors))})
	}

	us, them = r.of(kindAlone, ours), r.of(kindAlone, "traceroute")
	a, b := 1e3*median(us.measured(firstOf)), 1e3*median(them.measured(firstOf))
	add(claim{"from exec to the first probe, ms more than traceroute", a - b, 10, false, "%.2f",
		fmt.Sprintf("%.2f and %.2f", a, b)})
	add(claim{"peak memory, MiB", largest(us.measured(peakOf)), 20, false, "%.1f", fmt.Sprintf("%d paths", len(us))})
	us1, them1 := r.of(kindOne, ours), r.of(kindOne, "traceroute")
	further, theirs := 1e6*cpuPerFurtherProbe(us, us1), 1e6*cpuPerFurtherProbe(them, them1)
	add(claim{"CPU of a further probe, of traceroute's", further / theirs, mostCPUOfProbe, false, "%.2f",
		fmt.Sprintf("%.0f µs and %.0f µs", further, theirs)})
	before := 1e6 * cpuPerFurtherProbe(r.of(kindAlone, earlier), r.of(kindOne, earlier))
	add(claim{"CPU of a further probe, of the earlier program's", further / before, mostCPUOfBefore, false, "%.2f",
		fmt.Sprintf("%.0f µs and %.0f µs", further, before)})
	whole, theirWhole := 1e3*median(us.each(cpuOf)), 1e3*median(them.each(cpuOf))
	add(claim{"CPU of a trace, of traceroute's", whole / theirWhole, mostCPUOfTrace, false, "%.2f",
		fmt.Sprintf("%.1f ms and %.1f ms; one probe: %.1f ms and %.1f ms", whole, theirWhole,
			1e3*median(us1.each(cpuOf)), 1e3*median(them1.each(cpuOf)))})
	return all
}

func (r results) writeClaims(w io.Writer) {
	for _, c := range r.claims() {
		fmt.Fprintln(w, c)
	}
}
