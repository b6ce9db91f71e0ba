package test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// What this host itself does to the packets that it sends: it translates addresses and ports, marks packets and routes them by the
// mark, has rules for routes and several uplinks. The trace is that of an ordinary connection, in the network of newFork:
//
//	          .1.1 - a - .3.
//	source <                 > c - .5.1 - .5.2 target
//	          .2.1 - b - .4.

// ownWay is one such situation.
type ownWay struct {
	name    string
	prepare func(t *testing.T, f *fork, v family)
	args    string    // of the program
	to      [2]string // the target, in IPv4 and IPv6, if it is not the real one
	port    int       // 0: 80
	by      string    // the uplink: "a", "b", or "lo" where the target is one hop away; "ab", "ba": by one and back by the other
	device  string    // that is said to be selected; "": that of the uplink
	says    string    // pattern of what is said to differ; "": nothing
	peers   string    // arguments of traceroute that mean the same as args
	from    string    // the source address of an ordinary connection; "": none given
	oneWay  bool      // there is no route to where routers answer from, which rp_filter would mind
	mark    int       // of the connection
	tos     int       // of the connection
	without [2]string // what an ordinary user's trace shows instead of a router's address
	raw     bool      // an ordinary user has no such option
}

const ownAddress = "10.66.0.1"

// natChain is a chain of the inet family for translation.
func natChain(hook, priority, rule string) string {
	return fmt.Sprintf("chain %s { type nat hook %s priority %s; %s; }\n", hook, hook, priority, rule)
}

func source(f *fork, v family, i int) netip.Addr { return v.at(f.source.Interfaces[i]) }

func lookupSecond(t *testing.T, f *fork, v family, rule string) {
	v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 table 7", v.at(f.source.Interfaces[1].Peer)))
	v.ip(t, f.source, "rule add "+rule+" lookup 7")
}

