// Package export writes a trace in the forms that others have made: tables, and the results of other tools, so that
// what reads those reads ours unchanged.
//
// The rule of this room: a form is its maker's. What it has no place for is left out; the JSON of package record has
// it.
package export
