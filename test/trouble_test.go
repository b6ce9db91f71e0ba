package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// What goes wrong on the host itself, or around it. A probe that never left is shown by the mark of its error and not as
// lost, and the trace goes on as soon as the trouble is over.

// trouble breaks the source's way out and mends it again.
type trouble struct {
	name     string
	args     string // that it takes
	mark     string // of the probes that could not be sent
	text     string // what the system says of it
	noRoute  bool   // it shows before the first probe
	ruled    bool   // this host's own routing rejects what is sent to the target, or discards it
	inFlight int    // probes on their way that it may swallow: they are lost
	only     family
	make     func(t *testing.T, p *lab.Path, v family) (mend func())
}

var troubles = []trouble{
	{
		name: "link down", mark: "<ENETUNREACH>", text: "network is unreachable", noRoute: true, inFlight: 1,
		make: func(t *testing.T, p *lab.Path, v family) func() { return p.Source.Interfaces[0].Down(t) },
	},
	{
		name: "route deleted", mark: "<ENETUNREACH>", text: "network is unreachable", noRoute: true,
		make: func(t *testing.T, p *lab.Path, v family) func() {
			v.ip(t, p.Source, "route del default")
			return func() { p.Source.Default(t, p.Links[0].A) }
		},
	},
	{
		// IPv6 sends on with an address that it no longer has: see TestIPv6SourceRemoved.
		name: "source removed", mark: "<ENETUNREACH>", text: "network is unreachable", noRoute: true, inFlight: 1, only: ip4,
		make: func(t *testing.T, p *lab.Path, v family) func() {
			a := fmt.Sprintf("%v/24 dev eth0", p.Source.V4())
			v.ip(t, p.Source, "addr del "+a)
			return func() {
				v.ip(t, p.Source, "addr add "+a)
				p.Source.Default(t, p.Links[0].A)
			}
		},
	},
	{name: "route unreachable", mark: "<EHOSTUNREACH>", text: "no route to host", noRoute: true, ruled: true, make: route("unreachable")},
	{name: "route prohibited", mark: "<EACCES>", text: "permission denied", noRoute: true, ruled: true, make: route("prohibit")},
	{name: "black hole", mark: "<EINVAL>", text: "invalid argument", noRoute: true, ruled: true, make: route("blackhole")},
	{
		name: "firewall", mark: "<EPERM>", text: "operation not permitted",
		make: func(t *testing.T, p *lab.Path, v family) func() {
			p.Source.Run(t, "nft", "table inet forbid { chain out { type filter hook output priority 0; tcp dport 80 tcp flags syn drop; }; }")
			return func() { p.Source.Run(t, "nft", "delete table inet forbid") }
		},
	},
	{
		name: "too long", args: "-l 1400", mark: "<EMSGSIZE>", text: "message too long (longer than the MTU of the first link, or of the route)",
		make: func(t *testing.T, p *lab.Path, v family) func() {
			p.Source.IP(t, "link set eth0 mtu 1300")
			return func() { p.Source.IP(t, "link set eth0 mtu 1500") }
		},
	},
	{
		name: "queue full", mark: "<ENOBUFS>", text: "no buffer space available",
		make: func(t *testing.T, p *lab.Path, v family) func() {
			p.Source.Run(t, "tc", "qdisc", "add", "dev", "eth0", "root", "bfifo", "limit", "1") // room for no packet
			return func() { p.Source.Run(t, "tc", "qdisc", "del", "dev", "eth0", "root") }
		},
	},
}

// route makes a route to the target that leads nowhere.
func route(kind string) func(t *testing.T, p *lab.Path, v family) func() {
	return func(t *testing.T, p *lab.Path, v family) func() {
		to := fmt.Sprintf("%s %v", kind, v.of(p.Target))
		v.ip(t, p.Source, "route add "+to)
		return func() { v.ip(t, p.Source, "route del "+to) }
	}
}

// eachTrouble runs a test for every trouble and family. The test begins something and returns what waits for its end and
// looks at it: those wait side by side.
func eachTrouble(t *testing.T, f func(t *testing.T, x trouble, p *lab.Path, v family) (rest func(t *testing.T))) {
	lab.NeedProgram(t, "tc")
	t.Parallel()
	var s sideBySide
	for _, x := range troubles {
		for _, v := range []family{ip4, ip6} {
			if x.only == 0 || x.only == v {
				s.begin(t, fmt.Sprintf("%s/IPv%d", x.name, v), func(t *testing.T) func(t *testing.T) {
					p := lab.Chain(t, lab.ChainOptions{Hops: 3})
					p.Target.Listen(t, 80)
					return f(t, x, p, v)
				})
			}
		}
	}
	s.finish(t)
}

