package names

import (
	"context"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// What getaddrinfo of glibc 2.36 makes of each with AI_NUMERICHOST; "" where it
// refuses. Zones aside: it knows only those of the machine.
var literals = []struct{ in, want string }{
	{"192.0.2.1", "192.0.2.1"},
	{"127.1", "127.0.0.1"},
	{"10.1", "10.0.0.1"},
	{"0x7f.1", "127.0.0.1"},
	{"0X7F.1", "127.0.0.1"},
	{"0177.0.0.1", "127.0.0.1"},
	{"0x7f000001", "127.0.0.1"},
	{"2130706433", "127.0.0.1"},
	{"010.010.010.010", "8.8.8.8"},
	{"1.2.3.0x4", "1.2.3.4"},
	{"0", "0.0.0.0"},
	{"1", "0.0.0.1"},
	{"256", "0.0.1.0"},
	{"1.256", "1.0.1.0"},
	{"1.16777215", "1.255.255.255"},
	{"1.2.65535", "1.2.255.255"},
	{"4294967295", "255.255.255.255"},
	{"0xffffffff", "255.255.255.255"},
	{"037777777777", "255.255.255.255"},
	{"00000000000000000001.2.3.4", "1.2.3.4"},
	{"0x0000000000000000001.1", "1.0.0.1"},

	{"4294967296", ""},
	{"040000000000", ""},
	{"18446744073709551617", ""},
	{"1.16777216", ""},
	{"1.2.65536", ""},
	{"1.2.3.256", ""},
	{"256.1", ""},
	{"1.2.3.4.", ""},
	{"1.2.3.4.5", ""},
	{"1..2", ""},
	{".1", ""},
	{"", ""},
	{".", ""},
	{" 1.2.3.4", ""},
	{"1.2.3.4 ", ""},
	{"1\n", ""},
	{"08", ""},
	{"0x", ""},
	{"+1", ""},
	{"-1", ""},
	{"1e3", ""},
	{"1_0", ""},
	{"0b1", ""},
	{"0o17", ""},
	{"\u0661", ""},
	{"1.2.3.4%1", ""},
	{"example", ""},

	{"::1", "::1"},
	{"2001:DB8::1", "2001:db8::1"},
	{"fe80::1%eth0", "fe80::1%eth0"},
	{"fe80::1%2", "fe80::1%2"},
	{"::ffff:192.0.2.1", "192.0.2.1"}, // what it gives where IPv4 is asked for
	{"fe80::1%", ""},
	{"[::1]", ""},
	{"[::1]:80", ""},
	{"::1 ", ""},
	{"::ffff:127.1", ""},
	{":::", ""},
}

func TestLiterals(t *testing.T) {
	// No look-up may leave for what is an address, nor for what only looks like one.
	r := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network")
	}})
	defer r.Close()
	for _, tt := range literals {
		for _, family := range []Family{Any, IPv4, IPv6} {
			got, err := r.Host(t.Context(), tt.in, family)
			if tt.want == "" {
				if err == nil {
					t.Errorf("Host(%q, %d) = %v, want an error", tt.in, family, got)
				}
				continue
			}
			want := netip.MustParseAddr(tt.want)
			if family == IPv4 && !want.Is4() || family == IPv6 && !want.Is6() {
				if !errors.Is(err, ErrFamily) || !strings.Contains(err.Error(), tt.in) {
					t.Errorf("Host(%q, %d) = %v, %v; want ErrFamily with the name", tt.in, family, got, err)
				}
				continue
			}
			if err != nil || !slices.Equal(got, []netip.Addr{want}) {
				t.Errorf("Host(%q, %d) = %v, %v; want %v", tt.in, family, got, err, want)
			}
		}
	}
}

