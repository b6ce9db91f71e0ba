package targets

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// lines reads a list, each target as HOST PORT LINE and each bad line as its error.
func lines(t *testing.T, list string) (all []string) {
	t.Helper()
	o := Options{Default: 80, Rand: rand.New(rand.NewPCG(1, 2))}
	for target, err := range Read(strings.NewReader(list), "list", o) {
		switch {
		case err != nil:
			all = append(all, err.Error())
		case target.Addr.IsValid() && target.Addr.String() != target.Host:
			t.Errorf("%s has the address %v", target.Host, target.Addr)
		case target.Addr.IsValid():
			all = append(all, fmt.Sprintf("%s %d line %d", target.Host, target.Port, target.Line))
		default:
			all = append(all, fmt.Sprintf("name %s %d line %d", target.Host, target.Port, target.Line))
		}
	}
	return all
}

// bad are errors about every second line of a list.
func bad(n int, text string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("list:%d: %s", 1+2*i, text))
	}
	return all
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		list string
		want []string
	}{
		{"", nil},
		{"\n\r\n  \t \n# all of it a comment\n", nil},
		{"192.0.2.1", []string{"192.0.2.1 80 line 1"}},
		{"\ufeff192.0.2.1\r\n\r\n192.0.2.2 443 # why\r\n", []string{"192.0.2.1 80 line 1", "192.0.2.2 443 line 3"}},
		{"192.0.2.1:443\n[2001:db8::1]:22\n2001:db8::1\n[2001:db8::1]\n[2001:db8::1] 25", []string{"192.0.2.1 443 line 1",
			"2001:db8::1 22 line 2", "2001:db8::1 80 line 3", "2001:db8::1 80 line 4", "2001:db8::1 25 line 5"}},
		{"www.example.com\nwww.example.com:443\nbücher.example 443", []string{"name www.example.com 80 line 1",
			"name www.example.com 443 line 2", "name bücher.example 443 line 3"}},
		{"::ffff:192.0.2.1", []string{"192.0.2.1 80 line 1"}},
		{"fe80::1%eth0 22", []string{"fe80::1%eth0 22 line 1"}},
		{"192.0.2.7/32 1", []string{"192.0.2.7 1 line 1"}},
		{"two-words.example-1", []string{"name two-words.example-1 80 line 1"}},
		{"10-0-0-1\n10.0.1-9.1\n10.0.0-1.1-254", []string{"name 10-0-0-1 80 line 1",
			"list:2: a range is two addresses, as in 10.0.0.1-10.0.0.9: 10.0.1-9.1",
			"list:3: a range is two addresses, as in 10.0.0.1-10.0.0.9: 10.0.0-1.1-254"}},
		{"a b c", []string{"list:1: after host and port nothing may follow: c"}},
		{"192.0.2.1:443 80", []string{"list:1: two ports: 443 and 80"}},
		{"192.0.2.1:443 443", []string{"192.0.2.1 443 line 1"}},
		{"192.0.2.1:http", []string{"list:1: a port is a number from 0 to 65535: http"}},
		{"192.0.2.1 65536", []string{"list:1: a port is a number from 0 to 65535: 65536"}},
		{"192.0.2.1:\n:80", []string{"list:1: no port follows the colon", "list:2: no host precedes the colon"}},
		{"[192.0.2.1]:80\n[2001:db8::1\n[2001:db8::1]80", slices.Repeat([]string{""}, 3)},
		{"192.0.2.256\n1.2.3\n7", []string{"list:1: not an IPv4 address: 192.0.2.256", "list:2: not an IPv4 address: 1.2.3",
			"list:3: not an IPv4 address: 7"}},
		{"2001:db8::1::2", []string{"list:1: not an IPv6 address: 2001:db8::1::2"}},
		{"https://www.example.com/", []string{"list:1: a URL is no target: give host and port"}},
		{"10.0.0.0/33\nwww.example.com/24", []string{"list:1: not a network (as 10.0.0.0/28 is): 10.0.0.0/33",
			"list:2: not a network (as 10.0.0.0/28 is): www.example.com/24"}},
		{"{\"a\": 1}\n}\n[\na<b\n\"x\",\n_sip._tcp.example\nfe80::1%eth0", []string{
			"list:1: this looks like JSON; a list has a target per line: HOST PORT",
			"list:2: this looks like JSON; a list has a target per line: HOST PORT",
			"list:3: brackets are for an IPv6 address, as in [2001:db8::1]:443", "list:4: not a name: a<b (it has '<')",
			"list:5: not a name: \"x\", (it has '\"')", "name _sip._tcp.example 80 line 6", "fe80::1%eth0 80 line 7"}},
		{strings.Repeat("{\n#\n", 20), append(bad(10, "this looks like JSON; a list has a target per line: HOST PORT"),
			"list doesn't look like a list of targets: none of its first 10 entries can be read, so the rest is left out")},
		{"192.0.2.1\n\n" + strings.Repeat("{\n\n", 11), append([]string{"192.0.2.1 80 line 1"},
			bad(12, "this looks like JSON; a list has a target per line: HOST PORT")[1:]...)},
		{"10.0.0.0/15", []string{"list:1: more than 65536 addresses: 10.0.0.0/15"}},
		{"2001:db8::/64", []string{"list:1: more than 65536 addresses: 2001:db8::/64"}},
		{"10.0.0.9-10.0.0.1\n10.0.0.1-5\n10.0.0.1-2001:db8::1", slices.Repeat([]string{""}, 3)},
		{"a\x00b\na\x1bb\n\xff", []string{"list:1: a control character", "list:2: a control character", "list:3: not UTF-8"}},
		{strings.Repeat("x", 1025) + "\n192.0.2.1", []string{"list:1: longer than 1024 bytes", "192.0.2.1 80 line 2"}},
		{strings.Repeat("x", 1<<20) + "\n192.0.2.1", []string{"list:1: longer than 1024 bytes", "192.0.2.1 80 line 2"}},
		{"192.0.2.1\n" + strings.Repeat("x", 2<<20) + "\n192.0.2.2", []string{"192.0.2.1 80 line 1",
			"list: no list of targets: a line has more than 1048576 bytes"}},
		{strings.Repeat("x", 5000) + "\n192.0.2.1", []string{"list:1: longer than 1024 bytes", "192.0.2.1 80 line 2"}},
		{"192.0.2.1#" + strings.Repeat("x", 1014) + "\r\n192.0.2.2", []string{"192.0.2.1 80 line 1", "192.0.2.2 80 line 2"}},
		{"192.0.2.1 # " + strings.Repeat("x", 3000), []string{"list:1: longer than 1024 bytes"}},
	} {
		got := lines(t, tt.list)
		if len(got) != len(tt.want) {
			t.Errorf("%q: %q", tt.list, got)
			continue
		}
		for i, want := range tt.want {
			if want == "" && strings.HasPrefix(got[i], fmt.Sprintf("list:%d: ", i+1)) {
				continue
			}
			if got[i] != want {
				t.Errorf("%q: %q, want %q", tt.list, got[i], want)
			}
		}
	}
}