// TestTroubleInMidTrace breaks something after the first hop was printed, and mends it when three probes have failed.
func TestTroubleInMidTrace(t *testing.T) {
	eachTrouble(t, func(t *testing.T, x trouble, p *lab.Path, v family) func(t *testing.T) {
		const queries = 200
		l := launch(t, p.Source, fmt.Sprintf("-n -d -w 1 -q %d --parallel 1 %s %v", queries, x.args, v.of(p.Target)))
		l.stdout.await(t, "\n", 1)
		var mend func()
		meanwhile(t, l, func() { mend = x.make(t, p, v) })
		l.stderr.await(t, "debug: not sent: ", 3)
		meanwhile(t, l, mend)
		return func(t *testing.T) {
			got := l.outcome()
			failed := strings.Count(got.stderr, "debug: not sent: ")
			if want := fmt.Sprintf("\n%s: %d probes not sent: sending: %s\n", x.mark, failed, x.text); !strings.Contains(got.stderr, want) {
				t.Errorf("stderr lacks %q", want)
			}
			// A probe on its way that was swallowed is the trouble's too, where that lasted until the probe was given up.
			told := fmt.Sprintf("\n%s: 1 probe not sent: route to %v: %s\n", x.mark, v.of(p.Target), x.text)
			if x.inFlight > 0 && strings.Contains(got.stderr, told) {
				whole(t, got, p, v, queries, x.mark, failed+1, x.inFlight-1)
				return
			}
			whole(t, got, p, v, queries, x.mark, failed, x.inFlight)
		}
	})
}

// whole checks that a trace of three hops has all its probes in their places, but for some that failed and some that were
// lost, and that it came to its end.
func whole(t *testing.T, got outcome, p *lab.Path, v family, queries int, mark string, failed, mayBeLost int) {
	t.Helper()
	marked, lost, answered := 0, 0, 0
	for ttl := 1; ttl <= 3; ttl++ {
		n := count(fates(t, got.stdout, ttl))
		marked, lost, answered = marked+n[mark], lost+n["*"], answered+n[v.of(p.Hop(ttl)).String()]
		if n[v.of(p.Hop(ttl)).String()]+n[mark]+n["*"] != queries {
			t.Errorf("hop %d: %v, not %d probes", ttl, n, queries)
		}
	}
	if marked != failed || lost > mayBeLost || answered != 3*queries-failed-lost || got.code != 0 {
		t.Errorf("%d probes answered, %d lost, %d failed of %d\n%v", answered, lost, marked, failed, got)
	}
}

// TestTroubleFromTheStart has the trouble there before the program. Where that shows in the route, it is one line, as every
// tool says it; else the trace is given up when 20 probes have failed.
func TestTroubleFromTheStart(t *testing.T) {
	eachTrouble(t, func(t *testing.T, x trouble, p *lab.Path, v family) func(t *testing.T) {
		x.make(t, p, v)
		l := launch(t, p.Source, fmt.Sprintf("-n -w 1 %s %v", x.args, v.of(p.Target)))
		return func(t *testing.T) {
			got := l.outcome()
			if !x.noRoute {
				givenUp(t, got, x, hiddenProbes)
				return
			}
			want := "connect: " + strings.ToUpper(x.text[:1]) + x.text[1:]
			if x.ruled {
				want += fmt.Sprintf(": this host's own routing refuses it, see ip rule and ip route get %v ipproto tcp dport 80",
					v.of(p.Target))
			}
			if want += "\n"; got != (outcome{"", want, 2}) {
				t.Errorf("%v\nwant %q", got, want)
			}
		}
	})
}

// TestTroubleInJSON has a route that rejects or discards there before the program: programs learn of it as people do.
func TestTroubleInJSON(t *testing.T) {
	eachTrouble(t, func(t *testing.T, x trouble, p *lab.Path, v family) func(t *testing.T) {
		if !x.ruled {
			return func(*testing.T) {}
		}
		x.make(t, p, v)
		var all []*live
		for _, args := range []string{"--json", "--json --explain", "--jsonl --explain"} {
			all = append(all, launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target))))
		}
		return func(t *testing.T) {
			for _, l := range all {
				got := l.outcome()
				lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
				last := lines[len(lines)-1]
				if strings.HasPrefix(got.stdout, "{\n") {
					last = got.stdout
				}
				var doc struct {
					Outcome  struct{ State, Reason, Error string }
					Findings []said
				}
				err := json.Unmarshal([]byte(last), &doc)
				if err != nil || got.code != 2 || doc.Outcome.State != "not_sent" || doc.Outcome.Reason != "not_sent" ||
					!strings.Contains(strings.ToLower(doc.Outcome.Error), x.text) || len(doc.Findings) != 1 ||
					doc.Findings[0].Code != "this-host" || doc.Findings[0].Confidence != "certain" {
					t.Errorf("%v\n%v", err, got)
				}
			}
		}
	})
}

// hiddenProbes are the probes with the highest TTL that a trace side by side sends at the most to find the target: they belong
// to no hop that is shown. Two are sent at once, and more when the path stays silent for long, as a busy machine may have it.
const hiddenProbes = 4

