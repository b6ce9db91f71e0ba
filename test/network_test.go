package test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// Networks that do more than send packets on: every kind of target, link, translation and route that a trace may meet.

// TestOwnAddresses traces to the host itself.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Source.Listen(t, 80)
	eth0 := p.Source.Interfaces[0]
	for _, target := range []string{
		"127.0.0.1", "127.0.0.2", "::1", eth0.V4.String(), eth0.V6.String(), eth0.LinkLocal.String() + "%eth0",
	} {
		t.Run(target, func(t *testing.T) {
			for port, state := range map[int]string{80: "open", 81: "closed"} {
				got := launch(t, p.Source, fmt.Sprintf("-n -q 5 %s %d", target, port)).outcome()
				got.expect(t, hop(1, fmt.Sprintf("%s [%s]", target, state), 5, ""), "", 0)
				if !strings.HasPrefix(got.stderr, "Selected device lo, address ") {
					t.Errorf("%v\nwant device lo", got)
				}
			}
			leftAlone(t, p.Source)
		})
	}
}

// TestLinkLocal traces to a neighbour by the address that it has on the link only.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Routers[0].Listen(t, 80)
	p.Routers[0].Filter(t, "input", "tcp dport 82 reject with icmpx type admin-prohibited", "tcp dport 83 drop")
	eth0 := p.Source.Interfaces[0]
	who := eth0.Peer.LinkLocal.String()
	header := regexp.MustCompile(`^Selected device eth0, address ` + eth0.LinkLocal.String() + `, port \d+ for outgoing packets\n`)
	for _, tt := range []struct {
		args, stdout, rest string
		code               int
	}{
		{args: who + "%eth0", stdout: hop(1, who+"%eth0 [open]", 3, "")},
		{args: fmt.Sprintf("%s%%%d", who, eth0.Index), stdout: hop(1, fmt.Sprintf("%s%%%d [open]", who, eth0.Index), 3, "")},
		{args: "-s " + eth0.LinkLocal.String() + " " + who + "%eth0", stdout: hop(1, who+"%eth0 [open]", 3, "")},
		{args: who + "%eth0 81", stdout: hop(1, who+"%eth0 [closed]", 3, "")},
		{args: who + "%eth0 82", stdout: hop(1, who+"%eth0", 3, " !A")},
		{args: "-w 1 -m 1 " + who + "%eth0 83", stdout: " 1  * * *\n", rest: "Destination not reached\n", code: 1},
		{args: "--track-port " + who + "%eth0", stdout: hop(1, who+"%eth0 [open]", 3, "")},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := launch(t, p.Source, "-n "+tt.args).outcome()
			got.expect(t, tt.stdout, tt.rest, tt.code)
			if !header.MatchString(got.stderr) && !strings.Contains(tt.args, "track-port") {
				t.Errorf("%v\nwant stderr to begin with %v", got, header)
			}
			leftAlone(t, p.Routers[0])
		})
	}
	if got, want := launch(t, p.Source, "-n "+who+"%nosuch").outcome(), (outcome{"", "connect: No such device: nosuch\n", 1}); got != want {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// TestTargets traces to targets that are open, closed, filtered and rejected in every place where that is done.
func TestTargets(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 80)
		r3 := p.Routers[2]
		r3.Drop(t, "tcp dport 82")
		r3.Reset(t, "tcp dport 83")
		r3.Filter(t, "forward", "tcp dport 84 reject with icmpx type admin-prohibited", "tcp dport 85 reject with icmpx type port-unreachable")
		p.Target.Filter(t, "input", "tcp dport 86 drop", "tcp dport 87 reject", "tcp dport 88 reject with tcp reset")
		target := v.of(p.Target).String()
		elsewhere := pick(v, "198.18.77.7", "2001:db8:77::7") // not behind the target
		const silence = " 4  * * *\n 5  * * *\n"
		const unreached = "Destination not reached\n"
		for _, tt := range []struct {
			name   string
			to     string
			stdout string // after the routers
			rest   string
			code   int
			once   bool // the kernel says it seldom
		}{
			{name: "open", to: target, stdout: hop(4, target+" [open]", 3, "")},
			{name: "closed", to: target + " 81", stdout: hop(4, target+" [closed]", 3, "")},
			{name: "filtered by a router", to: target + " 82", stdout: silence, rest: unreached, code: 1},
			{name: "filtered by the target", to: target + " 86", stdout: silence, rest: unreached, code: 1},
			{name: "reset by a router", to: target + " 83", stdout: hop(4, target+" [closed]", 3, "")},
			{name: "reset by the target's firewall", to: target + " 88", stdout: hop(4, target+" [closed]", 3, "")},
			{name: "prohibited by a router", to: target + " 84", stdout: hop(4, v.of(r3), 3, pick(v, " !A", " !A"))},
			{name: "port unreachable, says a router", to: target + " 85", stdout: hop(4, v.of(r3), 3, " !p")},
			{name: "port unreachable, says the target", to: target + " 87", stdout: hop(4, target, 3, " !p")},
			{name: "no route", to: elsewhere, stdout: hop(4, target, 3, " !N"), once: true},
		} {
			for i, how := range []string{"", "--parallel 1", "--track-port"} {
				if tt.once && i > 0 || tt.code != 0 && how == "--parallel 1" { // which takes its time
					continue
				}
				t.Run(tt.name+" "+how, func(t *testing.T) {
					got := launch(t, p.Source, fmt.Sprintf("-n -w 1 -m 5 %s %s", how, tt.to)).outcome()
					got.expect(t, routers(p, v, 3, 3)+tt.stdout, tt.rest, tt.code)
					leftAlone(t, p.Target)
				})
			}
		}
	})
}

