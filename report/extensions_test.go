package report_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// show traces through a simulated network, in virtual time, and returns the classic text.
func show(t *testing.T, network string, o report.ClassicOptions, path trace.PathOptions) string {
	t.Helper()
	scenario, err := sim.Parse(network)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		path.Target = netip.AddrPortFrom(scenario.Paths[0].Target.Addr, 443)
		path.Source = netip.MustParseAddrPort("198.18.0.1:40000")
		if path.Target.Addr().Is6() {
			path.Source = netip.MustParseAddrPort("[2001:db8::1]:40000")
		}
		path.Rand = rand.New(rand.NewPCG(1, 1))
		plan, err := trace.NewPath(path)
		if err != nil {
			t.Fatal(err)
		}
		w := report.NewClassic(&out, trace.NewTrace(path), o)
		if _, err := trace.Run(t.Context(), c, plan, trace.Options{}, func(r trace.Result) {
			if err := w.Add(r); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
		if err := w.Finish(); err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

const labelled = `
router 198.18.1.2 delay=1ms
router 198.18.2.2 delay=1ms mpls=24001/0/1,16/5/255
router 198.18.3.2 delay=1ms mpls=24001/0/1 non-compliant if-role=0 if-index=5 if-addr=192.0.2.1 if-name=xe-0/0/1.100 if-mtu=9192
router 198.18.4.2 delay=1ms mpls=16/0/1 quote=min
router 198.18.5.2 delay=1ms if-role=2 if-name=%1b]0;owned%07 mpls=7/7/7 ext-bad-checksum
router 198.18.6.2 delay=1ms if-role=3 if-name=a,mtu=1>%20<b if-mtu=1500
router 198.18.7.2 delay=1ms node-addr=2001:db8::9 node-name=core1.fra
router 198.18.8.2 delay=1ms node-name=%1b]0;x,addr=1>%20<b
target 198.18.9.2 delay=1ms open
`

func TestExtensionsShown(t *testing.T) {
	const want = ` 1  198.18.1.2  2.000 ms  2.000 ms
 2  198.18.2.2 <MPLS:L=24001,E=0,S=0,T=1/L=16,E=5,S=1,T=255>  4.000 ms  4.000 ms
 3  198.18.3.2 <MPLS:L=24001,E=0,S=1,T=1> <IF:in,name=xe-0/0/1.100,index=5,addr=192.0.2.1,mtu=9192>  6.000 ms  6.000 ms
 4  198.18.4.2 <MPLS:L=16,E=0,S=1,T=1>  8.000 ms  8.000 ms
 5  198.18.5.2 <extensions with a wrong checksum>  10.000 ms  10.000 ms
 6  198.18.6.2 <IF:next-hop,name="a,mtu=1> <b",mtu=1500>  12.000 ms  12.000 ms
 7  198.18.7.2 <NODE:name=core1.fra,addr=2001:db8::9>  14.000 ms  14.000 ms
 8  198.18.8.2 <NODE:name="\x1b]0;x,addr=1> <b">  16.000 ms  16.000 ms
 9  198.18.9.2 [open]  18.000 ms  18.000 ms
`
	if got := show(t, labelled, report.ClassicOptions{Extensions: true}, trace.PathOptions{Queries: 2}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Nothing of it where it isn't asked for.
	plain := show(t, labelled, report.ClassicOptions{}, trace.PathOptions{Queries: 2})
	for line := range strings.Lines(plain) {
		if strings.ContainsAny(line, "<>") {
			t.Errorf("not asked for: %s", line)
		}
	}
	// IPv6 is the same.
	six := "router 2001:db8:1::2 delay=1ms mpls=24001/0/1 if-role=1 if-addr=2001:db8:ffff::1\ntarget 2001:db8:2::2 delay=1ms closed\n"
	const want6 = ` 1  2001:db8:1::2 <MPLS:L=24001,E=0,S=1,T=1> <IF:sub-in,addr=2001:db8:ffff::1>  2.000 ms
 2  2001:db8:2::2 [closed]  4.000 ms
`
	if got := show(t, six, report.ClassicOptions{Extensions: true}, trace.PathOptions{Queries: 1}); got != want6 {
		t.Errorf("got\n%swant\n%s", got, want6)
	}
}

// What stands beside an answer is told of each responder, and again where it changes.
func TestExtensionsOfEachAnswer(t *testing.T) {
	one, _ := packet.AppendMPLS(nil, packet.Label{Label: 1, Bottom: true})
	two, _ := packet.AppendMPLS(nil, packet.Label{Label: 2, Bottom: true})
	var out strings.Builder
	w := report.NewClassic(&out, trace.NewTrace(trace.PathOptions{Queries: 6}), report.ClassicOptions{Extensions: true})
	for i, a := range []struct {
		from    string
		objects []byte
	}{{"198.18.3.2", one}, {"198.18.3.2", one}, {"198.18.3.2", two}, {"198.18.3.3", two}, {"198.18.3.3", nil}, {"198.18.3.2", one}} {
		reply := message(t, packet.ICMPError{Extensions: a.objects})
		reply.IP.Src = netip.MustParseAddr(a.from)
		if err := w.Add(trace.Result{Probe: packet.Probe{TTL: 1}, N: i + 1, Outcome: trace.Answered, Reply: reply}); err != nil {
			t.Fatal(err)
		}
	}
	const want = ` 1  198.18.3.2 <MPLS:L=1,E=0,S=1,T=0>  0.000 ms  0.000 ms <MPLS:L=2,E=0,S=1,T=0>  0.000 ms
    198.18.3.3 <MPLS:L=2,E=0,S=1,T=0>  0.000 ms  0.000 ms
    198.18.3.2 <MPLS:L=1,E=0,S=1,T=0>  0.000 ms
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// message is an answer with these objects, read back.
func message(t testing.TB, e packet.ICMPError) *packet.Reply {
	t.Helper()
	quote, err := packet.Probe{Src: netip.MustParseAddrPort("198.18.0.1:1"), Dst: netip.MustParseAddrPort("198.18.9.2:2")}.AppendBinary(nil)
	if e.Quote = quote; err != nil {
		t.Fatal(err)
	}
	if e.Src = netip.MustParseAddr("198.18.3.2"); e.Type == 0 {
		e.Type = packet.ICMPv4TimeExceeded
	}
	e.Dst = netip.MustParseAddr("198.18.0.1")
	b, err := packet.AppendICMP(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	r := new(packet.Reply)
	if err := packet.Parse(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExtensionsAreBounded(t *testing.T) {
	labels, _ := packet.AppendMPLS(nil, make([]packet.Label, 40)...)
	one, _ := packet.AppendMPLS(nil, packet.Label{Label: 1, Bottom: true})
	other, _ := packet.AppendObject(nil, 9, 3, make([]byte, 100))
	short, _ := packet.AppendObject(nil, 3, 1, []byte{0xde, 0xad})
	broken, _ := packet.AppendObject(nil, packet.ClassInterface, 0x0f, []byte{1})
	for _, tt := range []struct {
		name    string
		objects []byte
		want    string
	}{
		{"nothing", nil, ""},
		{"many labels", labels, "<MPLS:" + strings.Repeat("L=0,E=0,S=0,T=0/", 16) + "...>"},
		{"many objects", []byte(strings.Repeat(string(one), 20)), strings.Repeat("<MPLS:L=1,E=0,S=1,T=0> ", 8) + "<...>"},
		{"a long object", other, "<9/3:" + strings.Repeat("00", 32) + "...>"},
		{"a short object", short, "<3/1:dead>"},
		{"half an interface", broken, "<2/15:01>"},
	} {
		if got := report.Extensions(message(t, packet.ICMPError{Extensions: tt.objects})); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The MTU of the next hop stands behind its mark, as traceroute writes it.
func TestNextHopMTU(t *testing.T) {
	for _, tt := range []struct {
		e    packet.ICMPError
		want uint32
	}{
		{packet.ICMPError{Type: packet.ICMPv4Unreachable, Code: 4, MTU: 1400}, 1400},
		{packet.ICMPError{Type: packet.ICMPv4Unreachable, Code: 4}, 0},
		{packet.ICMPError{Type: packet.ICMPv4Unreachable, Code: 3}, 0},
		{packet.ICMPError{}, 0},
	} {
		if got := report.NextHopMTU(message(t, tt.e)); got != tt.want {
			t.Errorf("%d/%d: %d, want %d", tt.e.Type, tt.e.Code, got, tt.want)
		}
	}
	if got := report.NextHopMTU(&packet.Reply{Kind: packet.KindTooBig, MTU: 1280}); got != 1280 {
		t.Errorf("packet too big: %d", got)
	}
	for _, shown := range []bool{false, true} {
		var out strings.Builder
		w := report.NewClassic(&out, trace.NewTrace(trace.PathOptions{Queries: 1}), report.ClassicOptions{Extensions: shown})
		r := trace.Result{Probe: packet.Probe{TTL: 1}, N: 1, Outcome: trace.Answered, Reply: message(t, packet.ICMPError{Type: 3, Code: 4, MTU: 1400})}
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(" 1  198.18.3.2  0.000 ms !F%s\n", map[bool]string{true: "-1400"}[shown]); out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}

// Whatever stands in the extensions, the text is plain and short, and every bracket in it is ours.
func FuzzExtensions(f *testing.F) {
	name, _ := packet.AppendInterface(nil, packet.Interface{Name: []byte("\x1b[2J> <MPLS:L=1\""), MTU: 9})
	f.Add(name)
	labels, _ := packet.AppendMPLS(nil, packet.Label{Label: 16, TC: 7, Bottom: true, TTL: 1})
	f.Add(labels)
	f.Add([]byte{0, 4, 2, 0xff, 0, 5, 9, 9, 1})
	f.Fuzz(func(t *testing.T, objects []byte) {
		if len(objects) > 1000 {
			return
		}
		s := report.Extensions(message(t, packet.ICMPError{Extensions: objects}))
		if len(s) > 8*400 {
			t.Errorf("%d bytes", len(s))
		}
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q of %s", s, hex.EncodeToString(objects))
			}
		}
		if s != "" && (s[0] != '<' || s[len(s)-1] != '>') {
			t.Errorf("%q", s)
		}
	})
}
