package report

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

var (
	routerA = netip.MustParseAddr("198.18.1.2")
	routerB = netip.MustParseAddr("198.18.1.3")
	target  = netip.MustParseAddrPort("198.18.3.2:80")
	source  = netip.MustParseAddrPort("198.18.0.1:40000")
)

// script makes results: a word a probe, hops apart.
//
//	A B     time exceeded from router A or B      *   lost      !   not sent (EPERM)
//	o e c   the target: open, open with ECN, closed
//	f u     the target: FIN+ACK, no flags but ACK missing
//	A!10    unreachable, code 10, from A
//	A>10.6.35.86:80   time exceeded from A, quoting that destination
func script(t *testing.T, hops ...string) []trace.Result {
	t.Helper()
	var results []trace.Result
	sent := time.Unix(1000, 0)
	n := 0
	for i, hop := range hops {
		for _, w := range strings.Fields(hop) {
			n++
			p := packet.Probe{Src: source, Dst: target, TTL: uint8(i + 1)}
			r := trace.Result{Probe: p, N: n, Outcome: trace.Answered, Sent: sent, Recv: sent.Add(time.Duration(n) * 1001 * time.Microsecond)}
			reply := &packet.Reply{Kind: packet.KindTimeExceeded}
			reply.IP.Version = 4
			reply.Quote.IP.Dst, reply.Quote.TCP.DstPort = target.Addr(), target.Port()
			word, nat, _ := strings.Cut(w, ">")
			if nat != "" {
				to := netip.MustParseAddrPort(nat)
				reply.Quote.IP.Dst, reply.Quote.TCP.DstPort = to.Addr(), to.Port()
			}
			word, code, refused := strings.Cut(word, "!")
			if refused && word != "" {
				reply.Kind = packet.KindUnreachable
				for _, d := range code {
					reply.Code = reply.Code*10 + uint8(d-'0')
				}
			}
			tcp := func(f packet.Flags) { reply.Kind, reply.TCP.Flags, reply.IP.Src = packet.KindTCP, f, target.Addr() }
			switch word {
			case "A":
				reply.IP.Src = routerA
			case "B":
				reply.IP.Src = routerB
			case "*":
				r.Outcome, reply = trace.Lost, nil
			case "":
				r.Outcome, reply, r.Err = trace.Failed, nil, syscall.EPERM
			case "o":
				tcp(packet.SYN | packet.ACK)
			case "e":
				tcp(packet.SYN | packet.ACK | packet.ECE)
			case "c":
				tcp(packet.RST | packet.ACK)
			case "f":
				tcp(packet.FIN | packet.ACK)
			case "u":
				tcp(0)
			default:
				t.Fatalf("unknown word %q", w)
			}
			r.Reply = reply
			results = append(results, r)
		}
	}
	return results
}