// leftAlone checks that a target has no connection left, half-open or accepted, and never had one.
func leftAlone(t testing.TB, target *lab.Host) {
	t.Helper()
	var left string
	eventually(t, "a target without connections", func() bool {
		left = target.Run(t, "ss", "-Htan", "state", "all", "exclude", "listening")
		return left == ""
	})
	if n := target.Counters(t)["TcpPassiveOpens"]; n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}

// TestTUN traces over a link that has no link headers.
func TestTUN(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		h := respond(t, v, func(probe *packet.Reply, data []byte) [][]byte {
			if ttl := int(probe.IP.TTL); ttl < 5 {
				return [][]byte{exceeded(v, tunRouter(v, ttl), probe, data)}
			}
			return [][]byte{synAck(probe)}
		})
		got := launch(t, h, fmt.Sprintf("-n %v", tunFar[v])).outcome()
		var want string
		for ttl := 1; ttl < 5; ttl++ {
			want += hop(ttl, tunRouter(v, ttl), 3, "")
		}
		got.expect(t, want+hop(5, fmt.Sprintf("%v [open]", tunFar[v]), 3, ""), "", 0)
		if want := fmt.Sprintf("Selected device tun0, address %v, port ", tunOwn[v]); !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%v\nwant stderr to begin with %q", got, want)
		}
	})
}

// TestPerFlow has two ways, of which each flow takes one: a trace shows the one that its packets really take.
func TestPerFlow(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		m := lab.Diamond(t, lab.DiamondOptions{})
		m.Target.Listen(t, 80)
		taken := make(map[int]bool)
		for port := 40001; len(taken) < 2 && port < 40065; port++ {
			var ways []*lab.Capture
			for _, r := range m.Middle {
				ways = append(ways, r.Interfaces[1].Capture(t))
			}
			recorded := m.Source.Interfaces[0].Capture(t)
			got := launch(t, m.Source, fmt.Sprintf("-n -p %d %v", port, v.of(m.Target))).outcome()
			way := -1
			for i, c := range ways {
				if n := len(probesTo(c.Stop(t), 80)); n > 0 {
					if way >= 0 {
						t.Fatalf("the flow from port %d took both ways", port)
					}
					way = i
				}
			}
			if way < 0 {
				t.Fatalf("the flow from port %d took no way", port)
			}
			taken[way] = true
			join := truth(recorded.Stop(t), 80)[3][0]
			got.expect(t, hop(1, v.of(m.Split), 3, "")+hop(2, v.of(m.Middle[way]), 3, "")+hop(3, join, 3, "")+
				hop(4, fmt.Sprintf("%v [open]", v.of(m.Target)), 3, ""), "", 0)
		}
		if len(taken) < 2 {
			t.Error("64 flows took one way")
		}
	})
}

