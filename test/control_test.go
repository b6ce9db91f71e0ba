package test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// ownDoing is something that this host does itself with its connections to one port, in the network of newFork.
type ownDoing struct {
	port int
	name string
	// rules are nftables, in which P is the port and KERNEL matches a SYN that the kernel sends, and no probe: those don't
	// go so far.
	rules string
	want  string // what is found
	says  string // a pattern of what is said of the connection, or of this host
	code  int
	alone bool // SYNs of others that are repeated beside it might be its own, translated
}

const opens = `An ordinary connection from this host opens in \S+ ms\.`

// Ports from 9500 on are closed at the target.
var ownDoings = []ownDoing{
	{port: 9000, name: "nothing", want: "port-open certain", says: opens},
	{port: 9500, name: "nothing, closed", want: "port-closed likely", says: `from this host is refused by a reset after`},
	{
		port: 9001, name: "a stateful firewall that lets connections be", want: "port-open certain", says: opens,
		rules: `chain input { type filter hook input priority filter; tcp sport P ct state invalid drop
			tcp sport P ct state established,related accept; tcp sport P drop; }
			chain output { type filter hook output priority filter; tcp dport P ct state invalid drop; }`,
	},
	{
		port: 9002, name: "answers dropped", want: "this-host certain, port-open certain",
		says:  `to 3 SYNs\..* came in, and the connection did not get them\..* chain input of table inet lab`,
		rules: `chain input { type filter hook input priority filter; tcp sport P drop; }`,
	},
	{
		port: 9003, name: "SYNs dropped", want: "this-host certain, port-open certain",
		says: "they don't leave it", alone: true,
		rules: `chain output { type filter hook output priority filter; KERNEL tcp dport P drop; }`,
	},
	{
		port: 9004, name: "SYNs reset", want: "this-host certain, port-open certain",
		says: "they don't leave it", alone: true,
		rules: `chain output { type filter hook output priority filter; KERNEL tcp dport P reject with tcp reset; }`,
	},
	{
		port: 9005, name: "SYNs rejected", want: "this-host certain, port-open certain",
		says: "rejected by this host itself", alone: true,
		rules: `chain output { type filter hook output priority filter
			KERNEL tcp dport P reject with icmpx type admin-prohibited; }`,
	},
	{
		port: 9006, name: "all dropped", want: "this-host certain", says: "they don't leave it", code: 2, alone: true,
		rules: `chain output { type filter hook output priority filter; tcp dport P drop; }`,
	},
	{
		port: 9007, name: "probes dropped", want: "this-host certain", code: 2,
		says:  "refuses to send probes, and lets ordinary connections",
		rules: `chain output { type filter hook output priority filter; KERNEL accept; tcp dport P tcp flags syn drop; }`,
	},
	{
		port: 9008, name: "connections by the other uplink, where probes would pass", want: "this-host certain", code: 1,
		says:  `leave it otherwise than the probes, and fare otherwise.*by the rule "\d+: from all fwmark 0x7 lookup 7"`,
		rules: `chain output { type route hook output priority mangle; KERNEL tcp dport P meta mark set 7; }`,
	},
	{
		port: 9009, name: "connections by the other uplink, which drops them", want: "this-host certain, port-open certain",
		says:  "leave it otherwise than the probes, and fare otherwise",
		rules: `chain output { type route hook output priority mangle; KERNEL tcp dport P meta mark set 7; }`,
	},
	{
		port: 9501, name: "a proxy here for connections", want: "this-host certain",
		says:  "to itself: a program here answers",
		rules: `chain output { type nat hook output priority -100; KERNEL tcp dport P redirect to :3128; }`,
	},
	{
		port: 9502, name: "a proxy here for all", want: "this-host certain", says: "to itself: a program here answers",
		rules: `chain output { type nat hook output priority -100; tcp dport P redirect to :3128; }`,
	},
	{
		port: 9503, name: "another port", want: "this-host certain, port-open certain",
		says:  "This host changes what it sends",
		rules: `chain output { type nat hook output priority -100; tcp dport P dnat TARGET:9000; }`,
	},
	{
		port: 9010, name: "ports at random", want: "this-host certain, port-open certain",
		says: "This host changes what it sends",
		rules: `chain post { type nat hook postrouting priority srcnat
			tcp dport P masquerade to :20000-29999 fully-random; }`,
	},
	{
		port: 9011, name: "the port is dropped on the way, with ports at random",
		want: "filtered-port likely, this-host certain",
		says: "gets no answer", code: 1,
		rules: `chain post { type nat hook postrouting priority srcnat
			tcp dport P masquerade to :20000-29999 fully-random; }`,
	},
}

