package test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// found are the findings at the end of a trace's text: code and confidence.
func found(t *testing.T, o outcome) []string {
	t.Helper()
	_, text, ok := strings.Cut(o.stdout, "\n\n")
	if !ok {
		return nil
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("longer than 80 columns: %q", line)
		}
	}
	var all []string
	for _, m := range regexp.MustCompile(`\[([a-z-]+), ([a-z]+)\]`).FindAllStringSubmatch(strings.Join(strings.Fields(text), " "), -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return all
}

// TestExplain has real firewalls explained, by real answers of real kernels.
func TestExplain(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 6})
		for _, port := range []uint16{80, 443, 9001, 9002, 9003, 9006, 9008, 9009} {
			p.Target.Listen(t, port)
		}
		r2, r3 := p.Routers[1], p.Routers[2]
		r2.Filter(t, "forward", "tcp flags & (syn|ecn) == (syn|ecn) drop", "tcp dport 9001 drop", "tcp dport 9002 tcp flags & (syn|ack) == syn drop", "tcp dport 9003 reject with tcp reset",
			"tcp dport 9005 reject with icmpx type admin-prohibited")
		p.Target.Filter(t, "input", "tcp dport 9006 drop")
		r3.Mangle(t, "tcp dport 9008 tcp flags syn tcp option maxseg size set 1200", "tcp dport 9009 tcp flags syn reset tcp option sack-perm")
		target := v.of(p.Target).String()
		a, b := v.of(r2), v.of(r3)
		for _, tt := range []struct {
			port  int
			args  string
			want  string
			place string
			code  int
		}{
			{port: 80, want: "port-open certain"},
			{port: 9000, want: "port-closed likely"},
			{port: 80, args: "-E", want: "filtered-syn certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b), code: 1},
			{port: 9001, want: "filtered-port likely", place: fmt.Sprintf("beyond hop 2 (%v)", a), code: 1},
			{port: 9002, want: "filtered-port likely", place: fmt.Sprintf("beyond hop 2 (%v)", a), code: 1},
			{port: 9003, want: "reset-on-path certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3", a)},
			{port: 9005, want: "rejected-by-router certain", place: fmt.Sprintf("%v, hop 2", a)},
			{port: 9006, want: "filtered-port possible", place: "between hop 5", code: 1},
			{port: 9008, want: "mss-clamped certain, port-open certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b)},
			{port: 9009, want: "options-removed certain, port-open certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b)},
		} {
			t.Run(fmt.Sprint(tt.port, tt.args), func(t *testing.T) {
				got := launch(t, p.Source, fmt.Sprintf("-n -w 1 -m 9 --explain %s %s %d", tt.args, target, tt.port)).outcome()
				if s := strings.Join(found(t, got), ", "); s != tt.want || got.code != tt.code || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), tt.place) {
					t.Errorf("%v\nfound %s\nwant %s, %s, exit code %d", got, s, tt.want, tt.place, tt.code)
				}
				leftAlone(t, p.Target)
			})
		}
	})
}

