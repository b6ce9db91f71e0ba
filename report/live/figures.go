package live

import (
	"fmt"
	"strconv"
	"time"

	"go.example/tcptraceroute/trace"
)

// ms is a time in milliseconds with three digits that count, in five columns at the most.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v < 0.9995:
		return fmt.Sprintf("%.3f", v)
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// percent is a share of 0 to 1, in five columns at the most. What is not all, or not nothing, doesn't look so.
func percent(share float64) string {
	switch p := 100 * share; {
	case p == 0:
		return "0%"
	case p == 100:
		return "100%"
	case p < 0.1:
		return "<0.1%"
	case p >= 99.95:
		return "99.9%"
	default:
		return fmt.Sprintf("%.1f%%", p)
	}
}

// number is a count in five columns at the most.
func number(n int) string {
	switch {
	case n < 100_000:
		return strconv.Itoa(n)
	case n < 10_000_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprintf("%dM", n/1_000_000)
}

// span is a duration as people say it: "1 s", "0.1 s", "3 m 20 s".
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %02d h", int(d.Hours())/24, int(d.Hours())%24)
}

// column is one figure of the table.
type column struct {
	name  string
	width int
	rank  int // the lower, the longer it stays when the terminal is narrow
	text  func(h *trace.HopStats) string
}

// columns are all there are, in the order of the table.
func columns() []column {
	of := func(f func(h *trace.HopStats) time.Duration) func(h *trace.HopStats) string {
		return func(h *trace.HopStats) string {
			if h.Received == 0 {
				return ""
			}
			return ms(f(h))
		}
	}
	return []column{
		{"Loss", 6, 0, func(h *trace.HopStats) string {
			if h.Sent() == 0 {
				return ""
			}
			return percent(h.Loss())
		}},
		{"Snt", 6, 5, func(h *trace.HopStats) string { return number(h.Sent()) }},
		{"Last", 6, 1, of(func(h *trace.HopStats) time.Duration { return h.Last })},
		{"Avg", 6, 2, of((*trace.HopStats).Average)},
		{"Best", 6, 4, of(func(h *trace.HopStats) time.Duration { return h.Best })},
		{"Wrst", 6, 3, of(func(h *trace.HopStats) time.Duration { return h.Worst })},
		{"StDev", 6, 6, of((*trace.HopStats).Deviation)},
		{"Jttr", 6, 7, of(func(h *trace.HopStats) time.Duration { return h.Jitter })},
	}
}

// choose is which columns a table of this width has, where the host and the history need so much.
func choose(width, host, history int) []column {
	left := width - host - history
	all := columns()
	taken := make([]bool, len(all))
	for rank := range all {
		for i, c := range all {
			if c.rank == rank && c.width <= left {
				taken[i] = true
				left -= c.width
			}
		}
	}
	var chosen []column
	for i, c := range all {
		if taken[i] {
			chosen = append(chosen, c)
		}
	}
	return chosen
}
