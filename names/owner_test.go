//go:build amd64 || arm64 || riscv64

// The maker of the MMDB format has a writer that does not compile for 32 bits.

package names

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"golang.org/x/net/dns/dnsmessage"
)

// writeDatabase writes an MMDB file with these networks, by the maker of the format's own writer.
func writeDatabase(t testing.TB, path, kind string, networks map[string]mmdbtype.Map) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, value := range networks {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, value); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func openDatabase(t testing.TB, path string) *Database {
	t.Helper()
	d, err := OpenDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// The records as the files of MaxMind, DB-IP and IPinfo have them, and some that no file should have.
func TestDatabase(t *testing.T) {
	text := func(s string) mmdbtype.String { return mmdbtype.String(s) }
	for _, tt := range []struct {
		name   string
		record mmdbtype.Map
		want   Owner
	}{
		{"GeoLite2-ASN, DBIP-ASN-Lite", mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(13335), "autonomous_system_organization": text("CLOUDFLARENET")}, Owner{13335, "CLOUDFLARENET", ""}},
		{"GeoLite2-Country", mmdbtype.Map{"country": mmdbtype.Map{"iso_code": text("US"), "names": mmdbtype.Map{"en": text("United States")}}}, Owner{Country: "US"}},
		{"registered only", mmdbtype.Map{"registered_country": mmdbtype.Map{"iso_code": text("DE")}}, Owner{Country: "DE"}},
		{"IPinfo Lite", mmdbtype.Map{"asn": text("AS15169"), "as_name": text("Google LLC"), "as_domain": text("google.com"), "country": text("United States"), "country_code": text("US")}, Owner{15169, "Google LLC", "US"}},
		{"IPinfo country_asn", mmdbtype.Map{"asn": text("AS15169"), "as_name": text("Google LLC"), "country": text("US"), "country_name": text("United States")}, Owner{15169, "Google LLC", "US"}},
		{"IPinfo asn", mmdbtype.Map{"asn": text("AS15169"), "name": text("Google LLC"), "domain": text("google.com")}, Owner{15169, "Google LLC", ""}},
		{"nothing of it", mmdbtype.Map{"what": text("ever")}, Owner{}},
		{"wrong types", mmdbtype.Map{"autonomous_system_number": text("13335"), "autonomous_system_organization": mmdbtype.Uint32(9), "country": mmdbtype.Uint16(1), "asn": mmdbtype.Bool(true)}, Owner{}},
		{"wrong values", mmdbtype.Map{"asn": text("ASX"), "country": text("us"), "country_code": text("USA")}, Owner{}},
		{"an AS of 0", mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(0), "autonomous_system_organization": text("x")}, Owner{}},
		{"a long name", mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(1), "autonomous_system_organization": text(strings.Repeat("x", 4096))}, Owner{1, strings.Repeat("x", 255), ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDatabase(t, writeDatabase(t, filepath.Join(t.TempDir(), "x.mmdb"), tt.name, map[string]mmdbtype.Map{"198.18.0.0/16": tt.record, "2001:db8::/32": tt.record}))
			for _, a := range []string{"198.18.1.2", "::ffff:198.18.1.2", "2001:db8::1", "2001:db8::1%eth0"} {
				if got, ok := d.Owner(netip.MustParseAddr(a)); got != tt.want || ok != (tt.want != Owner{}) {
					t.Errorf("%s: %+v %v, want %+v", a, got, ok, tt.want)
				}
			}
			if got, ok := d.Owner(netip.MustParseAddr("198.19.0.1")); ok {
				t.Errorf("not in it: %+v", got)
			}
			if got, ok := d.Owner(netip.Addr{}); ok {
				t.Errorf("no address: %+v", got)
			}
		})
	}
}