var ownWays = []ownWay{
	{
		name: "source masqueraded", by: "a", args: "-s {own}", from: "{own}", peers: "-s {own}", says: `from {1}:\d+, not from {own}:\d+`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.NFT(t, natChain("postrouting", "srcnat", `oifname "eth*" masquerade`))
		},
	},
	{
		name: "ports at random", by: "a", says: `from port 2\d{4}, not from port \d+`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.NFT(t, natChain("postrouting", "srcnat", `meta l4proto tcp masquerade to :20000-29999 fully-random`))
		},
	},
	{
		name: "source from a range", by: "a", says: `from {range}:\d+, not from {1}:\d+`,
		prepare: func(t *testing.T, f *fork, v family) {
			for i := range 4 {
				v.ip(t, f.source, fmt.Sprintf("addr add %s%d/%d dev eth0 %s", pick(v, "198.18.1.7", "2001:db8:1::7"), i, pick(v, 32, 128), pick(v, "", "nodad preferred_lft 0")))
			}
			f.source.NFT(t, natChain("postrouting", "srcnat", pick(v, "snat ip to 198.18.1.70-198.18.1.73", "snat ip6 to 2001:db8:1::70-2001:db8:1::73")))
		},
	},
	{
		name: "a service's address", by: "a", to: [2]string{"10.96.0.10", "2001:db8:96::10"}, port: 443, says: `to {target}:8080, not to {to}:443`,
		without: [2]string{"10.96.0.10", "2001:db8:96::10"},
		prepare: func(t *testing.T, f *fork, v family) {
			f.target.Listen(t, 8080)
			f.source.NFT(t, natChain("output", "-100", pick(v, "ip daddr 10.96.0.10 tcp dport 443 dnat ip to 198.18.5.2:8080",
				"ip6 daddr 2001:db8:96::10 tcp dport 443 dnat ip6 to [2001:db8:5::2]:8080")))
		},
	},
	{
		name: "a service's address, masqueraded at random", by: "a", to: [2]string{"10.96.0.10", "2001:db8:96::10"}, port: 443,
		args: "-s {own}", peers: "-s {own}", from: "{own}", says: `from {1}:2\d{4} to {target}:8080, not from {own}:\d+ to {to}:443`,
		without: [2]string{"10.96.0.10", "2001:db8:96::10"},
		prepare: func(t *testing.T, f *fork, v family) {
			f.target.Listen(t, 8080)
			f.source.NFT(t, natChain("output", "-100", pick(v, "ip daddr 10.96.0.10 tcp dport 443 dnat ip to 198.18.5.2:8080",
				"ip6 daddr 2001:db8:96::10 tcp dport 443 dnat ip6 to [2001:db8:5::2]:8080"))+
				natChain("postrouting", "srcnat", `meta l4proto tcp masquerade to :20000-29999 random`))
		},
	},
	{
		name: "another port", by: "a", port: 90, says: `to port 8080, not to port 90`, without: [2]string{"{target}", "{target}"},
		prepare: func(t *testing.T, f *fork, v family) {
			f.target.Listen(t, 8080)
			f.source.NFT(t, natChain("output", "-100", `tcp dport 90 dnat `+pick(v, "ip to 198.18.5.2:8080", "ip6 to [2001:db8:5::2]:8080")))
		},
	},
	{
		name: "a proxy on this host", by: "lo", device: "eth0", port: 90, says: `to (127.0.0.1|\[?::1\]?):3128 by lo, not to {to}:90 by eth0`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.Listen(t, 3128)
			f.source.NFT(t, natChain("output", "-100", `tcp dport 90 redirect to :3128`))
		},
	},
	{
		name: "marked, by the other uplink, masqueraded", by: "b", device: "eth0", says: `from {2}:\d+ by eth1 with mark 0x7, not from {1}:\d+ by eth0 with mark 0x0`,
		prepare: func(t *testing.T, f *fork, v family) {
			lookupSecond(t, f, v, "fwmark 7")
			f.source.NFT(t, "chain output { type route hook output priority mangle; tcp dport 80 meta mark set 7; }\n"+
				natChain("postrouting", "srcnat", `oifname "eth1" masquerade`))
		},
	},
	{
		name: "marked, by the other uplink", by: "ab", device: "eth0", says: `by eth1 with mark 0x7, not by eth0 with mark 0x0`,
		prepare: func(t *testing.T, f *fork, v family) {
			lookupSecond(t, f, v, "fwmark 7")
			f.source.NFT(t, "chain output { type route hook output priority mangle; tcp dport 80 meta mark set 7; }\n")
		},
	},
	{
		name: "all leave with one TTL", by: "lo", device: "eth0", says: `with TTL 64, not with TTL \d+`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.NFT(t, "chain postrouting { type filter hook postrouting priority mangle; ip ttl set 64; ip6 hoplimit set 64; }\n")
		},
	},
	{
		name: "a TOS is set", by: "a", says: `with TOS 0xb8, not with TOS 0x0`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.NFT(t, "chain postrouting { type filter hook postrouting priority mangle; ip dscp set 46; ip6 dscp set 46; }\n")
		},
	},
	{
		name: "marked, and no more", by: "a", says: `with mark 0x9, not with mark 0x0`,
		prepare: func(t *testing.T, f *fork, v family) {
			f.source.NFT(t, "chain output { type filter hook output priority mangle; meta mark set 9; }\n")
		},
	},
	{
		name: "rule for a source", by: "b", args: "-s {2}", peers: "-s {2}", from: "{2}",
		prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, fmt.Sprintf("from %v", source(f, v, 1))) },
	},
	{
		name: "rule for a source, by its interface", by: "b", args: "-s {2} -i eth1", peers: "-s {2} -i eth1", from: "{2}",
		prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, fmt.Sprintf("from %v", source(f, v, 1))) },
	},
	{
		name: "rule for a source on loopback", by: "ba", args: "-s {own}", peers: "-s {own}", from: "{own}",
		prepare: func(t *testing.T, f *fork, v family) {
			lookupSecond(t, f, v, "from "+own(v))
			for _, h := range []*lab.Host{f.a, f.b} {
				v.ip(t, h, fmt.Sprintf("route add %s via %v", own(v), v.at(h.Interfaces[0].Peer)))
			}
			v.ip(t, f.c, fmt.Sprintf("route add %s via %v", own(v), v.at(f.c.Interfaces[0].Peer)))
		},
	},
	{
		name: "rule for a TOS", by: "b", args: "-t 16", peers: "-t 16", tos: 16,
		prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, "tos 0x10") },
	},
	{
		name: "rule for a mark", by: "b", args: "--mark 7", peers: "--fwmark=7", mark: 7, raw: true,
		prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, "fwmark 7") },
	},
	{
		name: "rule for TCP", by: "b", prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, "ipproto tcp") },
	},
	{
		name: "rule for a port, two defaults", by: "b",
		prepare: func(t *testing.T, f *fork, v family) {
			v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 metric 2000", v.at(f.source.Interfaces[1].Peer)))
			lookupSecond(t, f, v, "ipproto tcp dport 80")
		},
	},
	{
		name: "rule for a port", by: "b", prepare: func(t *testing.T, f *fork, v family) { lookupSecond(t, f, v, "ipproto tcp dport 80") },
	},
	{
		name: "rule for a port, no other route", by: "b", oneWay: true,
		prepare: func(t *testing.T, f *fork, v family) {
			v.ip(t, f.source, "route del default")
			lookupSecond(t, f, v, "ipproto tcp dport 80")
		},
	},
	{
		name: "a VPN's split routes", by: "b",
		prepare: func(t *testing.T, f *fork, v family) {
			// As wg-quick(8) does it: all but the tunnel's own packets, by another table, unless the main one knows more than a default.
			v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 table 51820", v.at(f.source.Interfaces[1].Peer)))
			v.ip(t, f.source, "rule add not fwmark 51820 table 51820")
			v.ip(t, f.source, "rule add table main suppress_prefixlength 0")
		},
	},
}

