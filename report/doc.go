// Package report shows a trace to people and programs.
//
// The rule of this room: a report listens to results and writes; it opens nothing, looks nothing up and decides
// nothing. Whatever comes from the network passes through [Printable] before it reaches a terminal.
package report