// givenUp checks that a trace ended because 20 probes in a row could not be sent, and showed them all by their mark but for
// those that belong to no hop, which are so many at the most.
func givenUp(t *testing.T, got outcome, x trouble, hidden int) {
	t.Helper()
	shown := strings.Count(got.stdout, x.mark)
	reason, _, _ := strings.Cut(x.text, " (")
	tail := fmt.Sprintf("\n%s: 20 probes not sent: sending: %s\n20 probes in a row could not be sent: sending: %s\n", x.mark, x.text, reason)
	if !strings.HasSuffix(got.stderr, tail) || got.code != 2 || shown > 20 || shown < 20-hidden || strings.Contains(got.stdout, "*") {
		t.Errorf("%v\nwant stderr to end with %q", got, tail)
	}
}

// TestTroubleThatStays gives a trace up in the middle.
func TestTroubleThatStays(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		i := slices.IndexFunc(troubles, func(x trouble) bool { return x.name == "firewall" })
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		const queries = 200
		l := launch(t, p.Source, fmt.Sprintf("-n -w 1 -q %d --parallel 1 %v", queries, v.of(p.Target)))
		l.stdout.await(t, "\n", 1)
		meanwhile(t, l, func() { troubles[i].make(t, p, v) })
		got := l.outcome()
		if want := hop(1, v.of(p.Hop(1)), queries, ""); !strings.HasPrefix(masked(got.stdout), want) {
			t.Errorf("%v\nwant first %q", got, want)
		}
		givenUp(t, got, troubles[i], 0)
	})
}

// TestTroubleThatPasses has the trouble there before the program, which probes side by side, and mends it when three probes
// have failed.
func TestTroubleThatPasses(t *testing.T) {
	eachTrouble(t, func(t *testing.T, x trouble, p *lab.Path, v family) func(t *testing.T) {
		if x.noRoute {
			return func(*testing.T) {}
		}
		mend := x.make(t, p, v)
		l := launch(t, p.Source, fmt.Sprintf("-n -d -w 1 -q 5 %s %v", x.args, v.of(p.Target)))
		l.stderr.await(t, "debug: not sent: ", 3)
		meanwhile(t, l, mend)
		return func(t *testing.T) {
			got := l.outcome()
			whole(t, got, p, v, 5, x.mark, len(notSent.FindAllString(got.stderr, -1)), 0)
		}
	})
}

// notSent are probes for the hops of a chain of three that could not be sent. Others went, or were to go, beyond the target.
var notSent = regexp.MustCompile(`debug: not sent: ttl [1-3] `)

// TestNothingSent has trouble that stays, and traces that end before 20 probes have failed: the exit code and the JSON say all
// the same that nothing was sent, and not that nobody answered.
func TestNothingSent(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	troubles[slices.IndexFunc(troubles, func(x trouble) bool { return x.name == "firewall" })].make(t, p, ip4)
	for _, v := range []family{ip4, ip6} {
		for _, args := range []string{"-m 3", "-m 1 -q 1", "-m 1 -q 1 --parallel 1", "-m 2 --track-port", "-m 3 --explain", "-m 3 --report -c 2 --interval 0.1", "-m 3 --mtu"} {
			got := run(t, p.Source, program(t), strings.Fields(fmt.Sprintf("-n -w 1 %s %v", args, v.of(p.Target)))...)
			told := regexp.MustCompile(`\n(\d+ probes in a row|1 probe) could not be sent: sending: operation not permitted\n$`).MatchString(got.stderr)
			if got.code != 2 || !told || strings.Contains(got.stdout, "*") {
				t.Errorf("IPv%d %s: %v", v, args, got)
			}
		}
		for _, args := range []string{"--json", "--json --explain", "--jsonl"} {
			got := run(t, p.Source, program(t), strings.Fields(fmt.Sprintf("-n -w 1 -m 3 %s %v", args, v.of(p.Target)))...)
			for _, want := range []string{`"reached": *false`, `"state": *"not_sent"`, `"reason": *"not_sent"`, `"exit_code": *2`} {
				if got.code != 2 || !regexp.MustCompile(want).MatchString(got.stdout) {
					t.Errorf("IPv%d %s: no %s in %v", v, args, want, got)
				}
			}
			codes := regexp.MustCompile(`(?m)^      "code": *"(.*)"`).FindAllStringSubmatch(got.stdout, -1)
			if strings.Contains(args, "--explain") && (len(codes) != 1 || codes[0][1] != "this-host") {
				t.Errorf("IPv%d: nothing was sent, and the findings are %q, not this host's alone", v, codes)
			}
		}
	}
}

// TestNothingSentByConnections is the same for who may not open raw sockets: the next hop doesn't answer.
func TestNothingSentByConnections(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	for _, v := range []family{ip4, ip6} {
		v.ip(t, p.Source, "route replace default via "+pick(v, "198.18.1.77", "2001:db8:1::77"))
		got := noRights(t, p.Source, program(t), fmt.Sprintf("-n -w 1 -m 2 -q 1 --json %v", v.of(p.Target)))
		if got.code != 2 || !strings.Contains(got.stdout, `"state": "not_sent"`) {
			t.Errorf("IPv%d: %v", v, got)
		}
	}
}