// TestExplainForPrograms has the findings in JSON, after the same further probes.
func TestExplainForPrograms(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Target.Listen(t, 443)
	p.Routers[0].Drop(t, "tcp dport 9001")
	got := launch(t, p.Source, "-n -w 1 -m 7 --explain --json "+p.Target.V4().String()+" 9001").outcome()
	var doc struct {
		Findings []struct {
			Code, Confidence string
			After            int `json:"after_ttl"`
			Before           int `json:"before_ttl"`
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	if s := fmt.Sprint(doc.Findings); s != "[{filtered-port likely 1 2}]" || got.code != 1 {
		t.Errorf("%+v\n%v", doc.Findings, got)
	}
	if !strings.Contains(got.stderr, "more probes to tell what happened") {
		t.Errorf("the further probes are not announced: %v", got)
	}
}

// TestExplainBound counts what is really sent: no more than was said in advance.
func TestExplainBound(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Routers[1].Drop(t, "tcp dport 9001")
	capture := p.Source.Interfaces[0].Capture(t)
	got := launch(t, p.Source, "-n -w 1 -m 7 --explain "+p.Target.V4().String()+" 9001").outcome()
	var bound, sent int
	_, text, _ := strings.Cut(got.stderr, "Up to ")
	if _, err := fmt.Sscan(text, &bound); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	for _, c := range capture.Stop(t) {
		var r packet.Reply
		if packet.Parse(c.Data, &r) == nil && r.IP.Src == p.Source.V4() {
			sent++
		}
	}
	if main := 7 * 3; sent < main || sent > main+bound {
		t.Errorf("%d packets sent: more than %d and %d, or too few\n%v", sent, main, bound, got)
	}
}

// TestExplainInterrupted ends a run while it asks further: what is known is explained.
func TestExplainInterrupted(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Routers[1].Drop(t, "tcp dport 9001")
	l := launch(t, p.Source, "-n -w 1 -m 7 --explain "+p.Target.V4().String()+" 9001")
	l.stderr.await(t, "more probes to tell what happened", 1)
	l.signal(t, unix.SIGINT)
	got := l.outcome()
	if found := strings.Join(found(t, got), ", "); got.code != 130 || !strings.Contains(found, "filtered") && !strings.Contains(found, "path-ends") {
		t.Errorf("%v\nfound %s", got, found)
	}
}

// TestExplainOdd has networks explained that do more than filter.
func TestExplainOdd(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 6})
		for _, port := range []uint16{80, 443, 8080} {
			p.Target.Listen(t, port)
		}
		p.Routers[2].Listen(t, 9999)
		r2, r3, r4 := p.Routers[1], p.Routers[2], p.Routers[3]
		target := v.of(p.Target)
		r2.Redirect(t, netip.AddrPortFrom(target, 9010), netip.AddrPortFrom(target, 8080))
		r3.NFT(t, "chain c {\ntype nat hook prerouting priority dstnat\ntcp dport 9011 redirect to :9999\n}")
		lost := pick(v, "198.18.77.7", "2001:db8:77::7")
		r4.Route(t, netip.PrefixFrom(netip.MustParseAddr(lost), netip.MustParseAddr(lost).BitLen()), p.Links[3].B)
		gone := pick(v, "198.18.78.7", "2001:db8:78::7")
		v.ip(t, r3, "route add unreachable "+gone)
		r3.Mangle(t, fmt.Sprintf("tcp dport 9013 %s dscp set 0", pick(v, "ip", "ip6")))
		p.Links[4].SetMTU(t, 1400)
		place := func(a, b int) string {
			return fmt.Sprintf("between hop %d (%v) and hop %d (%v)", a, v.of(p.Hop(a)), b, v.of(p.Hop(b)))
		}
		for _, tt := range []struct {
			args  string
			want  string
			place string
			code  int
		}{
			{args: fmt.Sprintf("%v 9010", target), want: "dnat certain, port-open certain", place: place(1, 2)},
			{args: fmt.Sprintf("%v 9011", target), want: "tcp-proxy possible", place: place(2, 3)},
			{args: lost, want: "routing-loop certain", place: "Routing loop from hop ", code: 1},
			{args: gone, want: pick(v, "unreachable-host possible", "unreachable-network likely"), place: fmt.Sprintf("%v, hop 3", v.of(r3))},
			{args: fmt.Sprintf("-t 184 %v 9013", target), want: pick(v, "dscp-changed certain", "dscp-changed likely") + ", port-closed likely", place: place(2, 3)},
			{args: fmt.Sprintf("-F -l 1500 %v 80", target), want: "mtu-limit certain", place: fmt.Sprintf("beyond %v, hop 4: the limit is 1400 bytes", v.of(r4))},
		} {
			t.Run(strings.ReplaceAll(tt.args, "/", "-"), func(t *testing.T) {
				got := launch(t, p.Source, "-n -w 1 --explain "+tt.args).outcome()
				if s := strings.Join(found(t, got), ", "); s != tt.want || got.code != tt.code || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), tt.place) {
					t.Errorf("%v\nfound %s\nwant %s, %s, exit code %d", got, s, tt.want, tt.place, tt.code)
				}
			})
		}
	})
}

// TestExplainBalancers tells a balancer of flows from one of packets.
func TestExplainBalancers(t *testing.T) {
	t.Parallel()
	for perPacket, want := range map[bool]string{
		false: "A load balancer spreads connections at hop 2",
		true:  "A load balancer spreads the packets of one connection beyond hop 1",
	} {
		m := lab.Diamond(t, lab.DiamondOptions{Width: 4, PerPacket: perPacket})
		m.Target.Listen(t, 80)
		// One flow more may take the same way as the first: one in four does.
		eventually(t, want, func() bool {
			got := launch(t, m.Source, "-n -w 1 -q 6 --explain "+m.Target.V4().String()).outcome()
			s := strings.Join(found(t, got), ", ")
			if !perPacket && s == "port-open certain" {
				return false
			}
			if perPacket && s == "port-open certain, load-balancer possible" {
				return false // by chance none of the members has answered again after another
			}
			codes := "port-open certain, load-balancer likely"
			if perPacket { // which harms connections
				codes = "load-balancer likely, port-open certain"
			}
			if s != codes || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), want) {
				t.Errorf("%v\nfound %s, want %s", got, s, want)
			}
			return true
		})
	}
}

// TestExplainUnprivileged explains to a user who has no rights what can be known so.
func TestExplainUnprivileged(t *testing.T) {
	lab.NeedRoot(t)
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 5})
	p.Target.Listen(t, 80)
	p.Target.Listen(t, 443)
	p.Routers[1].Filter(t, "forward", "tcp dport 9001 drop", "tcp dport 9003 reject with tcp reset", "tcp dport 9005 reject with icmpx type admin-prohibited")
	path := program(t)
	for _, tt := range []struct {
		port int
		want string
		code int
	}{
		{80, "port-open likely", 0},
		{9000, "port-closed possible", 0},
		{9001, "filtered-port likely", 1},
		{9003, "reset-on-path likely", 0}, // nothing shows how far a reset has come
		{9005, "rejected-by-router certain", 0},
	} {
		got := noRights(t, p.Source, path, fmt.Sprintf("-n -m 8 --explain %v %d", p.Target.V4(), tt.port))
		if s := strings.Join(found(t, got), ", "); s != tt.want || got.code != tt.code || !strings.Contains(got.stderr, "less can be told") {
			t.Errorf("%d: %v\nfound %s, want %s", tt.port, got, s, tt.want)
		}
		leftAlone(t, p.Target)
	}
}
