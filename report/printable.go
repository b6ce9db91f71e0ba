package report

import "strconv"

// Printable makes text from the network safe for a terminal: what is not printable ASCII is shown escaped, as in a Go
// string, so that nothing can move the cursor, colour the screen or look like another name.
func Printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			q := strconv.QuoteToASCII(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}