// TestPerPacket has two ways that the packets take in turn: both are shown, each by the probes that it answered.
func TestPerPacket(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"", "--parallel 1"} {
		t.Run(how, func(t *testing.T) {
			families(t, func(t *testing.T, v family) {
				m := lab.Diamond(t, lab.DiamondOptions{PerPacket: true})
				m.Target.Listen(t, 80)
				recorded := m.Source.Interfaces[0].Capture(t)
				got := launch(t, m.Source, fmt.Sprintf("-n -q 20 %s %v", how, v.of(m.Target))).outcome()
				told := truth(recorded.Stop(t), 80)
				for ttl := 1; ttl <= 3; ttl++ {
					if shown := fates(t, got.stdout, ttl); !slices.Equal(shown, told[ttl]) {
						t.Errorf("hop %d shows %v\nthe wire had %v", ttl, shown, told[ttl])
					}
				}
				if n := count(told[2]); len(n) != 2 || n["*"] != 0 {
					t.Errorf("the wire had %v at the second hop", n)
				}
				if want := fmt.Sprintf(" 4  %v [open]%s\n", v.of(m.Target), strings.Repeat("  T", 20)); !strings.HasSuffix(masked(got.stdout), want) || got.code != 0 {
					t.Errorf("%v\nwant the last line %q", got, want)
				}
			})
		})
	}
}

// TestDestinationTranslated traces to an address and port that the second router translates, with and without connection tracking.
func TestDestinationTranslated(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 80)
		p.Target.Listen(t, 8080)
		p.Target.Listen(t, 8081)
		virtual := func(last string) netip.Addr {
			return netip.MustParseAddr(pick(v, "198.18.99.", "2001:db8:99::") + last)
		}
		real := v.of(p.Target)
		r2 := p.Routers[1]
		r2.Redirect(t, netip.AddrPortFrom(virtual("1"), 80), netip.AddrPortFrom(real, 0))
		r2.Redirect(t, netip.AddrPortFrom(virtual("2"), 80), netip.AddrPortFrom(real, 8080))
		r2.DNAT(t, netip.AddrPortFrom(virtual("3"), 80), netip.AddrPortFrom(real, 8081))

		first := routers(p, v, 1, 3)
		behind := strings.TrimPrefix(routers(p, v, 3, 3), first)
		end := func(last string) string { return hop(4, fmt.Sprintf("%v [open]", virtual(last)), 3, "") }
		detected := func(to any) string { return fmt.Sprintf("      Detected DNAT to %v\n", to) }
		tracked := hop(2, virtual("3"), 3, "") + hop(3, virtual("3"), 3, "") // says time exceeded in the target's name
		for _, tt := range []struct{ name, args, stdout string }{
			{"address", virtual("1").String(), first + behind + end("1")},
			{"address, told", "--dnat " + virtual("1").String(), first + detected(real) + behind + end("1")},
			{"address, strict", "--no-dnat-strict " + virtual("1").String(), first + " 2  * * *\n 3  * * *\n" + end("1")},
			{"both", virtual("2").String(), first + behind + end("2")},
			{"both, told", "--dnat " + virtual("2").String(), first + detected(netip.AddrPortFrom(real, 8080)) + behind + end("2")},
			{"both, strict", "--no-dnat-strict " + virtual("2").String(), first + " 2  * * *\n 3  * * *\n" + end("2")},
			{"tracked", virtual("3").String(), first + tracked + end("3")},
			{"tracked, told", "--dnat " + virtual("3").String(), first + tracked + end("3")},
			{"tracked, strict", "--no-dnat-strict " + virtual("3").String(), first + tracked + end("3")},
		} {
			t.Run(tt.name, func(t *testing.T) {
				launch(t, p.Source, "-n -w 1 "+tt.args).outcome().expect(t, tt.stdout, "", 0)
			})
		}
	})
}

