package report

import (
	"go.example/tcptraceroute/record"
	"net/netip"
	"strings"
	"testing"
)

func TestOwnerString(t *testing.T) {
	for _, tt := range []struct {
		o    record.Owner
		want string
	}{
		{record.Owner{}, "*"},
		{record.Owner{ASN: 13335, Name: "CLOUDFLARENET", Country: "US"}, "AS13335 CLOUDFLARENET, US"},
		{record.Owner{ASN: 4294967295}, "AS4294967295"},
		{record.Owner{ASN: 1, Country: "DE"}, "AS1, DE"},
		{record.Owner{Country: "DE"}, "*, DE"},
		{record.Owner{ASN: 1, Name: "a] [open] \x1b[31m"}, `AS1 a) (open) \x1b(31m`},
		{record.Owner{ASN: 1, Name: "x", Country: "\n"}, `AS1 x, \n`},
		{record.Owner{ASN: 1, Name: strings.Repeat("x", 255)}, "AS1 " + strings.Repeat("x", 64) + "..."},
	} {
		if got := tt.o.String(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.o, got, tt.want)
		}
	}
}

// As traceroute -A has it: behind the address, in brackets, each responder its own.
func TestOwnersShown(t *testing.T) {
	o := ClassicOptions{
		Name: func(a netip.Addr) string { return map[netip.Addr]string{routerA: "gw.example"}[a] },
		Owner: func(a netip.Addr) (record.Owner, bool) {
			o, ok := map[netip.Addr]record.Owner{routerA: {ASN: 64500, Name: "EXAMPLE", Country: "DE"}, target.Addr(): {ASN: 64501}}[a]
			return o, ok
		},
	}
	const want = ` 1  gw.example (198.18.1.2) [AS64500 EXAMPLE, DE]  T ms  T ms
    198.18.1.3 [*]  T ms
 2  * 198.18.3.2 [AS64501] [open] T ms  T ms
`
	if got := mask(classic(t, 3, o, script(t, "A A B", "* o o"))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