func own(v family) string { return pick(v, ownAddress, "2001:db8:66::1") }

// expand puts the addresses of the lab into a text.
func (w *ownWay) expand(f *fork, v family, text string) string {
	to := v.of(f.target).String()
	if w.to[0] != "" {
		to = pick(v, w.to[0], w.to[1])
	}
	end := func(a string) string {
		if v == ip6 {
			return "[" + a + "]"
		}
		return a
	}
	r := strings.NewReplacer("{own}:", end(own(v))+":", "{1}:", end(source(f, v, 0).String())+":", "{2}:", end(source(f, v, 1).String())+":",
		"{target}:", end(v.of(f.target).String())+":", "{to}:", end(to)+":", "{range}:", pick(v, "198.18.1.7.", "[2001:db8:1::7.]")+":",
		"{own}", own(v), "{1}", source(f, v, 0).String(), "{2}", source(f, v, 1).String(), "{to}", to, "{target}", v.of(f.target).String())
	return r.Replace(text)
}

// pattern is expand for a regular expression.
func (w *ownWay) pattern(f *fork, v family) *regexp.Regexp {
	text := w.expand(f, v, w.says)
	text = strings.NewReplacer("[2001", `\[2001`, "]:", `\]:`).Replace(text)
	return regexp.MustCompile(`(?m)^This host changes the probes: they left ` + text + `$`)
}

// rows are the addresses of the hops.
func (w *ownWay) rows(f *fork, v family) []string {
	to := w.expand(f, v, "{to}")
	first, second := v.of(f.a), v.at(f.c.Interfaces[0])
	switch w.by {
	case "lo":
		return []string{to}
	case "b":
		first, second = v.of(f.b), v.at(f.c.Interfaces[1])
	case "ab": // c answers by its way back in IPv4, and from where it was asked in IPv6
		first, second = v.of(f.b), v.at(f.c.Interfaces[pick(v, 0, 1)])
	case "ba":
		first, second = v.of(f.b), v.at(f.c.Interfaces[pick(v, 0, 1)])
	}
	return []string{first.String(), second.String(), to}
}

// connects opens an ordinary connection.
func (w *ownWay) connects(t *testing.T, f *fork, v family, to string) error {
	var err error
	f.source.Do(t, func() {
		d := net.Dialer{Timeout: hangs, Control: func(_, _ string, raw syscall.RawConn) (err error) {
			raw.Control(func(fd uintptr) {
				if w.mark != 0 {
					err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, w.mark)
				}
				if err == nil && w.tos != 0 && v == ip4 {
					err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TOS, w.tos)
				} else if err == nil && w.tos != 0 {
					err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TCLASS, w.tos)
				}
			})
			return err
		}}
		if w.from != "" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(w.expand(f, v, w.from)), 0))
		}
		var c net.Conn
		if c, err = d.Dial("tcp", to); err == nil {
			c.Close()
		}
	})
	return err
}

