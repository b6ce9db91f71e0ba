package record

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// ASCII is JSON with everything in its strings that isn't printable ASCII escaped: it means the same, and says
// nothing to a terminal.
func ASCII(b []byte) []byte {
	plain := true
	for _, c := range b {
		plain = plain && c < 0x7f
	}
	if plain {
		return b
	}
	safe := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		if b[0] < 0x7f {
			safe = append(safe, b[0])
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, hi, lo)
		} else {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
	}
	return safe
}