// TestSourceTranslated has the first router hide the source behind another address, with and without connection tracking.
func TestSourceTranslated(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 80)
		whole := routers(p, v, 3, 3)
		end := hop(4, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		t.Run("tracked", func(t *testing.T) {
			p.Routers[0].NFT(t, "chain c { type nat hook postrouting priority srcnat; oifname eth1 masquerade; }")
			for _, args := range []string{"", "--no-dnat-strict"} {
				launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target))).outcome().expect(t, whole+end, "", 0)
			}
		})
		t.Run("untracked", func(t *testing.T) {
			p.Routers[1].Masquerade(t, v.of(p.Source), netip.MustParseAddr(pick(v, "198.18.1.99", "2001:db8:1::99")))
			launch(t, p.Source, fmt.Sprintf("-n %v", v.of(p.Target))).outcome().expect(t, whole+end, "", 0)
			launch(t, p.Source, fmt.Sprintf("-n -w 1 --no-dnat-strict %v", v.of(p.Target))).outcome().
				expect(t, routers(p, v, 2, 3)+" 3  * * *\n"+end, "", 0)
		})
	})
}

// TestTagRewritten has a router rewrite what tells the probes of a flow apart: then they are asked one by one.
func TestTagRewritten(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 5})
		p.Target.Listen(t, 80)
		p.Routers[1].Mangle(t, pick(v, "ip id set 7", "tcp flags syn / syn,ack reset tcp option timestamp"))
		want := routers(p, v, 4, 3) + hop(5, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		for _, args := range []string{"", "--parallel 1", "--track-port"} {
			t.Run(args, func(t *testing.T) {
				launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target))).outcome().expect(t, want, "", 0)
			})
		}
	})
}

// TestSequenceRewritten has routers quote another sequence number than was sent, as behind a firewall that makes its own:
// they are not believed, and it is said; with --loose they are.
func TestSequenceRewritten(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		h := respond(t, v, func(probe *packet.Reply, data []byte) [][]byte {
			if ttl := int(probe.IP.TTL); ttl < 5 {
				return [][]byte{exceeded(v, tunRouter(v, ttl), probe, withSeq(data, probe, probe.TCP.Seq+1000))}
			}
			return [][]byte{synAck(probe)}
		})
		end := func(n int) string { return hop(5, fmt.Sprintf("%v [open]", tunFar[v]), n, "") }
		shown := ""
		for ttl := 1; ttl < 5; ttl++ {
			shown += hop(ttl, tunRouter(v, ttl), 3, "")
		}
		for _, tt := range []struct {
			name, args, stdout string
			warned             bool
		}{
			{"few", "-w 1 -f 4 -q 3", " 4  * * *\n" + end(3), false},
			{"many", "-w 1 -q 4", " 1  * * * *\n 2  * * * *\n 3  * * * *\n 4  * * * *\n" + end(4), true},
			{"loose", "--loose", shown + end(3), false},
			{"loose, one by one", "--loose --parallel 1", shown + end(3), false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				// On a busy machine an answer of the target may come too late, or when a probe with a lower TTL waits for one:
				// it doesn't name its probe. What the routers answer isn't believed whenever it comes.
				_, target, _ := strings.Cut(tt.stdout, "\n 5  ")
				var got outcome
				for range 5 {
					got = launch(t, h, fmt.Sprintf("-n %s %v", tt.args, tunFar[v])).outcome()
					if strings.HasSuffix(masked(got.stdout), "\n 5  "+target) {
						break
					}
				}
				if tt.warned {
					var n int
					before, warning, _ := strings.Cut(got.stderr, "Warning: ")
					_, err := fmt.Sscanf(warning, "%d answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose believes them)\n", &n)
					if err != nil || n < 16 || strings.Count(warning, "\n") != 1 {
						t.Errorf("%v\nwant a warning of 16 or more", got)
					}
					got.stderr = before
				}
				got.expect(t, tt.stdout, "", 0)
			})
		}
	})
}

