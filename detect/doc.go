// Package detect says what the answers of a trace mean: what happened to the packet, where, and how sure that is.
//
// The rule of this room: evidence in, findings out. Findings is a pure function: it does no I/O, reads no clock and
// changes nothing, so that the same trace always says the same. Nothing is told that the answers don't show; where they
// fit two explanations, a finding says Possible and names both.
//
// Each family of findings has a file of its own, and a table of scenarios of that name in testdata. A new finding takes
// a Code in codes.go, a function in its family, a section in docs/findings.md, and three scenarios: one that it is
// right in, and two that look like it and aren't. The tests say which of these is missing.
package detect