var rowStart = regexp.MustCompile(`(?m)^ *\d+ +([0-9a-f.:]+)`)

// seen are the addresses at the beginnings of the rows of any traceroute.
func seen(stdout string) (rows []string) {
	for _, m := range rowStart.FindAllStringSubmatch(stdout, -1) {
		rows = append(rows, m[1])
	}
	return rows
}

func rightRows(got, want []string) (n int) {
	for i := range want {
		if i < len(got) && got[i] == want[i] {
			n++
		}
	}
	return n
}

// TestOwnWays traces through what the host itself does, as root and as an ordinary user, beside the old tool, traceroute and an
// ordinary connection.
func TestOwnWays(t *testing.T) {
	lab.NeedProgram(t, "traceroute", "tcptraceroute")
	lab.NeedRoot(t)
	path := program(t)
	families(t, func(t *testing.T, v family) {
		for _, w := range ownWays {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				w.try(t, path, v)
			})
		}
	})
}

func (w *ownWay) try(t *testing.T, path string, v family) {
	f := newFork(t)
	f.target.Listen(t, 80)
	f.source.AddAddr(t, netip.MustParseAddr(own(v)))
	for _, i := range []string{"all", "default", "eth0", "eth1"} {
		if !w.oneWay {
			f.source.Sysctl(t, "net.ipv4.conf."+i+".rp_filter", "2") // as distributions have it
		}
	}
	w.prepare(t, f, v)
	want, port := w.rows(f, v), max(w.port, 80)
	to := w.expand(f, v, "{to}")
	if err := w.connects(t, f, v, net.JoinHostPort(to, fmt.Sprint(port))); err != nil {
		t.Errorf("an ordinary connection: %v", err)
	}
	args := w.expand(f, v, w.args)
	got := launch(t, f.source, fmt.Sprintf("-n %s %s %d", args, to, port)).outcome()
	var text strings.Builder
	for i, r := range want {
		if i == len(want)-1 {
			r += " [open]"
		}
		text.WriteString(hop(i+1, r, 3, ""))
	}
	if masked(got.stdout) != text.String() || got.code != 0 {
		t.Errorf("%v\nwant stdout:\n%s", got, lines(text.String()))
	}
	device := w.device
	if device == "" {
		device = map[byte]string{'a': "eth0", 'b': "eth1"}[w.by[0]]
	}
	if w.by == "ab" {
		device = "eth0"
	}
	if !strings.Contains(got.stderr, "Selected device "+device+", ") {
		t.Errorf("%v\nwant device %s", got, device)
	}
	if said := strings.Count(got.stderr, "This host"); w.says == "" && said != 0 || w.says != "" && (said != 1 || !w.pattern(f, v).MatchString(got.stderr)) {
		t.Errorf("%v\nwant %v", got, w.pattern(f, v))
	}
	w.beside(t, f, v, seen(got.stdout), to, port)
	if w.raw {
		return
	}
	if w.without[0] != "" {
		for i := range want[:len(want)-1] {
			want[i] = w.expand(f, v, pick(v, w.without[0], w.without[1])) // what the kernel tells a program
		}
	}
	user := noRights(t, f.source, path, fmt.Sprintf("-n %s %s %d", args, to, port))
	hidden := strings.Contains(user.stderr, "\nRouters answered from the target's address. ")
	if rows := seen(user.stdout); fmt.Sprint(rows) != fmt.Sprint(want) || user.code != 0 || hidden != (w.without[0] != "") {
		t.Errorf("an ordinary user: %v\nwant %v", user, want)
	}
}