// TestExceededByTarget has a router say in the target's name that the time to live was exceeded: that is a hop, not the end.
func TestExceededByTarget(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 80)
		p.Routers[1].AnswerFrom(t, v.of(p.Target))
		launch(t, p.Source, fmt.Sprintf("-n %v", v.of(p.Target))).outcome().expect(t,
			hop(1, v.of(p.Hop(1)), 3, "")+hop(2, v.of(p.Target), 3, "")+hop(3, v.of(p.Hop(3)), 3, "")+
				hop(4, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, ""), "", 0)
	})
}

// fork is a source with two uplinks: by a and by b, which both lead to c and the target behind it.
type fork struct {
	*lab.Lab
	source, a, b, c, target *lab.Host
}

func newFork(t *testing.T) *fork {
	t.Helper()
	f := &fork{Lab: lab.New(t)}
	f.source, f.a, f.b, f.c, f.target = f.Host(t, "source"), f.Host(t, "a"), f.Host(t, "b"), f.Host(t, "c"), f.Host(t, "target")
	up, other := f.Link(t, f.source, f.a), f.Link(t, f.source, f.b) // links 1 and 2
	f.Link(t, f.a, f.c)
	f.Link(t, f.b, f.c)
	f.Link(t, f.c, f.target)
	f.source.Default(t, up.A)
	f.a.Default(t, f.a.Interfaces[1])
	f.b.Default(t, f.b.Interfaces[1])
	f.c.Default(t, f.c.Interfaces[2])
	f.target.Default(t, f.target.Interfaces[0])
	for _, net := range []netip.Prefix{up.Net4, up.Net6} {
		f.c.Route(t, net, f.c.Interfaces[0])
		f.b.Route(t, net, f.b.Interfaces[0])
	}
	for _, net := range []netip.Prefix{other.Net4, other.Net6} {
		f.c.Route(t, net, f.c.Interfaces[1])
		f.a.Route(t, net, f.a.Interfaces[0])
	}
	return f
}

// TestAsymmetricReturn has the answers come back by another interface, and by no means welcome there.
func TestAsymmetricReturn(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		for _, tt := range []struct {
			name    string
			prepare func(t *testing.T, f *fork)
		}{
			{"welcome", func(t *testing.T, f *fork) {}},
			{"reverse path filter", func(t *testing.T, f *fork) {
				for _, i := range []string{"all", "eth0", "eth1"} {
					f.source.Sysctl(t, "net.ipv4.conf."+i+".rp_filter", "1")
				}
				f.source.Filter(t, "prerouting", "meta nfproto ipv6 fib saddr . iif oif missing drop") // the same for IPv6
			}},
			{"firewall", func(t *testing.T, f *fork) { f.source.Filter(t, "input", "iifname eth1 drop") }},
			{"own connection tracking", func(t *testing.T, f *fork) {
				f.source.Filter(t, "input", "ct state established,related accept", "drop")
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				f := newFork(t)
				for _, net := range []netip.Prefix{f.source.Interfaces[0].Link.Net4, f.source.Interfaces[0].Link.Net6} {
					f.c.Route(t, net, f.c.Interfaces[1]) // by b
				}
				tt.prepare(t, f)
				returned := f.source.Interfaces[1].Capture(t)
				// A closed port, for its answers depend on nothing that came back.
				got := launch(t, f.source, fmt.Sprintf("-n %v", v.of(f.target))).outcome()
				c := pick(v, "198.18.4.2", "2001:db8:3::2") // IPv6 answers from where it was asked
				got.expect(t, hop(1, v.of(f.a), 3, "")+hop(2, c, 3, "")+hop(3, fmt.Sprintf("%v [closed]", v.of(f.target)), 3, ""), "", 0)
				if n := len(returned.Stop(t)); n < 6 {
					t.Errorf("%d answers came back by the other interface", n)
				}
			})
		}
	})
}

