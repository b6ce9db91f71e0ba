package names

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// lookupProfile maps what people type (RFC 5895: capitals, wide letters and dots) and allows underscores, which names
// that are in use have.
var lookupProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(false))

// ASCII returns the form of a name that the DNS knows (RFC 5891): xn--bcher-kva.example for bücher.example. A name of
// ASCII characters alone is returned as it is.
func ASCII(name string) (string, error) {
	ascii := true
	for i := range len(name) {
		ascii = ascii && name[i] < 0x80
	}
	if ascii {
		return name, nil
	}
	if !utf8.ValidString(name) {
		return "", errors.New("not UTF-8")
	}
	s, err := lookupProfile.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("no name of the DNS: %w", err)
	}
	return s, nil
}
