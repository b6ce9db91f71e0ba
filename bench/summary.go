package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// results are trials to be summed up.
type results []trial

func (r results) of(kind, tool string) (some results) {
	for _, t := range r {
		if t.Kind == kind && t.Tool == tool {
			some = append(some, t)
		}
	}
	return some
}

// with leaves those whose path another tool has been through too, so that both are measured by the same.
func (r results) with(other results) (some results) {
	type name struct {
		kind string
		path int
		v6   bool
	}
	has := make(map[name]bool)
	for _, t := range other {
		has[name{t.Kind, t.Path, t.IPv6}] = true
	}
	for _, t := range r {
		if has[name{t.Kind, t.Path, t.IPv6}] {
			some = append(some, t)
		}
	}
	return some
}

func (r results) each(f func(t trial) float64) []float64 {
	values := make([]float64, len(r))
	for i, t := range r {
		values[i] = f(t)
	}
	return values
}

// measured is each without what could not be measured, which is 0.
func (r results) measured(f func(t trial) float64) []float64 {
	return slices.DeleteFunc(r.each(f), func(v float64) bool { return v == 0 })
}

func (r results) all(f func(t trial) []float64) (values []float64) {
	for _, t := range r {
		values = append(values, f(t)...)
	}
	return values
}

func wallOf(t trial) float64          { return t.WallSeconds }
func cpuOf(t trial) float64           { return t.CPUSeconds }
func firstOf(t trial) float64         { return t.FirstSeconds }
func peakOf(t trial) float64          { return float64(t.PeakKiB) / 1024 }
func packetsOf(t trial) float64       { return float64(t.Packets) }
func targetSYNsOf(t trial) float64    { return float64(t.TargetSYNs) }
func findableOf(t trial) float64      { return float64(t.Findable) }
func foundOf(t trial) float64         { return float64(t.Found) }
func wrongOf(t trial) float64         { return float64(len(t.Wrong)) }
func modelErrorsOf(t trial) []float64 { return t.RTTErrorModel }
func wireErrorsOf(t trial) []float64  { return t.RTTErrorWire }

// foundShare is the part of the hops that could be found that was.
func (r results) foundShare() float64 {
	return sum(r.each(foundOf)) / sum(r.each(findableOf))
}

// cpuPerProbe is in seconds.
func (r results) cpuPerProbe() float64 {
	return sum(r.each(cpuOf)) / sum(r.each(packetsOf))
}

// cpuPerFurtherProbe is in seconds: without what it costs to start, which is measured by runs of one probe.
func cpuPerFurtherProbe(traces, one results) float64 {
	cpu := sum(traces.each(cpuOf)) - float64(len(traces))*median(one.each(cpuOf))
	return cpu / (sum(traces.each(packetsOf)) - float64(len(traces)))
}

var titles = map[string]string{
	kindInternet: "Simulated Internet: %d paths, all tools on each, side by side in lanes",
	kindAlone:    "Simulated Internet: %d paths, with the machine to itself",
	kindOne:      "The same %d paths, one probe to the first hop: what it costs to start",
	kindBusy:     "Simulated Internet: %d paths, beside 5 other traces and with all cores busy",
	kindFiltered: "Filtered behind hop 10: %d paths",
	kindLab:      "Real Linux routers: %d chains of 9 hops, one of them silent, IPv4 and IPv6",
}

// write prints a table for each kind of trial.
func (r results) write(w io.Writer, tools []tool) {
	for _, kind := range []string{kindInternet, kindAlone, kindOne, kindBusy, kindFiltered, kindLab} {
		r.writeKind(w, kind, tools)
	}
}

func (r results) writeKind(w io.Writer, kind string, tools []tool) {
	paths := make(map[int]bool)
	for _, t := range r {
		if t.Kind == kind {
			paths[t.Path] = true
		}
	}
	if len(paths) == 0 {
		return
	}
	fmt.Fprintf(w, "\n"+titles[kind]+"\n\n", len(paths))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "tool\tpaths\twall s\t95 %\tpackets\tSYNs at target\tfound %\tmissed\twrong"+
		"\tRTT error µs\t99 %\tof truth µs\tCPU ms\tµs a packet\tfirst ms\tpeak MiB\tfailed\t")
	for _, t := range tools {
		s := r.of(kind, t.name)
		if len(s) == 0 {
			continue
		}
		wire, model := s.all(wireErrorsOf), s.all(modelErrorsOf)
		failed := 0
		for _, one := range s {
			if one.Error != "" {
				failed++
			}
		}
		cells := []string{
			t.name, fmt.Sprint(len(s)),
			cell("%.3f", median(s.each(wallOf))), cell("%.3f", quantile(s.each(wallOf), 0.95)),
			cell("%.0f", median(s.each(packetsOf))), cell("%.0f", median(s.each(targetSYNsOf))),
			cell("%.2f", 100*s.foundShare()), cell("%.0f", sum(s.each(findableOf))-sum(s.each(foundOf))),
			cell("%.0f", sum(s.each(wrongOf))),
			cell("%.1f", median(wire)), cell("%.0f", quantile(wire, 0.99)), cell("%.0f", median(model)),
			cell("%.1f", 1e3*median(s.each(cpuOf))), cell("%.0f", 1e6*s.cpuPerProbe()),
			cell("%.2f", 1e3*median(s.measured(firstOf))), cell("%.1f", largest(s.measured(peakOf))),
			fmt.Sprint(failed),
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t")+"\t")
	}
	tw.Flush()
}

func cell(format string, v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}