func TestBadDatabase(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, err := os.ReadFile(writeDatabase(t, filepath.Join(dir, "whole"), "x", map[string]mmdbtype.Map{"198.18.0.0/16": {"asn": mmdbtype.String("AS1")}}))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory",
		dir:                        "is a directory",
		write("empty", ""):         "not an MMDB file",
		write("text", "hello"):     "not an MMDB file",
		write("half", string(whole[:len(whole)/2])):          "not an MMDB file",
		write("metadata", "\xab\xcd\xefMaxMind.com\xff\xff"): "not an MMDB file",
	} {
		d, err := OpenDatabase(path)
		if err == nil {
			d.Close()
			t.Errorf("%s: no error", path)
			continue
		}
		if !strings.HasPrefix(err.Error(), "database "+path+": "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// Damage behind the tree is found when it is read, and then there is just no answer.
	for i := range len(whole) - 200 {
		b := slices.Clone(whole)
		b[i] ^= 0xff
		if d, err := OpenDatabase(write("damaged", string(b))); err == nil {
			d.Owner(netip.MustParseAddr("198.18.1.2"))
			d.Close()
		}
	}
}

func TestFindDatabases(t *testing.T) {
	system, home := t.TempDir(), t.TempDir()
	for _, f := range []string{
		system + "/GeoLite2-Country.mmdb", system + "/dbip-asn-lite-2026-09.mmdb", system + "/dbip-asn-lite-2026-10.mmdb",
		system + "/dbip-city-lite-2026-10.mmdb", system + "/GeoLite2-ASN.mmdb.old", system + "/other.mmdb",
		home + "/GeoLite2-ASN.mmdb", home + "/GeoLite2-Country.mmdb", home + "/ipinfo_lite.mmdb",
	} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{home + "/GeoLite2-ASN.mmdb", system + "/dbip-asn-lite-2026-10.mmdb", home + "/ipinfo_lite.mmdb", system + "/GeoLite2-Country.mmdb"}
	if got := findDatabases([]string{"/nonexistent", system, home}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := findDatabases(nil); got != nil {
		t.Errorf("%q", got)
	}
	// What is below a home that isn't one is not looked at.
	for _, home := range []string{"", ".", "relative"} {
		for _, f := range FindDatabases(home) {
			if !filepath.IsAbs(f) {
				t.Errorf("home %q: %s", home, f)
			}
		}
	}
}

// cymru answers like Team Cymru's zones, and writes down what it was asked.
type cymru struct {
	mu      sync.Mutex
	records map[string][]string
	asked   []string
}

func (c *cymru) lookup(_ context.Context, name string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, name)
	return c.records[name], nil
}

const (
	oneOne  = "1.1.1.1.origin.asn.cymru.com."
	sixName = "1.1.1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.4.6.0.6.2.origin6.asn.cymru.com."
)

func TestOwnerByDNS(t *testing.T) {
	c := &cymru{records: map[string][]string{
		oneOne:                          {"13335 | 1.1.1.0/24 | AU | apnic | 2011-08-11"},
		sixName:                         {"13335 | 2606:4700::/47 | US | arin | 2011-11-01"},
		"AS13335.asn.cymru.com.":        {"13335 | US | arin | 2010-07-14 | CLOUDFLARENET, US"},
		"9.9.9.9.origin.asn.cymru.com.": {"19281 | 9.9.9.0/24 | | arin | "},
	}}
	r := New(Options{Policy: Never, Budget: time.Minute, OwnerDNS: true, LookupTXT: c.lookup})
	defer r.Close()
	for a, want := range map[string]Owner{
		"1.1.1.1": {13335, "CLOUDFLARENET", "AU"}, "::ffff:1.1.1.1": {13335, "CLOUDFLARENET", "AU"},
		"2606:4700::1111": {13335, "CLOUDFLARENET", "US"}, "9.9.9.9": {19281, "", ""}, "8.8.8.8": {},
	} {
		r.StartOwner(netip.MustParseAddr(a))
		if got, ok := r.Owner(t.Context(), netip.MustParseAddr(a)); got != want || ok != (want != Owner{}) {
			t.Errorf("%s: %+v %v, want %+v", a, got, ok, want)
		}
	}
	seen := map[string]bool{}
	for _, name := range c.asked {
		if seen[name] {
			t.Errorf("%s was asked twice", name)
		}
		seen[name] = true
	}
	if name := r.Name(t.Context(), netip.MustParseAddr("1.1.1.1")); name != "" {
		t.Errorf("the name was looked up: %q", name)
	}
}

// Nobody learns which private addresses are on the path, and nobody is asked unless the user says so.
func TestOwnersAreNotAskedFor(t *testing.T) {
	private := []string{
		"10.0.0.1", "172.16.0.1", "172.31.255.1", "192.168.1.1", "169.254.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "0.0.0.0",
		"224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fdff::1", "ff02::1", "::ffff:10.0.0.1",
	}
	for _, tt := range []struct {
		dns   bool
		addrs []string
	}{{true, private}, {false, append(private, "1.1.1.1", "2606:4700::1111")}} {
		c := new(cymru)
		r := New(Options{Policy: All, OwnerDNS: tt.dns, LookupTXT: c.lookup})
		for _, a := range tt.addrs {
			r.StartOwner(netip.MustParseAddr(a))
			if o, ok := r.Owner(t.Context(), netip.MustParseAddr(a)); ok {
				t.Errorf("%s: %+v", a, o)
			}
		}
		r.Close()
		if len(c.asked) > 0 {
			t.Errorf("DNS %v: asked for %q", tt.dns, c.asked)
		}
	}
	for _, a := range []string{"1.1.1.1", "100.63.255.255", "100.128.0.1", "198.18.0.1", "2606:4700::1111", "172.32.0.1"} {
		if !public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
}

// The databases come first, one completes another, and the DNS is asked for the rest only.
func TestOwnerFromSeveral(t *testing.T) {
	dir := t.TempDir()
	asn := openDatabase(t, writeDatabase(t, dir+"/asn", "x", map[string]mmdbtype.Map{
		"1.1.1.0/24": {"autonomous_system_number": mmdbtype.Uint32(1), "autonomous_system_organization": mmdbtype.String("ONE")},
	}))
	place := openDatabase(t, writeDatabase(t, dir+"/country", "x", map[string]mmdbtype.Map{
		"1.1.1.0/24": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("AU")}},
		"8.8.8.0/24": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("CH")}},
		"9.9.9.0/24": {"asn": mmdbtype.String("AS9"), "name": mmdbtype.String("NINE")},
	}))
	c := &cymru{records: map[string][]string{
		"8.8.8.8.origin.asn.cymru.com.": {"15169 | 8.8.8.0/24 | US | arin | "}, "AS15169.asn.cymru.com.": {"15169 | US | arin | | GOOGLE, US"},
	}}
	r := New(Options{Budget: time.Minute, OwnerDNS: true, LookupTXT: c.lookup, Databases: []*Database{asn, place}})
	defer r.Close()
	for a, want := range map[string]Owner{"1.1.1.1": {1, "ONE", "AU"}, "9.9.9.9": {9, "NINE", ""}, "8.8.8.8": {15169, "GOOGLE", "CH"}} {
		r.StartOwner(netip.MustParseAddr(a))
		if got, ok := r.Owner(t.Context(), netip.MustParseAddr(a)); got != want || !ok {
			t.Errorf("%s: %+v %v, want %+v", a, got, ok, want)
		}
	}
	slices.Sort(c.asked)
	if want := []string{"8.8.8.8.origin.asn.cymru.com.", "AS15169.asn.cymru.com."}; !slices.Equal(c.asked, want) {
		t.Errorf("asked for %q, want %q", c.asked, want)
	}
}