// TestOwnNATOptions traces in other ways through a source that is masqueraded with ports at random, and a service's address.
func TestOwnNATOptions(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		served(t, p.Target, 8080)
		service := netip.MustParseAddr(pick(v, "10.96.0.10", "2001:db8:96::10"))
		p.Source.AddAddr(t, netip.MustParseAddr(own(v)))
		p.Source.NFT(t, natChain("output", "-100", fmt.Sprintf("%s daddr %v tcp dport 443 dnat %[1]s to %[3]v", pick(v, "ip", "ip6"), service,
			netip.AddrPortFrom(v.of(p.Target), 8080)))+natChain("postrouting", "srcnat", "meta l4proto tcp masquerade to :20000-29999 fully-random; masquerade"))
		p.Routers[1].IP(t, "link set eth1 mtu 1413")
		p.Routers[2].IP(t, "link set eth0 mtu 1413")
		const said = "This host changes the probes: "
		for _, tt := range []struct{ args, stdout string }{
			{"-q 3 --in-session", "[open]"},
			{"-q 3 --track-port", "[open]"},
			{"-q 3 --syn linux --parallel 1", "[open]"},
			{"-q 3 -A", "[closed]"},
			{"-q 3 --explain", "[open]"},
			{"-q 1 --mtu", "[open]"},
		} {
			t.Run(tt.args, func(t *testing.T) {
				got := launch(t, p.Source, fmt.Sprintf("-n -w 2 -s %s %s %v 443", own(v), tt.args, service)).outcome()
				queries := 3
				rest := ""
				if tt.args == "-q 1 --mtu" {
					queries, rest = 1, fmt.Sprintf("Path MTU 1413 bytes: hop 2 (%v) says that larger packets don't fit\n", v.of(p.Hop(2)))
				}
				want := routers(p, v, 3, queries) + hop(4, service.String()+" "+tt.stdout, queries, "") + rest
				out := masked(got.stdout)
				if tt.args == "-q 3 --explain" {
					out, _, _ = strings.Cut(out, "\n\n")
					out += "\n"
				}
				if out != want || got.code != 0 || strings.Count(got.stderr, said) != 1 {
					t.Errorf("%v\nwant stdout:\n%s", got, lines(want))
				}
			})
		}
		t.Run("rounds", func(t *testing.T) {
			got := launch(t, p.Source, fmt.Sprintf("-n -s %s --report -c 3 --interval 0.1 %v 443", own(v), service)).outcome()
			if n := strings.Count(got.stdout, " 0.0%     3 "); n != 4 || got.code != 0 || strings.Count(got.stderr, said) != 1 {
				t.Errorf("%v\nwant 4 rows without loss", got)
			}
		})
		t.Run("nobody on the link", func(t *testing.T) {
			nobody := pick(v, "198.18.1.77", "2001:db8:1::77")
			got := launch(t, p.Source, fmt.Sprintf("-n -q 1 -m 1 -w 4 -s %s %s", own(v), nobody)).outcome()
			if got.stdout != " 1  <EHOSTUNREACH>\n" || !strings.Contains(got.stderr, "next hop "+nobody+" on eth0 does not answer") {
				t.Error(got) // and not the answer of a hop, under whatever address our own kernel speaks
			}
		})
	})
}

// beside runs the peers: none of them has more rows right.
func (w *ownWay) beside(t *testing.T, f *fork, v family, ours []string, to string, port int) {
	want := w.rows(f, v)
	peers := map[string][]string{"traceroute": append([]string{"-n", "-T", "-q", "1", "-w", "1", "-m", "4", "-p", fmt.Sprint(port)}, strings.Fields(w.expand(f, v, w.peers))...)}
	if v == ip4 && w.mark == 0 {
		peers["tcptraceroute"] = append([]string{"-n", "-q", "1", "-w", "1", "-m", "3"}, strings.Fields(w.expand(f, v, w.args))...)
	}
	for name, args := range peers {
		if args = append(args, to); name == "tcptraceroute" {
			args = append(args, fmt.Sprint(port))
		}
		got := finish(t, func(ctx context.Context) *lab.Cmd { return f.source.Command(ctx, name, args...) })
		theirs := rightRows(seen(got.stdout), want)
		t.Logf("rows right: ours %d, %s %d of %d", rightRows(ours, want), name, theirs, len(want))
		if theirs > rightRows(ours, want) {
			t.Errorf("%s is more right: %v", name, got)
		}
	}
}
