// Package trace finds the path that a TCP connection takes: a [Plan] decides which probe to send, [Run] owns time and
// I/O, and everyone else listens to one event, the [Result].
//
// The rule of this room: a plan is pure. It never blocks, sleeps, sends or reads a clock; it is asked what to do next
// ([Plan.Next]) and told what became of what it asked for ([Plan.Learn]). One probe at a time, side by side, and many
// paths at once are plans for the same engine. The engine sends, receives, matches and lets probes expire; it blocks only
// on channels and timers, so testing/synctest runs it under virtual time.
//
// An answer is believed only when it proves that it is one: it must bring back the flow's random 32-bit initial sequence
// number, and it counts for one probe. Everything else is counted ([Counts]) and can be watched ([Options.Observe]).
package trace