// TestUplinks sends by the interface, address or mark that the user wants.
func TestUplinks(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		f := newFork(t)
		f.target.Listen(t, 80)
		first, second := f.source.Interfaces[0], f.source.Interfaces[1]
		v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 metric 2000", v.at(second.Peer)))
		v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 table 7", v.at(second.Peer)))
		v.ip(t, f.source, "rule add fwmark 7 lookup 7")
		v.ip(t, f.source, "rule add ipproto tcp sport 4444 lookup 7")
		byA := hop(1, v.of(f.a), 3, "") + hop(2, v.at(f.c.Interfaces[0]), 3, "") + hop(3, fmt.Sprintf("%v [open]", v.of(f.target)), 3, "")
		byB := hop(1, v.of(f.b), 3, "") + hop(2, v.at(f.c.Interfaces[1]), 3, "") + hop(3, fmt.Sprintf("%v [open]", v.of(f.target)), 3, "")
		v.ip(t, f.source, "rule add ipproto tcp sport 4443 lookup 8") // whose way raw packets can't be made to go
		v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 table 8", pick(v, "198.18.2.3", "2001:db8:2::3")))
		const warning = "Warning: a routing rule that looks at ports sends such connections by eth1; the probes go by eth0\n"
		for _, tt := range []struct {
			args, first, device string
			source              netip.Addr
			stdout              string
		}{
			{"", "", "eth0", v.at(first), byA},
			{"-i eth0", "", "eth0", v.at(first), byA},
			{"-i eth1", "", "eth1", v.at(second), byB},
			{"--mark 7", "", "eth1", v.at(second), byB},
			{"--mark 8", "", "eth0", v.at(first), byA},
			{"-s " + v.at(first).String(), "", "eth0", v.at(first), byA},
			{"-s " + v.at(second).String(), "", "eth0", v.at(second), ""}, // comes back by b, so c is seen elsewhere
			{"-i eth1 -s " + v.at(second).String(), "", "eth1", v.at(second), byB},
			{"-p 4445", "", "eth0", v.at(first), byA},
			{"-p 4444", "", "eth1", v.at(second), byB},
			{"-p 4444 --mark 7", "", "eth1", v.at(second), byB},
			// A raw socket's packets have no ports for a rule to see. The last row: the target stays half-open for a minute.
			{"-p 4443 -l 100", warning, "eth0", v.at(first), byA},
		} {
			t.Run(tt.args, func(t *testing.T) {
				got := launch(t, f.source, fmt.Sprintf("-n %s %v", tt.args, v.of(f.target))).outcome()
				want := fmt.Sprintf("Selected device %s, address %v, port ", tt.device, tt.source)
				if !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, warning) != (tt.first != "") {
					t.Errorf("%v\nwant %q in stderr, and %q", got, want, tt.first)
				}
				if tt.stdout == "" {
					tt.stdout = hop(1, v.of(f.a), 3, "") + hop(2, v.at(f.c.Interfaces[pick(v, 1, 0)]), 3, "") +
						hop(3, fmt.Sprintf("%v [open]", v.of(f.target)), 3, "")
				}
				got.expect(t, tt.stdout, "", 0)
				if tt.first == "" { // else our kernel's reset goes where the probes should have gone
					leftAlone(t, f.target)
				}
			})
		}
	})
}

