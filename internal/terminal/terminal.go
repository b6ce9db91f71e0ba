// Package terminal is what a program has to do with its terminal, and with the signals that come from there: it ends
// wherever it may be blocked and leaves the terminal whole, it stops and goes on with its job, and it shows on one line
// what it waits for.
package terminal

import (
	"io"
	"os"
)

// Columns is how wide a terminal is that doesn't know it.
const Columns = 80

// Width returns how wide the terminal is that w is; 0 if it is none, or one that can do nothing but print.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if term := os.Getenv("TERM"); !ok || term == "" || term == "dumb" {
		return 0
	}
	return widthOf(f)
}

// Is reports whether w is a terminal, however little it can do.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && widthOf(f) > 0
}