// TestIPv6SourceRemoved takes the source's address away in mid-trace: the kernel lets a raw socket go on with it, so the
// probes leave and are answered, and that is what must be shown.
func TestIPv6SourceRemoved(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Source.Sysctl(t, "net.ipv6.conf.all.forwarding", "0") // else it sends on what is no longer its own
	l := launch(t, p.Source, fmt.Sprintf("-n -w 1 -q 50 --parallel 1 %v", p.Target.V6()))
	l.stdout.await(t, "\n", 1)
	p.Source.IP(t, fmt.Sprintf("addr del %v/64 dev eth0", p.Source.V6()))
	l.outcome().expect(t, routers(p, ip6, 2, 50)+hop(3, fmt.Sprintf("%v [closed]", p.Target.V6()), 50, ""), "", 0)
}

// TestNextHopSilent has a first router that doesn't answer ARP or neighbour discovery: no probe gets anywhere, which is this
// host's trouble, and no hop.
func TestNextHopSilent(t *testing.T) {
	t.Parallel()
	var s sideBySide
	for _, args := range []string{"", "-w 1", "-w 5", "-w 1 -q 5 -m 1 --parallel 1"} {
		for _, v := range []family{ip4, ip6} {
			s.begin(t, fmt.Sprintf("IPv%d %s", v, args), func(t *testing.T) func(t *testing.T) {
				p := lab.Chain(t, lab.ChainOptions{Hops: 3})
				nobody := pick(v, "198.18.1.77", "2001:db8:1::77")
				v.ip(t, p.Source, "route replace default via "+nobody)
				l := launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target)))
				hidden := hiddenProbes
				if strings.Contains(args, "--parallel 1") {
					hidden = 0
				}
				return func(t *testing.T) { nextHopSilent(t, l.outcome(), nobody, hidden) }
			})
		}
	}
	s.finish(t)
}

// nextHopSilent checks that no probe got beyond a next hop that doesn't answer, and that this is said to be this host's trouble.
// So many of them, at the most, belong to no hop that is shown.
func nextHopSilent(t *testing.T, got outcome, who string, hidden int) {
	t.Helper()
	shown, failed := strings.Count(got.stdout, "<EHOSTUNREACH>"), 0
	if _, rest, ok := strings.Cut(got.stderr, "\n<EHOSTUNREACH>: "); ok {
		fmt.Sscan(rest, &failed)
	}
	text := fmt.Sprintf("next hop %s on eth0 does not answer (no ARP or neighbour discovery reply)", who)
	tail := fmt.Sprintf(" hops max\n<EHOSTUNREACH>: %d probes not sent: %s\n%[1]d probes in a row could not be sent: %[2]s\n", failed, text)
	if shown == 0 || failed < shown || failed > shown+hidden || !strings.HasSuffix(got.stderr, tail) || strings.Contains(got.stdout, "*") || got.code != 2 {
		t.Errorf("%v\nwant stderr to end with %q", got, tail)
	}
}

// TestNextHopFallsSilent has the first router die in mid-trace.
func TestNextHopFallsSilent(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		l := launch(t, p.Source, fmt.Sprintf("-n -d -w 1 -q 300 %v", v.of(p.Target)))
		l.stderr.await(t, "debug: received: .*: answers ttl 1\n", 5)
		l.stderr.await(t, "debug: received: .*: answers ttl 2\n", 5)
		nobody := pick(v, "198.18.1.77", "2001:db8:1::77")
		meanwhile(t, l, func() { v.ip(t, p.Source, "route replace default via "+nobody) })
		got := l.outcome()
		got.stderr = debugLines.ReplaceAllString(got.stderr, "")
		nextHopSilent(t, got, nobody, 0)
		for ttl := 1; ttl <= 2; ttl++ {
			n := count(fates(t, got.stdout, ttl))
			if delete(n, "<EHOSTUNREACH>"); n[v.of(p.Hop(ttl)).String()] < 5 || len(n) != 1 {
				t.Errorf("hop %d: %v", ttl, n)
			}
		}
	})
}

var debugLines = regexp.MustCompile(`(?m)^debug: .*\n`)

// TestRouteChange moves the path from one router to another while the second hop is probed. Both are shown, in the order in
// which they answered, and nothing else.
func TestRouteChange(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--parallel 1", "--parallel 16"} {
		t.Run(args, func(t *testing.T) {
			families(t, func(t *testing.T, v family) {
				m := lab.Diamond(t, lab.DiamondOptions{})
				m.Target.Listen(t, 80)
				eventually(t, "a trace with a change in its midst", func() bool { return routeChanges(t, v, m, args) })
			})
		})
	}
}