// Raw packets can't be made to go the way of a rule that looks at ports. Connections go it, and so does the trace, also if it should have
// gone inside a connection: what is sent by another link is none of that connection.
func TestUplinkByPort(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		f := newFork(t)
		f.target.Listen(t, 80)
		v.ip(t, f.source, "rule add ipproto tcp dport 80 lookup 7")
		v.ip(t, f.source, fmt.Sprintf("route add default via %v dev eth1 table 7", v.at(f.source.Interfaces[1].Peer)))
		byB := hop(1, v.of(f.b), 3, "") + hop(2, v.at(f.c.Interfaces[1]), 3, "") + hop(3, fmt.Sprintf("%v [open]", v.of(f.target)), 3, "")
		for _, args := range []string{"", "--in-session"} {
			got := launch(t, f.source, fmt.Sprintf("-n %s %v", args, v.of(f.target))).outcome()
			if got.expect(t, byB, "", 0); !strings.Contains(got.stderr, "Tracing without raw sockets, for a routing rule looks at ports: ") {
				t.Errorf("%q: %v", args, got)
			}
		}
		const warning = "Warning: a routing rule that looks at ports sends such connections by eth1; the probes go by eth0\n"
		if got := launch(t, f.source, fmt.Sprintf("-n --report -c 1 %v", v.of(f.target))).outcome(); !strings.Contains(got.stderr, warning) {
			t.Error(got)
		}
	})
}

var forgedSeed = flag.Uint64("forged", 1, "the seed of TestForgedPackets")

// TestForgedPackets puts 10,000 packets on the source's link while a trace runs: bytes at random, genuine answers cut short
// and changed, answers forged with the right addresses and ports. Nothing changes but that it is warned of.
func TestForgedPackets(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const most, queries = 10_000, 200
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		p.Target.Listen(t, 80)
		seed := *forgedSeed
		rng := rand.New(rand.NewPCG(seed, seed))
		inject := injector(t, p.Routers[0].Interfaces[0])
		p.AllowRateLimits() // some of the forged packets deserve an error
		p.Source.Sysctl(t, pick(v, "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"), "0")
		recorded := p.Source.Interfaces[0].Capture(t)
		l := launch(t, p.Source, fmt.Sprintf("-n -w 2 -q %d %v", queries, v.of(p.Target)))
		f := forger{Rand: rng, v: v, source: v.of(p.Source), target: v.of(p.Target), router: v.of(p.Routers[1]), port: l.port(t)}
		for n := range most {
			if n%500 == 0 {
				f.genuine = recorded.Packets()
			}
			inject(f.packet(n % 4))
		}
		select {
		case <-l.done:
			t.Errorf("the trace ended before the last of %d packets", most)
		default:
		}
		got := l.outcome()
		before, warning, _ := strings.Cut(got.stderr, "Warning: ")
		if !strings.Contains(warning, " answers do not match our probes") {
			t.Errorf("stderr lacks the warning: %q", got.stderr)
		}
		got.stderr = before
		got.expect(t, routers(p, v, 2, queries)+hop(3, fmt.Sprintf("%v [open]", v.of(p.Target)), queries, ""), "", 0)
	})
}

// forger makes packets that a trace must not believe.
type forger struct {
	*rand.Rand
	v                      family
	source, target, router netip.Addr
	port                   uint16       // the trace's
	genuine                []lab.Packet // what passed the source's interface so far
}

// packet makes one of a kind, 0 to 3.
func (f *forger) packet(kind int) []byte {
	switch kind {
	case 0: // bytes at random, mostly behind what begins like a header
		b := make([]byte, 1+f.IntN(120))
		for i := range b {
			b[i] = byte(f.Uint32())
		}
		if f.IntN(4) > 0 {
			b[0] = pick(f.v, byte(0x45), byte(0x60))
		}
		return b
	case 1: // something genuine, cut short
		if len(f.genuine) == 0 {
			return []byte{0x45}
		}
		b := f.genuine[f.IntN(len(f.genuine))].Data
		return b[:1+f.IntN(len(b))]
	case 2: // an ICMP error about one of our probes, but for the sequence number
		probe := packet.Probe{
			Src: netip.AddrPortFrom(f.source, f.port), Dst: netip.AddrPortFrom(f.target, 80),
			TTL: 1, Seq: f.Uint32(), ID: uint16(f.Uint32()), FlowLabel: pick(f.v, 0, f.Uint32()&0xfffff), Flags: packet.SYN,
		}
		quote, err := probe.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		b, err := packet.AppendICMP(nil, &packet.ICMPError{
			Src: f.router, Dst: f.source, TTL: 60, Type: pick(f.v, []uint8{11, 3}, []uint8{3, 1})[f.IntN(2)], Quote: quote,
		})
		if err != nil {
			panic(err)
		}
		return b
	default: // a TCP answer from the target, but for the acknowledgement number
		b, err := packet.AppendTCP(nil, &packet.Segment{
			Src: netip.AddrPortFrom(f.target, 80), Dst: netip.AddrPortFrom(f.source, f.port), TTL: 62,
			Seq: f.Uint32(), Ack: f.Uint32(),
			Flags: []packet.Flags{packet.SYN | packet.ACK, packet.RST | packet.ACK, packet.RST, packet.SYN, packet.ACK}[f.IntN(5)],
		})
		if err != nil {
			panic(err)
		}
		return b
	}
}