func classic(t *testing.T, queries int, o ClassicOptions, results []trace.Result) string {
	t.Helper()
	var out strings.Builder
	c := NewClassic(&out, trace.NewTrace(trace.PathOptions{Queries: queries}), o)
	for _, r := range results {
		if err := c.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The forms were read off tcptraceroute 1.5beta7, with times masked.
func TestClassic(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		hops       []string
		dnat       bool
	}{
		{"a hop", " 1  198.18.1.2  T ms  T ms  T ms\n", []string{"A A A"}, false},
		{"silence", " 1  * * *\n", []string{"* * *"}, false},
		{"a star in the middle", " 1  198.18.1.2  T ms * T ms\n", []string{"A * A"}, false},
		{"a star first", " 1  * 198.18.1.2 T ms  T ms\n", []string{"* A A"}, false},
		{"two stars first", " 1  * * 198.18.1.2 T ms\n", []string{"* * A"}, false},
		{"second responder", " 1  198.18.1.2  T ms\n    198.18.1.3  T ms\n    198.18.1.2  T ms\n", []string{"A B A"}, false},
		{"second responder after a star", " 1  198.18.1.2  T ms *\n    198.18.1.3  T ms\n", []string{"A * B"}, false},
		{"open", " 1  198.18.3.2 [open]  T ms  T ms  T ms\n", []string{"o o o"}, false},
		{"open after a star", " 1  * 198.18.3.2 [open] T ms *\n", []string{"* o *"}, false},
		{"ecn", " 1  198.18.3.2 [open, ecn]  T ms\n", []string{"e"}, false},
		{"state changes", " 1  198.18.3.2 [open]  T ms  T ms [closed]  T ms\n", []string{"o o c"}, false},
		{"other flags", " 1  198.18.3.2 [unknown, ACK FIN]  T ms [unknown, no flags]  T ms\n", []string{"f u"}, false},
		{"target and router", " 1  198.18.3.2 [open]  T ms\n    198.18.1.2  T ms !C\n    198.18.3.2  T ms\n", []string{"o A!10 o"}, false},
		{"unreachable", " 1  198.18.1.2  T ms !N  T ms !H  T ms !P\n", []string{"A!0 A!1 A!2"}, false},
		{"local errors", " 1  <EPERM> <EPERM> 198.18.1.2 T ms\n", []string{"! ! A"}, false},
		{"DNAT before the hop", "      Detected DNAT to 10.6.35.86\n 1  198.18.1.2  T ms  T ms\n", []string{"A>10.6.35.86:80 A>10.6.35.86:80"}, true},
		{"DNAT with a port", "      Detected DNAT to 10.6.35.86:443\n 1  198.18.1.2  T ms\n", []string{"A>10.6.35.86:443"}, true},
		{"DNAT before the next time", " 1  198.18.1.2  T ms\n      Detected DNAT to 10.6.35.86\n    198.18.1.2  T ms  T ms\n", []string{"A A>10.6.35.86:80 A>10.6.35.86:80"}, true},
		{"DNAT after a star", " 1  *\n      Detected DNAT to 10.6.35.86\n     198.18.1.2 T ms  T ms\n", []string{"* A>10.6.35.86:80 A>10.6.35.86:80"}, true},
		{"DNAT told once", "      Detected DNAT to 10.6.35.86\n 1  198.18.1.2  T ms  T ms  T ms\n", []string{"A>10.6.35.86:80 A A>10.6.35.86:80"}, true},
		{"DNAT not wanted", " 1  198.18.1.2  T ms\n", []string{"A>10.6.35.86:80"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mask(classic(t, len(strings.Fields(tt.hops[0])), ClassicOptions{DNAT: tt.dnat}, script(t, tt.hops...)))
			if got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// mask replaces times by T.
func mask(s string) string {
	words := strings.Split(s, " ")
	for i := 1; i < len(words); i++ {
		if strings.HasPrefix(words[i], "ms") {
			words[i-1] = "T"
		}
	}
	return strings.Join(words, " ")
}

func TestTimes(t *testing.T) {
	if got, want := classic(t, 3, ClassicOptions{}, script(t, "A A A")), " 1  198.18.1.2  1.001 ms  2.002 ms  3.003 ms\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Hops are printed in order as soon as they are complete, whatever the order of the answers, and nothing beyond the end.
func TestOrder(t *testing.T) {
	r := script(t, "A A", "B B", "o o", "* *")
	var out strings.Builder
	c := NewClassic(&out, trace.NewTrace(trace.PathOptions{Queries: 2}), ClassicOptions{})
	for _, step := range []struct {
		result int
		want   string // printed so far, first words of the lines
	}{{4, ""}, {5, ""}, {0, ""}, {1, "1"}, {6, "1"}, {3, "1"}, {2, "1 2 3"}, {7, "1 2 3"}} {
		if err := c.Add(r[step.result]); err != nil {
			t.Fatal(err)
		}
		var ttls []string
		for line := range strings.Lines(out.String()) {
			ttls = append(ttls, strings.Fields(line)[0])
		}
		if got := strings.Join(ttls, " "); got != step.want {
			t.Fatalf("after result %d: hops %q, want %q", step.result, got, step.want)
		}
	}
	// Within a hop the probes stand in order of sending.
	if want := " 2  198.18.1.3  3.003 ms  4.004 ms\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s, without %q", out.String(), want)
	}
}

// What is known so far is printed at the end, the hops in order; behind the last probed one there is nothing.
func TestUnfinished(t *testing.T) {
	r := script(t, "A A A", "B *", "*")
	if got, want := mask(classic(t, 3, ClassicOptions{}, r)), " 1  198.18.1.2  T ms  T ms  T ms\n 2  198.18.1.3  T ms *\n 3  *\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNames(t *testing.T) {
	names := map[netip.Addr]string{routerA: "gw.example", routerB: "\x1b[31mevil\n 9  fake"}
	o := ClassicOptions{Name: func(a netip.Addr) string { return names[a] }}
	want := " 1  gw.example (198.18.1.2)  T ms\n    \\x1b[31mevil\\n 9  fake (198.18.1.3)  T ms\n    198.18.3.2 [open]  T ms\n"
	if got := mask(classic(t, 3, o, script(t, "A B o"))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMarks(t *testing.T) {
	v4 := map[uint8]string{
		0: "!N", 1: "!H", 2: "!P", 3: "!p", 4: "!F", 5: "!S", 6: "!U", 7: "!U", 8: "!I", 9: "!A", 10: "!C", 11: "!T",
		12: "!T", 13: "!A", 14: "!<14>", 15: "!<15>", 200: "!<200>",
	}
	v6 := map[uint8]string{0: "!N", 1: "!A", 2: "!<2>", 3: "!H", 4: "!p", 5: "!A", 6: "!A", 7: "!<7>"}
	for version, marks := range map[uint8]map[uint8]string{4: v4, 6: v6} {
		for code, want := range marks {
			r := &packet.Reply{Kind: packet.KindUnreachable, Code: code}
			r.IP.Version = version
			if got := record.Mark(r); got != want {
				t.Errorf("IPv%d code %d: %s, want %s", version, code, got, want)
			}
		}
	}
	if got := record.Mark(&packet.Reply{Kind: packet.KindTooBig}); got != "!F" {
		t.Errorf("packet too big: %s", got)
	}
	if got := record.Mark(&packet.Reply{Kind: packet.KindParameterProblem, Type: 12}); got != "!<12/0>" {
		t.Errorf("parameter problem: %s", got)
	}
	if got := record.Mark(&packet.Reply{Kind: packet.KindTimeExceeded}); got != "" {
		t.Errorf("time exceeded: %s", got)
	}
}

func TestLocalMarks(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EMSGSIZE: "<EMSGSIZE>", trace.ErrNextHop: "<EHOSTUNREACH>", errors.New("what"): "<local error>",
	} {
		if got := record.LocalMark(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// Nothing that a terminal obeys gets through.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "gw.example", "\x1b]8;;http://x\x07", "\u202eevil", "\x9b31m", "a\u200bb", "\xff\xfe", `back\slash"quote"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range record.Printable(s) {
			if r < ' ' || r > '~' {
				t.Errorf("%q: %q", s, record.Printable(s))
			}
		}
	})
}

type failing struct{ after int }

func (f *failing) Write(b []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

func TestWritingFails(t *testing.T) {
	c := NewClassic(&failing{after: 1}, trace.NewTrace(trace.PathOptions{Queries: 1}), ClassicOptions{})
	r := script(t, "A", "B", "o")
	if err := c.Add(r[0]); err != nil {
		t.Error(err)
	}
	if err := c.Add(r[1]); err != syscall.ENOSPC {
		t.Errorf("error: %v", err)
	}
	if err := c.Finish(); err != syscall.ENOSPC {
		t.Errorf("error: %v", err)
	}
}
