package record

import (
	"strconv"
	"unicode/utf8"
)

// Printable makes text from the network safe for a terminal: what is not printable ASCII is shown escaped, as in a Go
// string, so that nothing can move the cursor, colour the screen or look like another name.
func Printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return escape(s)
		}
	}
	return s
}

// Escaped is Printable without its one ambiguity: here a backslash always begins an escape, so that a program can
// undo it (strconv.Unquote, where there is a backslash in it).
func Escaped(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return escape(s)
		}
	}
	return s
}

func escape(s string) string {
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}

// UTF8 is text for a format that holds any text but not any bytes: where it isn't UTF-8 it comes escaped.
func UTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return escape(s)
}
