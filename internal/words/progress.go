package words

import (
	"fmt"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Preparing says what is done before a measurement; "": nothing worth a line.
func Preparing(x measure.Progress) string {
	switch {
	case x.Stage == measure.Routed && x.Elsewhere != "":
		return fmt.Sprintf("Warning: a routing rule that looks at ports sends such connections by %s; the probes go by %s",
			record.Printable(x.Elsewhere), record.Printable(x.Interface))
	case x.Stage == measure.Routed && len(x.OtherSources) > 0:
		return "This host has several ways out: connections from other source ports leave from " +
			report.Addresses(x.OtherSources) + ". Their paths are found by -s ADDRESS"
	case x.Stage == measure.Overhearing:
		return "Waiting for a packet of the connection in each direction, 10 s at the most"
	case x.Stage == measure.NoSession:
		return fmt.Sprintf("No connection to probe in (%s): probing by SYNs", record.Printable(x.Err.Error()))
	}
	return ""
}

// bySYNs is how the MTU is measured where there is no connection.
const bySYNs = "measuring the MTU by SYNs with a payload, which may not pass"

// Remapped says when all paths were searched for again because a flow took another one than was found; "": never.
func Remapped(at []time.Time) string {
	if len(at) == 0 {
		return ""
	}
	times := at[len(at)-1].Format("at 15:04:05")
	if n := len(at); n > 1 {
		times = fmt.Sprintf("%d times, last %s", n, times)
	}
	return fmt.Sprintf("Remapped %s: a flow took another path than before; the figures are of the time since", times)
}

// Progress says what a trace does beside tracing; "": nothing worth a line. o is the trace's.
func Progress(x measure.Progress, o trace.PathOptions) string {
	switch x.Stage {
	case measure.NoSession:
		return fmt.Sprintf("No connection to probe in (%s): %s", record.Printable(x.Err.Error()), bySYNs)
	case measure.SessionLost:
		how := bySYNs
		if !x.ForMTU {
			how = fmt.Sprintf("probing by SYNs from port %d", o.Source.Port())
		}
		return fmt.Sprintf("The connection can't be probed in (%s): %s", record.Printable(x.Err.Error()), how)
	case measure.SearchingPaths:
		return fmt.Sprintf("Searching for more paths by %d flows at the most, for a minute at the most", x.Most)
	case measure.MeasuringPaths:
		return fmt.Sprintf("Measuring loss by %d probes, %d at the most, none to the target, for a minute at the most",
			x.Least, x.Most)
	case measure.WatchingPaths:
		moved := ""
		if !x.Moved.IsZero() {
			moved = x.Moved.Format(" (remapped at 15:04:05)")
		}
		return fmt.Sprintf("Watching %d paths%s: in each round %d probes, %d of them SYNs to the target",
			len(x.Watched.Ways()), moved, x.Watched.Probes(), x.Watched.TargetSYNs())
	case measure.PathsMoved:
		return "Remapped: a flow takes another path than before; searching again"
	case measure.SizingPaths:
		return fmt.Sprintf("Measuring the MTU of %d paths, by SYNs with a payload to their last routers, none to the target",
			x.Most)
	case measure.Connecting:
		return fmt.Sprintf("Asking this host for an ordinary connection too, which the target's program doesn't see: "+
			"up to %d SYNs", x.Most)
	case measure.Announcing:
		return report.Questions(x.Questions, x.Most, o)
	}
	return ""
}

// Awaited is what is waited for in a stage, asked probes after its begin; "": nothing.
func Awaited(stage measure.Stage, asked int) string {
	switch stage {
	case measure.Awaiting:
		return "waiting for an ordinary connection"
	case measure.AwaitingAgain:
		return "waiting for a second ordinary connection"
	case measure.Asking:
		return fmt.Sprintf("asking further, %d probes so far", asked)
	}
	return ""
}

// NoSourcePort is the error for a path that no source port is sure to take.
func NoSourcePort(path int, v6 bool) error {
	if v6 {
		return fmt.Errorf("No source port takes path %d for sure: a router on the way may look at the flow label, which the "+
			"kernel draws anew for each connection", path)
	}
	return fmt.Errorf("No source port takes path %d for sure: a second trace of each one tried did not meet its routers",
		path)
}
