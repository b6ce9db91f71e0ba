package record

import (
	"fmt"
	"strings"
)

// mostOwner is how much of an AS's name is shown.
const mostOwner = 64

// String is the owner as people know it from traceroute -A and looking glasses, without the brackets: "AS13335
// CLOUDFLARENET, US". What isn't known is left out; "*": nothing is. The names come from the network: it is plain ASCII
// and has no brackets.
func (o Owner) String() string {
	s := "*"
	if o.ASN != 0 {
		s = fmt.Sprintf("AS%d", o.ASN)
	}
	if o.Name != "" {
		name := strings.NewReplacer("[", "(", "]", ")").Replace(Printable(o.Name))
		if len(name) > mostOwner {
			name = name[:mostOwner] + "..."
		}
		s += " " + name
	}
	if o.Country != "" {
		s += ", " + Printable(o.Country)
	}
	return s
}