// routeChanges changes the route while a trace goes on, and compares what is shown with what was on the wire. It reports
// whether the wire had both routes: on a busy machine the trace may be over before the change.
func routeChanges(t *testing.T, v family, m *lab.Mesh, args string) bool {
	t.Helper()
	const queries = 200
	by := func(i int) {
		v.ip(t, m.Split, fmt.Sprintf("route replace default via %v", v.of(m.Middle[i])))
	}
	by(0)
	recorded := m.Source.Interfaces[0].Capture(t)
	l := launch(t, m.Source, fmt.Sprintf("-n -w 1 -q %d %s %v", queries, args, v.of(m.Target)))
	eventually(t, "three probes for the second hop", func() bool { return ttls(recorded.Packets(), 2) >= 3 })
	if stopped(t, l) {
		by(1)
		l.signal(t, unix.SIGCONT)
	}
	got := l.outcome()

	told := truth(recorded.Stop(t), 80)
	for ttl := 1; ttl <= 3; ttl++ {
		if shown := fates(t, got.stdout, ttl); !slices.Equal(shown, told[ttl]) {
			t.Errorf("hop %d shows %v\nthe wire had %v", ttl, shown, told[ttl])
		}
	}
	n := count(told[2])
	before, after := n[v.of(m.Middle[0]).String()], n[v.of(m.Middle[1]).String()]
	if before == 0 || after+before == 0 || len(n) > 2 || got.code != 0 {
		t.Errorf("the wire had %v\n%v", told, got)
	}
	return after > 0
}

// ttls counts the probes to port 80 with a TTL that a capture at the source saw leave.
func ttls(packets []lab.Packet, ttl uint8) (n int) {
	for _, r := range probesTo(packets, 80) {
		if r.IP.TTL == ttl {
			n++
		}
	}
	return n
}

// TestDeadResolver runs with a name server that swallows every question: the names are missed, and little time.
func TestDeadResolver(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 9})
		p.Target.Listen(t, 80)
		dead := p.Target
		dead.Filter(t, "input", "udp dport 53 drop", "tcp dport 53 drop")
		p.Source.SetFile(t, "/etc/resolv.conf", fmt.Sprintf("nameserver %v\n", v.of(dead)))
		asked := dead.Interfaces[0].Capture(t)
		want := routers(p, v, 8, 3) + hop(9, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		timed := func(args string) time.Duration {
			l := launch(t, p.Source, fmt.Sprintf("%s %v", args, v.of(p.Target)))
			began := time.Now()
			l.outcome().expect(t, want, "", 0)
			return time.Since(began)
		}
		eventually(t, "names that cost less than 2 s", func() bool { return timed("-N")-timed("-n") < 2*time.Second }) // promised is 1 s
		if !slices.ContainsFunc(asked.Stop(t), func(p lab.Packet) bool { return !p.Out && dns(p.Data) }) {
			t.Error("the name server was never asked")
		}
	})
}

// dns reports whether a packet is a UDP datagram to port 53.
func dns(b []byte) bool {
	at, protocol := 40, b[6]
	if b[0]>>4 == 4 {
		at, protocol = 20, b[9]
	}
	return protocol == unix.IPPROTO_UDP && b[at+2] == 0 && b[at+3] == 53
}

// TestFlood sends ICMP errors about other connections as fast as it can while a trace runs. The kernel throws them away
// before they cost the program anything.
func TestFlood(t *testing.T) {
	lab.NeedProgram(t, "ss")
	t.Parallel()
	for _, v := range []family{ip4, ip6} {
		t.Run(fmt.Sprintf("IPv%d", v), func(t *testing.T) { // one after the other: they need a processor each
			const enough, queries = 1000, 300
			p := lab.Chain(t, lab.ChainOptions{Hops: 3})
			forged := aboutOthers(v, p)
			inject := injector(t, p.Routers[0].Interfaces[0])
			l := launch(t, p.Source, fmt.Sprintf("-n -w 2 -q %d %v", queries, v.of(p.Target)))
			port := l.port(t)
			before, overflown := peakMemory(t, l), backlogOverflown(t)
			var sent atomic.Int64
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				for n := 0; ; n++ {
					select {
					case <-l.done:
						return
					default:
					}
					inject(forged[n%len(forged)])
					sent.Add(1)
				}
			}()
			eventually(t, "the flood", func() bool { return sent.Load() >= enough })
			select {
			case <-l.done:
				t.Fatalf("the trace ended too early\n%v", l.outcome())
			default:
			}
			var sockets string
			eventually(t, "a packet socket that hears", func() bool { // before that its filter lets nothing in
				meanwhile(t, l, func() { sockets = p.Source.Run(t, "ss", "-0bpH") })
				return strings.Contains(sockets, fmt.Sprintf(",pid=%d,", l.Process.Pid)) && !strings.Contains(sockets, "(1):")
			})
			grown := 0
			for running := true; running; {
				select {
				case <-l.done:
					running = false
				case <-time.After(10 * time.Millisecond):
					if now, ok := peakMemoryOf(l); ok {
						grown = now - before
					}
				}
			}
			got := l.outcome()
			<-flooded
			t.Logf("%d forged packets, %d KiB more memory, %v of processor time",
				sent.Load(), grown>>10, l.ProcessState.UserTime()+l.ProcessState.SystemTime())

			lost := 0
			for ttl := 1; ttl <= 3; ttl++ {
				n := count(fates(t, got.stdout, ttl))
				lost += n["*"]
				if n[v.of(p.Hop(ttl)).String()]+n["*"] != queries {
					t.Errorf("hop %d: %v", ttl, n)
				}
			}
			// The links may lose one; and more where the machine is too slow for what it floods itself with.
			if lost > 3*queries/100 && backlogOverflown(t) == overflown || got.code != 0 {
				t.Errorf("%d probes lost\n%v", lost, got)
			}
			if grown > 8<<20 {
				t.Errorf("the program grew by %d bytes", grown)
			}
			// The filter is shown as it was attached: it compares with our port (0x15: jump if equal).
			filter := fmt.Sprintf(`,pid=%d,.*\n.*\n?.*bpf filter \(\d+\):.* 0x15 \d+ \d+ %d,`, l.Process.Pid, port)
			if !regexp.MustCompile(filter).MatchString(sockets) {
				t.Errorf("no filter for port %d on the packet socket of process %d:\n%s", port, l.Process.Pid, sockets)
			}
		})
	}
}