// TestOwnDoings: what this host itself does with its connections is told from what the network does, and a connection
// that works is no reason to say anything.
func TestOwnDoings(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		f := newFork(t)
		for _, port := range []uint16{80, 443, 9000, 9001, 9002, 9003, 9004, 9005, 9006, 9007, 9008, 9009, 9010, 9011} {
			f.target.Listen(t, port)
		}
		f.source.Listen(t, 3128)
		for _, i := range []string{"all", "default", "eth0", "eth1"} {
			f.source.Sysctl(t, "net.ipv4.conf."+i+".rp_filter", "0")
		}
		f.a.Drop(t, "tcp dport { 9008, 9011 }")
		f.b.Drop(t, "tcp dport 9009")
		lookupSecond(t, f, v, "fwmark 7")
		f.source.NFT(t, natChain("postrouting", "srcnat", `oifname "eth1" masquerade`))
		target := v.of(f.target).String()
		for _, w := range ownDoings {
			t.Run(w.name, func(t *testing.T) {
				if !w.alone {
					t.Parallel()
				}
				if w.rules != "" {
					f.source.NFT(t, strings.NewReplacer(
						"KERNEL", pick(v, "ip ttl 64", "ip6 hoplimit 64")+" tcp flags & (syn|ack|rst) == syn",
						"P", fmt.Sprint(w.port), "TARGET", pick(v, "ip to "+target, "ip6 to ["+target+"]"),
					).Replace(w.rules))
				}
				got := launch(t, f.source, fmt.Sprintf("-n -w 1 -m 8 --explain %s %d", target, w.port)).outcome()
				text := strings.Join(strings.Fields(got.stdout), " ")
				if s := strings.Join(found(t, got), ", "); s != w.want || got.code != w.code ||
					!regexp.MustCompile(w.says).MatchString(text) {
					t.Errorf("%v\nfound %s\nwant %s, %s, exit code %d", got, s, w.want, w.says, w.code)
				}
			})
		}
		t.Cleanup(func() { // half-open ones stay, if our kernel is kept from resetting them
			if n := f.target.Counters(t)["TcpPassiveOpens"]; n != 0 {
				t.Errorf("%d connections came to the target's programs", n)
			}
		})
	})
}

// TestOwnSourceCheck: answers that come back by another interface, and don't get past this host's check of source
// addresses, let connections hang.
func TestOwnSourceCheck(t *testing.T) {
	t.Parallel()
	f := newFork(t)
	f.target.Listen(t, 80)
	for _, net := range []netip.Prefix{f.source.Interfaces[0].Link.Net4, f.source.Interfaces[0].Link.Net6} {
		f.c.Route(t, net, f.c.Interfaces[1]) // by b
	}
	f.source.Sysctl(t, "net.ipv4.conf.eth1.rp_filter", "1")
	f.source.Filter(t, "prerouting", "meta nfproto ipv6 fib saddr . iif oif missing drop") // the same for IPv6
	judge := func(t *testing.T, got outcome, chains bool) {
		if s := strings.Join(found(t, got), ", "); s != "this-host certain, port-open certain" || got.code != 0 ||
			!strings.Contains(got.stdout, "This host drops the answers to its own connections") ||
			strings.Contains(got.stdout, "chain") != chains {
			t.Errorf("%v\nfound %s", got, s)
		}
	}
	for _, v := range []family{ip4, ip6} {
		t.Run(fmt.Sprintf("IPv%d", v), func(t *testing.T) {
			t.Parallel()
			judge(t, launch(t, f.source, fmt.Sprintf("-n -w 1 -m 8 --explain %v", v.of(f.target))).outcome(), true)
		})
	}
	t.Run("lent", func(t *testing.T) { // to an ordinary user, who may not see this host's rules
		t.Parallel()
		lab.NeedRoot(t)
		for _, lent := range []string{
			lab.Install(t, program(t), 0o755, unix.CAP_NET_RAW), lab.Install(t, program(t), 0o4755),
		} {
			judge(t, finish(t, func(ctx context.Context) *lab.Cmd {
				return f.source.Command(ctx, lent, "-n", "-w", "1", "-m", "8", "--explain", f.target.V4().String()).As(65534, 65534)
			}), false)
		}
	})
}

// TestControlCost: on a clean path the ordinary connection is asked for before anything is known, and is one SYN:
// what is there in the end is within the budget.
func TestControlCost(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 80)
		// Here a trace takes a few milliseconds, and a busy machine may keep the connection from being asked for meanwhile:
		// beside the trace it is in one of some runs at the least, and in none if it waits for something.
		beside := false
		for range 20 {
			capture := p.Target.Interfaces[0].Capture(t)
			got := launch(t, p.Source, "-n --explain "+v.of(p.Target).String()).outcome()
			syns, kernels, ports := 0, 0, map[uint16]bool{}
			for _, c := range capture.Stop(t) {
				var r packet.Reply
				if packet.Parse(c.Data, &r) != nil || r.Kind != packet.KindTCP || r.IP.Src != v.of(p.Source) ||
					r.TCP.Flags != packet.SYN {
					continue
				}
				syns++
				ports[r.TCP.SrcPort] = true
				if r.IP.TTL > 30 { // the kernel's
					kernels++
					beside = beside || len(ports) <= 3 // it and the distance probes
				}
			}
			if s := strings.Join(found(t, got), ", "); s != "port-open certain" || syns > 8 || kernels != 1 {
				t.Errorf("%d SYNs, %d of the kernel's; found %s\n%v", syns, kernels, s, got)
			}
			if beside {
				break
			}
		}
		if !beside {
			t.Error("the ordinary connection waits for the trace")
		}
		leftAlone(t, p.Target)
	})
}
