// Package trace finds the path that a TCP connection takes: a [Plan] decides which probe to send, [Run] owns time and
// I/O, and everyone else listens to one event, the [Result].
//
// The rule of this room: a plan is pure. It never blocks, sleeps, sends or reads a clock; it is asked what to do next
// ([Plan.Next]) and told what became of what it asked for ([Plan.Learn]). One probe at a time, side by side, and many
// paths at once are plans for the same engine. The engine sends, receives, matches and lets probes expire; it blocks
// only on channels and timers, so testing/synctest runs it under virtual time.
//
// Most programs want [Find], which traces one path from beginning to end:
//
//	conn, err := wire.Open(wire.Options{})
//	...
//	source, err := conn.Source(target)
//	...
//	found, err := trace.Find(ctx, conn, trace.PathOptions{Source: source, Target: target})
//	...
//	for hop := range found.Hops() {
//		for _, r := range hop.Probes {
//			fmt.Println(hop.TTL, r.From(), r.RTT())
//		}
//	}
//
// To see results as they arrive, call [Run] with a [Path]. To trace many paths over one connection, combine their plans
// with [NewGroup]; a [Pace] limits how fast their probes leave together.
//
// # Concurrency and cancellation
//
// A run has the goroutine that called it, which sends, asks the plan and hands out results, and one more, which
// receives. Both have ended when Run returns. It returns soon after its context ends, with the context's cause as the
// error, and probes that were in flight then are [Unknown], not lost. A connection has one run at a time, a plan is
// used for one run, and plans and traces belong to one goroutine at a time; emit and [Options.Observe] are called by
// that of the run, which they hold up for as long as they take. Runs that have nothing in common may go side by side.
//
// # What is believed
//
// An answer is believed only when it proves that it is one: it must bring back the flow's random 32-bit initial
// sequence number, and it counts for one probe. Everything else is counted ([Counts]) and can be watched
// ([Options.Observe]).
package trace