// backlogOverflown is how many packets this machine's processors have thrown away because they had too many to work on
// (net.core.netdev_max_backlog), which no link in a lab is told.
func backlogOverflown(t testing.TB) (n uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var processed, dropped uint64
		if _, err := fmt.Sscanf(line, "%x %x", &processed, &dropped); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		n += dropped
	}
	return n
}

// aboutOthers are ICMP errors of many kinds about connections of the source's that are none of the program's.
func aboutOthers(v family, p *lab.Path) (all [][]byte) {
	for n := range 1000 {
		probe := packet.Probe{
			Src: netip.AddrPortFrom(v.of(p.Source), uint16(1+n)), // a kernel's choice is far above
			Dst: netip.AddrPortFrom(v.of(p.Target), 80),
			TTL: 1, Seq: rand.Uint32(), Flags: packet.SYN, ID: uint16(n),
		}
		quote, err := probe.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		b, err := packet.AppendICMP(nil, &packet.ICMPError{
			Src: v.of(p.Routers[n%2]), Dst: v.of(p.Source), TTL: 60,
			Type: pick(v, []uint8{11, 3, 12}, []uint8{3, 1, 4})[n%3], Quote: quote,
		})
		if err != nil {
			panic(err)
		}
		all = append(all, b)
	}
	return all
}

// peakMemory is the most memory that the program has had in use so far, in bytes.
func peakMemory(t testing.TB, l *live) int {
	t.Helper()
	bytes, ok := peakMemoryOf(l)
	if !ok {
		t.Fatalf("the program has ended\n%v", l.outcome())
	}
	return bytes
}

// peakMemoryOf is the same; ok is false if the program has ended.
func peakMemoryOf(l *live) (bytes int, ok bool) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.Process.Pid))
	_, rest, _ := strings.Cut(string(status), "\nVmHWM:")
	_, err := fmt.Sscanf(rest, "%d kB", &bytes)
	return bytes << 10, err == nil
}

// TestInterrupted ends a trace by a signal: what is known by then is printed.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			families(t, func(t *testing.T, v family) {
				p := lab.Chain(t, lab.ChainOptions{Hops: 3, Silent: []int{2}})
				p.Target.Listen(t, 80)
				want := regexp.MustCompile("^" + regexp.QuoteMeta(hop(1, v.of(p.Hop(1)), 2, "")) + " 2 ?\n" +
					regexp.QuoteMeta(hop(3, fmt.Sprintf("%v [open]", v.of(p.Target)), 2, "")) + "$")
				// How many more probes it takes until the target's hop is known differs from run to run: then nothing more is
				// sent, for silence takes its time.
				eventually(t, "a signal after the target's hop is known, and before the wait is over", func() bool {
					l := launch(t, p.Source, fmt.Sprintf("-n -d -w 60 -q 2 %v", v.of(p.Target)))
					l.stderr.await(t, "debug: received: .*: answers ttl 1\n", 2)
					l.stderr.await(t, "debug: received: .*: answers ttl (3|30)\n", 2)
					looks, known := 0, ""
					eventually(t, "nothing more to be sent", func() bool {
						if now := l.stderr.String(); now != known {
							looks, known = 0, now
						}
						looks++
						return looks > 300
					})
					l.signal(t, signal)
					got := l.outcome()
					if !strings.HasSuffix(got.stderr, "\nInterrupted\n") || got.code != 128+int(signal) || !strings.HasPrefix(got.stdout, " 1  ") {
						t.Errorf("%v", got)
					}
					return want.MatchString(masked(got.stdout))
				})
			})
		})
	}
}