func TestHost(t *testing.T) {
	zone := map[string][]rr{
		"A both.test.":      {{198, 18, 0, 1}},
		"AAAA both.test.":   {netip.MustParseAddr("2001:db8::1").AsSlice()},
		"A four.test.":      {{198, 18, 0, 4}},
		"AAAA six.test.":    {netip.MustParseAddr("2001:db8::6").AsSlice()},
		"A many.test.":      {{198, 18, 0, 3}, {198, 18, 0, 1}, {198, 18, 0, 2}},
		"AAAA mapped.test.": {netip.MustParseAddr("::ffff:192.0.2.9").AsSlice()},
		"AAAA lame.test.":   {netip.MustParseAddr("2001:db8::7").AsSlice()},
	}
	var mu sync.Mutex
	var asked []string
	s := newNameServer(t, func(id uint16, q dnsmessage.Question, _ bool) []byte {
		key := strings.TrimPrefix(q.Type.String(), "Type") + " " + q.Name.String()
		mu.Lock()
		asked = append(asked, key)
		mu.Unlock()
		h := dnsmessage.Header{}
		switch {
		case q.Name.String() == "no.test.":
			h.RCode = dnsmessage.RCodeNameError
		case key == "A lame.test.":
			h.RCode = dnsmessage.RCodeServerFailure
		}
		return reply(id, q, h, zone[key]...)
	})
	r := New(Options{Dial: s.dial})
	defer r.Close()
	for _, tt := range []struct {
		name   string
		family Family
		want   string // addresses, or part of the error
		asked  string // one character a question: 4 or 6; repeats aside
	}{
		{"both.test.", Any, "198.18.0.1", "4"},
		{"both.test.", IPv4, "198.18.0.1", "4"},
		{"both.test.", IPv6, "2001:db8::1", "6"},
		{"four.test.", Any, "198.18.0.4", "4"},
		{"four.test.", IPv4, "198.18.0.4", "4"},
		{"four.test.", IPv6, "no such host", "6"},
		{"six.test.", Any, "2001:db8::6", "46"},
		{"six.test.", IPv4, "no such host", "4"},
		{"six.test.", IPv6, "2001:db8::6", "6"},
		{"many.test.", IPv4, "198.18.0.3 198.18.0.1 198.18.0.2", "4"},
		{"mapped.test.", Any, "no suitable address", "46"},
		{"mapped.test.", IPv6, "no suitable address", "6"},
		{"lame.test.", Any, "2001:db8::7", "46"},
		{"no.test.", Any, "no such host", "46"},
		{"no.test.", IPv4, "no such host", "4"},
		{"not a name", Any, "no such host", ""},
		{"[2001:db8::1]", Any, "no such host", ""},
		{strings.Repeat("a", 300), Any, "no such host", ""},
	} {
		mu.Lock()
		asked = nil
		mu.Unlock()
		addrs, err := r.Host(t.Context(), tt.name, tt.family)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if err == nil && strings.Join(got, " ") != tt.want ||
			err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.name) || addrs != nil) {
			t.Errorf("Host(%q, %d) = %v, %v; want %s", tt.name, tt.family, got, err, tt.want)
		}
		mu.Lock()
		var questions string
		for _, q := range slices.Compact(asked) {
			questions += map[bool]string{false: "4", true: "6"}[strings.HasPrefix(q, "AAAA")]
		}
		if questions != tt.asked {
			t.Errorf("Host(%q, %d) asked %q, want %q", tt.name, tt.family, asked, tt.asked)
		}
		mu.Unlock()
	}
}

// hasty is a connection whose every time limit is over.
type hasty struct {
	*net.UDPConn
	asked func(dnsmessage.Question)
}

func (c hasty) SetDeadline(time.Time) error { return c.SetReadDeadline(time.Unix(1, 0)) }

func (c hasty) Write(b []byte) (int, error) {
	_, q, err := question(b)
	must(err)
	c.asked(q)
	return c.UDPConn.Write(b)
}

// A server that doesn't answer for IPv4 isn't waited for a second time.
func TestHostTimeout(t *testing.T) {
	s := newNameServer(t, func(uint16, dnsmessage.Question, bool) []byte { return nil })
	asked := make(map[dnsmessage.Type]int)
	r := New(Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := s.dial(ctx, network, address)
		return hasty{c.(*net.UDPConn), func(q dnsmessage.Question) { asked[q.Type]++ }}, err
	}})
	defer r.Close()
	_, err := r.Host(t.Context(), "silent.test.", Any)
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsTimeout {
		t.Errorf("Host: %v, want a time-out", err)
	}
	if asked[dnsmessage.TypeA] == 0 || asked[dnsmessage.TypeAAAA] != 0 {
		t.Errorf("asked %v, want only for A", asked)
	}
}

var atonPart = regexp.MustCompile(`^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$`)

// atonByTheBook follows inet_aton(3) word by word, with numbers of any size.
func atonByTheBook(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	sum := new(big.Int)
	for i, p := range parts {
		v, ok := new(big.Int), atonPart.MatchString(p)
		if ok {
			v, ok = v.SetString(p, 0)
		}
		room := 1
		if i == len(parts)-1 {
			room = 4 - i
		}
		if !ok || v.BitLen() > 8*room {
			return netip.Addr{}, false
		}
		sum.Add(sum.Lsh(sum, uint(8*room)), v)
	}
	return netip.AddrFrom4([4]byte(sum.FillBytes(make([]byte, 4)))), true
}

func FuzzAton(f *testing.F) {
	for _, tt := range literals {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := aton(s)
		want, wantOK := atonByTheBook(s)
		if got != want || ok != wantOK {
			t.Errorf("aton(%q) = %v, %v; want %v, %v", s, got, ok, want, wantOK)
		}
		// The strict form, where a program reads one, is among these.
		if a, err := netip.ParseAddr(s); err == nil && a.Is4() && a != got {
			t.Errorf("aton(%q) = %v, netip says %v", s, got, a)
		}
	})
}