// Owners and names have one budget: a dead resolver costs it once.
func TestOwnersShareTheBudget(t *testing.T) {
	silent := func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() }
	r := New(Options{Policy: All, Budget: 50 * time.Millisecond, OwnerDNS: true, LookupAddr: silent, LookupTXT: silent})
	defer r.Close()
	if _, ok := r.Owner(t.Context(), addr(1)); ok {
		t.Error("an owner from nowhere")
	}
	if r.budget.left > 0 {
		t.Errorf("%v of the budget are left", r.budget.left)
	}
	if name := r.Name(t.Context(), addr(1)); name != "" {
		t.Errorf("name %q", name)
	}
}

// Through the system's resolver, with a server that says what it likes.
func TestOwnerOverDNS(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, tt := range []struct {
		what   string
		origin []rr
		as     []rr
		want   Owner
	}{
		{"as it should be", []rr{txt("13335 | 1.1.1.0/24 | AU | apnic | 2011-08-11")}, []rr{txt("13335 | US | arin | 2010-07-14 | CLOUDFLARENET, US")}, Owner{13335, "CLOUDFLARENET", "AU"}},
		{"in pieces", []rr{txt("13335 | 1.1", ".1.0/24 | AU | apnic |")}, []rr{txt("13335 | US | arin | | CLOUD", "FLARENET, US")}, Owner{13335, "CLOUDFLARENET", "AU"}},
		{"two prefixes", []rr{txt("1 | 1.0.0.0/8 | AU | apnic |"), txt("2 3 | 1.1.1.0/24 | NZ | apnic |"), txt("4 | 1.1.0.0/16 | AU | apnic |")}, nil, Owner{ASN: 2, Country: "NZ"}},
		{"escape sequences", []rr{txt("13335 | 1.1.1.0/24 | \x1b[ | apnic |")}, []rr{txt("1 | US | arin | | \x1b]0;owned\a")}, Owner{13335, "\x1b]0;owned\a", ""}},
		{"bars in a name", []rr{txt("13335 | 1.1.1.0/24 | AU | apnic |")}, []rr{txt("1 | US | arin | | A|B, US")}, Owner{13335, "A|B", "AU"}},
		{"long", []rr{txt("13335 | 1.1.1.0/24 | AU | apnic |")}, []rr{txt("1 | US | arin | |"+long[:200], long, long)}, Owner{13335, long, "AU"}},
		{"nonsense", []rr{txt(""), txt("|||||"), txt("x | y | z"), txt("13335"), txt("99999999999 | 1.1.1.0/24 | AU")}, nil, Owner{}},
		{"no record", nil, nil, Owner{}},
		{"AS 0", []rr{txt("0 | 1.1.1.0/24 | AU | apnic |")}, nil, Owner{}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newNameServer(t, func(id uint16, q dnsmessage.Question, _ bool) []byte {
				if q.Type != dnsmessage.TypeTXT {
					t.Errorf("asked for %v %v", q.Type, q.Name)
				}
				switch name := q.Name.String(); {
				case name == oneOne:
					return reply(id, q, dnsmessage.Header{}, tt.origin...)
				case name == fmt.Sprintf("AS%d%s", tt.want.ASN, asZone):
					return reply(id, q, dnsmessage.Header{}, tt.as...)
				default:
					t.Errorf("asked for %s", name)
				}
				return nil
			})
			r := New(Options{Budget: time.Minute, OwnerDNS: true, Dial: s.dial})
			defer r.Close()
			if got, _ := r.Owner(t.Context(), netip.MustParseAddr("1.1.1.1")); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// txt encodes the data of a TXT record of these strings.
func txt(parts ...string) rr {
	var data rr
	for _, p := range parts {
		data = append(append(data, byte(len(p))), p...)
	}
	return data
}

// Whatever the records say, the answer is bounded, and a country is two letters.
func FuzzOwnerRecords(f *testing.F) {
	f.Add("13335 | 1.1.1.0/24 | AU | apnic | 2011-08-11", "13335 | US | arin | 2010-07-14 | CLOUDFLARENET, US")
	f.Add("1 2 3 | 2606:4700::/32 | | |", "1|US|||, US")
	f.Add("|", "||||"+strings.Repeat("x", 600))
	f.Fuzz(func(t *testing.T, a, b string) {
		asn, where := origin([]string{a, b})
		name := asName([]string{b, a})
		if where != "" && (len(where) != 2 || where < "AA" || where > "ZZ") || asn == 0 && where != "" || len(name) > maxName {
			t.Errorf("%d %q %q", asn, where, name)
		}
	})
}