// TestNobodyReads closes the other end of standard output after the first hop. The trace, which would take half a minute,
// ends at the next hop, and nothing is said.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Routers[1].Drop(t, "tcp dport 80")
	recorded := p.Source.Interfaces[0].Capture(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := prepare(t, p.Source, program(t), fmt.Sprintf("-n -w 1 -q 1 --parallel 1 %v", p.Target.V4()))
	l.Stdout = w
	l.begin(t)
	w.Close()
	first, err := bufio.NewReader(r).ReadString('\n')
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	got := l.outcome()
	if want := hop(1, p.Hop(1).V4(), 1, ""); masked(first) != want {
		t.Errorf("%q, want %q", first, want)
	}
	if got.code == 0 || strings.Count(got.stderr, "\n") != 2 {
		t.Errorf("%v\nwant an exit code above 0 (or SIGPIPE), and the two header lines", got)
	}
	if n := len(probesTo(recorded.Stop(t), 80)); n > 5 {
		t.Errorf("%d probes were sent for a reader who had gone after the first", n)
	}
}

// TestDiskFull can't write its output.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Routers[1].Drop(t, "tcp dport 80")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	recorded := p.Source.Interfaces[0].Capture(t)
	l := prepare(t, p.Source, program(t), fmt.Sprintf("-n -w 1 -q 1 --parallel 1 %v", p.Target.V4()))
	l.Stdout = full
	l.begin(t)
	l.outcome().expect(t, "", "writing: write /dev/stdout: no space left on device\n", 1)
	if n := len(probesTo(recorded.Stop(t), 80)); n > 5 {
		t.Errorf("%d probes were sent after nothing could be written any more", n)
	}
	for _, args := range []string{
		"--json", "--jsonl", "--csv", "--format svg", "--format html", "--format dot", "--format mermaid", "--format atlas",
		"--format scamper", "--format mtr-json", "--explain --json", "--explain", "--paths --json", "--paths --format svg",
		"--report -c 1", "--report -c 1 --json", "--mtu --json", "--in-session --json",
	} {
		l := prepare(t, p.Source, program(t), fmt.Sprintf("-n -w 1 -m 3 %s %v 81", args, p.Target.V4()))
		l.Stdout = full
		l.begin(t)
		const lost = "no space left on device\n"
		if got := l.outcome(); got.code != 1 || !strings.HasSuffix(got.stderr, lost) {
			t.Errorf("%s: %v\nwant the exit code 1, and at the end %q", args, got, lost)
		}
	}
}

// TestStopped stops the program for 5 s. Answers that came meanwhile count, with the time that they really took; probes that
// were due meanwhile are asked again and not called lost; and what was not sent is not sent all at once.
func TestStopped(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const queries = 200
		stop, stopped := make(chan struct{}), make(chan struct{})

		// The only probe is answered while the program is stopped.
		h := respond(t, v, func(probe *packet.Reply, data []byte) [][]byte {
			stop <- struct{}{}
			<-stopped
			return [][]byte{exceeded(v, tunRouter(v, 1), probe, data)}
		})
		answered := launch(t, h, fmt.Sprintf("-n -w 4 -m 1 -q 1 %v", tunFar[v]))
		<-stop
		halt(t, answered)
		stopped <- struct{}{}

		// From the first probe for the second hop on, nothing is answered while the program is stopped.
		var mu sync.Mutex
		var seen []time.Time // probes
		second := 0          // of them, those for the second hop
		swallowed := 0       // of these, those that were never answered
		deaf := false        // nothing is answered
		h = respond(t, v, func(probe *packet.Reply, data []byte) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, time.Now())
			if probe.IP.TTL == 2 {
				if second++; second == 1 {
					deaf = true
					stop <- struct{}{}
					<-stopped
				}
				if deaf {
					swallowed++
				}
			}
			if deaf {
				return nil
			}
			return [][]byte{exceeded(v, tunRouter(v, int(probe.IP.TTL)), probe, data)}
		})
		asking := launch(t, h, fmt.Sprintf("-n -m 3 -w 4 -q %d %v", queries, tunFar[v])) // a busy machine's answers are late, too
		<-stop
		halt(t, asking)
		stopped <- struct{}{}

		time.Sleep(5 * time.Second) // not to wait for something: this long it is stopped
		mu.Lock()
		deaf = false
		mu.Unlock()
		resumed := time.Now()
		answered.signal(t, unix.SIGCONT)
		asking.signal(t, unix.SIGCONT)

		got := answered.outcome()
		got.expect(t, hop(1, tunRouter(v, 1), 1, ""), "Destination not reached\n", 1)
		if ms := onlyTime(t, got.stdout); ms > 4000 {
			t.Errorf("%v\nthe answer was there long before", got)
		}
		var rows string
		for ttl := 1; ttl <= 3; ttl++ {
			rows += hop(ttl, tunRouter(v, ttl), queries, "")
		}
		asking.outcome().expect(t, rows, "Destination not reached\n", 1)
		mu.Lock()
		defer mu.Unlock()
		if swallowed == 0 || second != queries+swallowed {
			t.Errorf("%d probes for the second hop, not %d and the %d that were asked again", second, queries, swallowed)
		}
		burst := 0
		for _, at := range seen {
			if at.After(resumed) && at.Before(resumed.Add(100*time.Millisecond)) {
				burst++
			}
		}
		if burst > 150 { // it sends one a millisecond
			t.Errorf("%d of %d probes in the first 100 ms", burst, len(seen))
		}
	})
}