// TestNetworks: every address of a network or a range is there once, and not in order.
func TestNetworks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		entry, first, last string
		n                  int
	}{
		{"10.0.1.77/24", "10.0.1.0", "10.0.1.255", 256},
		{"10.0.0.0/16", "10.0.0.0", "10.0.255.255", 65536},
		{"10.0.0.250-10.0.1.5", "10.0.0.250", "10.0.1.5", 12},
		{"255.255.255.0-255.255.255.255", "255.255.255.0", "255.255.255.255", 256},
		{"2001:db8::fff0/120", "2001:db8::ff00", "2001:db8::ffff", 256},
		{"2001:db8::fff0-2001:db8::1:5", "2001:db8::fff0", "2001:db8::1:5", 22},
		{"::ffff:10.0.0.0/124", "10.0.0.0", "10.0.0.15", 16},
	} {
		var got []netip.Addr
		for target, err := range Read(strings.NewReader(tt.entry), "list", Options{Rand: rand.New(rand.NewPCG(3, 4))}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, target.Addr)
		}
		sorted := slices.Compact(slices.SortedFunc(slices.Values(got), netip.Addr.Compare))
		if len(got) != tt.n || len(sorted) != tt.n || sorted[0].String() != tt.first || sorted[tt.n-1].String() != tt.last {
			t.Errorf("%s: %d addresses, %d different ones, from %v to %v", tt.entry, len(got), len(sorted), sorted[0],
				sorted[len(sorted)-1])
		}
		if slices.IsSortedFunc(got, netip.Addr.Compare) {
			t.Errorf("%s: in order", tt.entry)
		}
	}
}

// slowPipe yields a byte at a time, and counts them.
type slowPipe struct {
	text string
	read int
}

func (p *slowPipe) Read(b []byte) (int, error) {
	if p.read == len(p.text) {
		return 0, errors.New("the pipe broke")
	}
	b[0] = p.text[p.read]
	p.read++
	return 1, nil
}