// TestPortStaysOurs runs another program that wants every port there is, in every way, while traces run: never does it get
// the one that a trace sends from.
func TestPortStaysOurs(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const traces, low, high = 100, 40000, 40063
		p := lab.Chain(t, lab.ChainOptions{Hops: 2, Silent: []int{1}}) // the only probe is never answered
		p.Routers[0].Drop(t, "tcp dport 80")                           // and no connection of the other program's
		p.Source.Sysctl(t, "net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", low, high))
		path := program(t)
		for range traces {
			l := prepare(t, p.Source, path, fmt.Sprintf("-n -m 1 -q 1 -w 60 %v", v.of(p.Target)))
			l.begin(t)
			ours := l.port(t)
			if ours < low || ours > high {
				t.Fatalf("port %d", ours)
			}
			for name, take := range waysToAPort(v.of(p.Source), v.of(p.Target)) {
				// Ports that were given back are free when the last process that was being born meanwhile has let go of them.
				eventually(t, "most of the ports for another program: "+name, func() bool {
					var theirs []uint16
					p.Source.Do(t, func() { theirs = grab(t, name, v, take) })
					if slices.Contains(theirs, ours) {
						t.Errorf("%s: another program got port %d, which is ours", name, ours)
					}
					slices.Sort(theirs)
					return len(slices.Compact(theirs)) > (high-low)/2
				})
			}
			l.signal(t, unix.SIGINT)
			if got := l.outcome(); got.code != 128+int(unix.SIGINT) {
				t.Fatalf("the trace ended too early\n%v", got)
			}
		}
	})
}

// waysToAPort are the ways in which programs have the kernel choose a port.
func waysToAPort(own, far netip.Addr) map[string]func(fd int) error {
	address := func(a netip.Addr, port int) unix.Sockaddr {
		if a.Is4() {
			return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
		}
		return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
	}
	anywhere := netip.IPv6Unspecified()
	if own.Is4() {
		anywhere = netip.IPv4Unspecified()
	}
	connect := func(fd int) error {
		if err := unix.Connect(fd, address(far, 80)); err != unix.EINPROGRESS {
			return err
		}
		return nil
	}
	return map[string]func(fd int) error{
		"bind":          func(fd int) error { return unix.Bind(fd, address(own, 0)) },
		"bind anywhere": func(fd int) error { return unix.Bind(fd, address(anywhere, 0)) },
		"bind for reuse": func(fd int) error {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, address(anywhere, 0)))
		},
		"connect": connect,
		"bind without port, connect": func(fd int) error {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, address(own, 0)), connect(fd))
		},
	}
}

// grab takes ports until there are no more, or many times as many as there are, for some may be had twice. Then it gives
// them back.
func grab(t *testing.T, name string, v family, take func(fd int) error) (ports []uint16) {
	for range 256 {
		fd, err := unix.Socket(pick(v, unix.AF_INET, unix.AF_INET6), unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			defer unix.Close(fd)
			err = take(fd)
		}
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) {
			return ports
		}
		var bound unix.Sockaddr
		if err == nil {
			bound, err = unix.Getsockname(fd)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return ports
		}
		switch a := bound.(type) {
		case *unix.SockaddrInet4:
			ports = append(ports, uint16(a.Port))
		case *unix.SockaddrInet6:
			ports = append(ports, uint16(a.Port))
		}
	}
	return ports
}