// meanwhile does something while the program is stopped, so that it is done before the trace is over, however long it takes.
func meanwhile(t *testing.T, l *live, do func()) {
	t.Helper()
	halt(t, l)
	do()
	l.signal(t, unix.SIGCONT)
}

// halt stops a program, and waits until it has stopped.
func halt(t *testing.T, l *live) {
	t.Helper()
	if !stopped(t, l) {
		t.Fatalf("over before it could be stopped: %v", l.outcome())
	}
}

// stopped stops a program, unless it is over.
func stopped(t *testing.T, l *live) (ok bool) {
	t.Helper()
	if err := l.Process.Signal(unix.SIGSTOP); errors.Is(err, os.ErrProcessDone) {
		return false
	} else if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stopped program", func() bool {
		select {
		case <-l.done:
			return true
		default:
			ok = state(t, l) == "T"
			return ok
		}
	})
	return ok
}

// state is the letter by which ps(1) tells a program's state.
func state(t testing.TB, l *live) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.Process.Pid))
	if err != nil { // it is over
		return "Z"
	}
	_, fields, _ := strings.Cut(string(b), ") ")
	return fields[:1]
}

// onlyTime is the only time in a text.
func onlyTime(t testing.TB, s string) float64 {
	t.Helper()
	ms, err := strconv.ParseFloat(strings.TrimSuffix(someTime.FindString(s), " ms"), 64)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return ms
}

// TestFewDescriptors runs with fewer and fewer file descriptors: the program works, or says in one line what it lacks.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	path := program(t)
	limited := func(n int, args string) outcome {
		return run(t, p.Source, "sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s %s %v", n, path, args, p.Target.V4()))
	}
	// The shell itself needs some to start.
	const fewest = 4
	worked := 0
	for n := 32; n >= fewest; n-- {
		got := limited(n, "-n -q 1")
		switch {
		case got.code == 0:
			if worked != 0 && worked != n+1 {
				t.Errorf("%d are enough, and %d are not", n, n+1)
			}
			worked = n
		case !tooMany.MatchString(got.stderr) || got.stdout != "" || got.code != 2:
			t.Errorf("with %d: %v", n, got)
		}
	}
	if worked == 0 || worked == fewest {
		t.Errorf("the fewest that are enough: %d", worked)
	}
	got := limited(32, "-n --track-port")
	if !strings.Contains(got.stderr, "Tracing without reserving the source port (too many open files)") || got.code != 0 {
		t.Errorf("with a port for each probe: %v", got)
	}
}

var tooMany = regexp.MustCompile(`^[^\n]+: too many open files\n$`)

// TestPortInUse wants a source port that somebody else has.
func TestPortInUse(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 2})
		p.Target.Listen(t, 80)
		p.Source.Listen(t, 4321)
		const refused = "Sorry, requested local port is already in use.  Use -P, instead of -p, to override.\n"
		whole := hop(1, v.of(p.Hop(1)), 3, "") + hop(2, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		if got := launch(t, p.Source, fmt.Sprintf("-n -p 4321 %v", v.of(p.Target))).outcome(); got != (outcome{"", refused, 1}) {
			t.Errorf("%v\nwant %q", got, refused)
		}
		l := launch(t, p.Source, fmt.Sprintf("-n -P 4321 %v", v.of(p.Target)))
		if port := l.port(t); port != 4321 {
			t.Errorf("sent from port %d", port)
		}
		l.outcome().expect(t, whole, "", 0)

		// Two runs want the same port: one has it as long as it runs.
		p.Routers[0].Drop(t, "tcp dport 81")
		long := launch(t, p.Source, fmt.Sprintf("-n -p 4322 -w 60 %v 81", v.of(p.Target)))
		long.port(t)
		if got := launch(t, p.Source, fmt.Sprintf("-n -p 4322 %v", v.of(p.Target))).outcome(); got != (outcome{"", refused, 1}) {
			t.Errorf("%v\nwant %q", got, refused)
		}
		long.signal(t, unix.SIGINT)
		long.outcome()
		launch(t, p.Source, fmt.Sprintf("-n -p 4322 %v", v.of(p.Target))).outcome().expect(t, whole, "", 0)
	})
}