// TestReadAsNeeded: a pipe is read no further than to the target that is wanted, and its error comes last.
func TestReadAsNeeded(t *testing.T) {
	t.Parallel()
	p := &slowPipe{text: "192.0.2.1\n192.0.2.2\n192.0.2.3\n"}
	n := 0
	for _, err := range Read(p, "pipe", Options{}) {
		n++
		if n <= 3 && (err != nil || p.read != n*len("192.0.2.1\n")) {
			t.Errorf("target %d: %v after %d bytes", n, err, p.read)
		}
		if n == 4 && (err == nil || err.Error() != "pipe: the pipe broke" || errors.As(err, new(*LineError))) {
			t.Errorf("the end: %v", err)
		}
	}
	if n != 4 {
		t.Errorf("%d targets and errors", n)
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	lookUp := func(host string) ([]netip.Addr, error) {
		if host == "mail.example" {
			return []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}, nil
		}
		return nil, errors.New("no such host")
	}
	var s Set
	if s.Has(netip.MustParseAddrPort("10.0.0.1:80")) || s.HasName("a.example", 80) {
		t.Error("an empty set has something")
	}
	const list = "10.0.0.0/8 # whole\n192.0.2.1:443\nmail.example\n2001:db8:1::/48\nfe80::1%eth0\n::ffff:198.51.100.0/120"
	if err := s.Exclude(strings.NewReader(list), "list", Options{}, lookUp); err != nil {
		t.Fatal(err)
	}
	if err := s.Exclude(strings.NewReader("203.0.113.1-203.0.113.9 22"), "more", Options{}, lookUp); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]bool{
		"10.0.0.0:1": true, "10.255.255.255:1": true, "11.0.0.0:1": false, "9.255.255.255:1": false,
		"[::ffff:10.1.1.1]:1": true, "192.0.2.1:443": true, "192.0.2.1:80": false, "192.0.2.25:9": true,
		"[2001:db8::25]:9": true, "[2001:db8:1:ffff::1]:9": true, "[2001:db8:2::]:9": false,
		"[fe80::1%eth1]:9": true, "198.51.100.255:9": true, "203.0.113.9:22": true, "203.0.113.9:23": false,
	} {
		if got := s.Has(netip.MustParseAddrPort(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if !s.HasName("MAIL.example.", 80) || s.HasName("www.example", 80) {
		t.Error("names")
	}
	for list, want := range map[string]string{
		"10.0.0.1\nnowhere.example": "list:2: no such host",
		"10.0.0.1\n10.0.0.0/33":     "list:2: not a network (as 10.0.0.0/28 is): 10.0.0.0/33",
	} {
		if err := new(Set).Exclude(strings.NewReader(list), "list", Options{}, lookUp); err == nil || err.Error() != want {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// FuzzRead: whatever a list holds, each line makes targets or one error, and what is read is not excluded by anything but
// itself.
func FuzzRead(f *testing.F) {
	for _, list := range []string{"192.0.2.1 80\n", "[2001:db8::1]:443\r\n#", "10.0.0.0/30\n10.0.0.1-10.0.0.3 22", "a:b:c",
		"\ufeffwww.example.com:443", "fe80::1%eth0", "::ffff:10.0.0.0/104", "0.0.0.0/0", "::/0", "x\x00", "-", "a-b",
		strings.Repeat("{\n", 20)} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		n, last := 0, 0
		for target, err := range Read(strings.NewReader(list), "list", Options{Default: 1}) {
			var (
				bad *LineError
				no  *NoListError
			)
			switch {
			case errors.As(err, &no) && n == 0:
				return
			case errors.As(err, &bad):
				if bad.Line <= last {
					t.Errorf("line %d after line %d", bad.Line, last)
				}
				last = bad.Line
				continue
			case err != nil:
				t.Fatal(err)
			}
			if target.Line < last || target.Host == "" || target.Addr.IsValid() && target.Addr.Unmap() != target.Addr {
				t.Errorf("%+v after line %d", target, last)
			}
			last = target.Line
			if n++; n > 10 || !target.Addr.IsValid() {
				continue
			}
			var s Set
			if err := s.Exclude(strings.NewReader(target.Host), "one", Options{}, nil); err != nil {
				t.Fatalf("%s: %v", target.Host, err)
			}
			if !s.Has(netip.AddrPortFrom(target.Addr, target.Port)) {
				t.Errorf("%s excludes not itself", target.Host)
			}
		}
	})
}