// A name that doesn't exist, one without addresses, and servers that don't answer, or can't, are told apart, over UDP and
// over TCP, which a truncated reply leads to.
func TestHostReasons(t *testing.T) {
	s := newNameServer(t, func(id uint16, q dnsmessage.Question, tcp bool) []byte {
		h := dnsmessage.Header{}
		name, stream := strings.CutPrefix(q.Name.String(), "tcp-")
		if stream && !tcp {
			h.Truncated = true
			return reply(id, q, h)
		}
		switch name {
		case "no.test.":
			h.RCode = dnsmessage.RCodeNameError
		case "broken.test.", "half.test.":
			h.RCode = dnsmessage.RCodeServerFailure
			if name == "half.test." && q.Type == dnsmessage.TypeAAAA {
				h.RCode = dnsmessage.RCodeSuccess
			}
		case "mapped.test.":
			if q.Type == dnsmessage.TypeAAAA {
				return reply(id, q, h, netip.MustParseAddr("::ffff:192.0.2.9").AsSlice())
			}
		case "four.test.":
			if q.Type == dnsmessage.TypeA {
				return reply(id, q, h, rr{198, 18, 0, 4})
			}
		}
		return reply(id, q, h)
	})
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close() // who sends there is refused
	var down net.Dialer
	reasons := []error{ErrNoName, ErrNoAddress, ErrNoServer, syscall.ECONNREFUSED, syscall.ENETUNREACH}
	for _, tt := range []struct {
		name   string
		family Family
		dial   func(ctx context.Context, network, address string) (net.Conn, error)
		want   []error // of reasons
	}{
		{"no.test.", Any, s.dial, []error{ErrNoName}},
		{"no.test.", IPv4, s.dial, []error{ErrNoName}},
		{"no.test.", IPv6, s.dial, []error{ErrNoName}},
		{"tcp-no.test.", IPv4, s.dial, []error{ErrNoName}},
		{"empty.test.", Any, s.dial, []error{ErrNoAddress}},
		{"empty.test.", IPv4, s.dial, []error{ErrNoAddress}},
		{"tcp-empty.test.", Any, s.dial, []error{ErrNoAddress}},
		{"four.test.", IPv6, s.dial, []error{ErrNoAddress}},
		{"mapped.test.", Any, s.dial, []error{ErrNoAddress}},
		{"mapped.test.", IPv6, s.dial, []error{ErrNoAddress}},
		{"broken.test.", Any, s.dial, nil},
		{"half.test.", Any, s.dial, nil}, // that there is an IPv4 address can't be ruled out
		{"not a name", Any, s.dial, nil},
		{"nobody.test.", Any, func(ctx context.Context, network, _ string) (net.Conn, error) {
			return down.DialContext(ctx, network, closed.LocalAddr().String())
		}, []error{ErrNoServer, syscall.ECONNREFUSED}},
		{"nobody.test.", Any, func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "udp", Err: syscall.ENETUNREACH}
		}, []error{ErrNoServer, syscall.ENETUNREACH}},
	} {
		r := New(Options{Dial: tt.dial})
		addrs, err := r.Host(t.Context(), tt.name, tt.family)
		r.Close()
		if addrs != nil || err == nil {
			t.Errorf("Host(%q, %d) = %v, %v", tt.name, tt.family, addrs, err)
		}
		for _, reason := range reasons {
			if got, want := errors.Is(err, reason), slices.Contains(tt.want, reason); got != want {
				t.Errorf("Host(%q, %d): %v; is %q: %v", tt.name, tt.family, err, reason, got)
			}
		}
	}
}

// What is typed in other letters is looked up as the DNS has it.
func TestASCII(t *testing.T) {
	for _, tt := range []struct{ in, want string }{ // "": an error
		{"www.example", "www.example"},
		{"WWW.Example_1", "WWW.Example_1"},
		{"\x1b[31m", "\x1b[31m"}, // for the resolver to refuse
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.Example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"a_ü.example", "xn--a_-yka.example"},
		{"例え.テスト", "xn--r8jz45g.xn--zckzah"},
		{"ＷＷＷ.example", "www.example"},
		{"１９２.0.2.1", "192.0.2.1"},
		{"www。example", "www.example"},
		{"exa\u200bmple.test", "example.test"},
		{"exa\u00admple.test", "example.test"},
		{"\u202eelpmaxe.test", ""},
		{"\xff.example", ""},
		{"ü-.example", ""},
		{"xn--ü.example", ""},
	} {
		got, err := ASCII(tt.in)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("ASCII(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}
