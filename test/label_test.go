package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// connects checks that an ordinary connection from a host opens.
func connects(t testing.TB, h *lab.Host, to netip.AddrPort) {
	t.Helper()
	h.Do(t, func() {
		c, err := net.DialTimeout("tcp", to.String(), hangs)
		if err != nil {
			t.Errorf("an ordinary connection to %v: %v", to, err)
			return
		}
		c.Close()
	})
}

var peerHop = regexp.MustCompile(`(?m)^ *\d+  (\S+)`)

// traceroute6 is who traceroute -T shows at each hop.
func traceroute6(t testing.TB, h *lab.Host, target netip.Addr) (who []string) {
	t.Helper()
	got := run(t, h, "traceroute", "-6", "-T", "-n", "-q", "1", "-N", "1", "-w", "1", "-m", "9", "-p", "80", target.String())
	for _, m := range peerHop.FindAllStringSubmatch(got.stdout, -1) {
		who = append(who, m[1])
	}
	return who
}

// TestFlowLabelRewritten has a router erase IPv6 flow labels, or set another: all hops are there, however they are asked for, as
// with traceroute -T, and a finding says where it is done.
func TestFlowLabelRewritten(t *testing.T) {
	t.Parallel()
	for _, label := range []int{0, 0x12345} {
		t.Run(fmt.Sprintf("%#x", label), func(t *testing.T) {
			t.Parallel()
			p := lab.Chain(t, lab.ChainOptions{Hops: 6})
			served(t, p.Target, 80)
			p.Routers[2].Mangle(t, fmt.Sprintf("iifname eth0 ip6 flowlabel set %d", label))
			target := p.Target.V6()
			want := routers(p, ip6, 5, 3) + hop(6, fmt.Sprintf("%v [open]", target), 3, "")
			var shown []string
			for _, r := range append(slices.Clone(p.Routers), p.Target) {
				shown = append(shown, r.V6().String())
			}
			if who := traceroute6(t, p.Source, target); !slices.Equal(who, shown) {
				t.Errorf("traceroute shows %v, want %v", who, shown)
			}
			for _, how := range []string{"", "--track-port", "--parallel 1", "--syn bare", "--unprivileged", "--in-session"} {
				got := launch(t, p.Source, fmt.Sprintf("-n %s %v", how, target)).outcome()
				if masked(got.stdout) != want || got.code != 0 {
					t.Errorf("%s: %v\nwant %s", how, got, lines(want))
				}
			}
			got := launch(t, p.Source, fmt.Sprintf("-n --explain %v", target)).outcome()
			text := strings.Join(strings.Fields(got.stdout), " ")
			place := fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", p.Routers[1].V6(), p.Routers[2].V6())
			if s := strings.Join(found(t, got), ", "); s != "label-rewritten likely, port-open certain" || !strings.Contains(text, place) {
				t.Errorf("%v\nfound %s, want %s", got, s, place)
			}
			connects(t, p.Source, netip.AddrPortFrom(target, 80))
		})
	}
}

// TestFlowLabelSysctls has the kernels of both ends do all that they can about labels, with the limits on ICMP that they have by
// default. Nothing of it matters.
func TestFlowLabelSysctls(t *testing.T) {
	t.Parallel()
	for _, auto := range []string{"0", "1", "2", "3"} {
		t.Run("auto_flowlabels="+auto, func(t *testing.T) {
			t.Parallel()
			p := lab.Chain(t, lab.ChainOptions{Hops: 4})
			p.AllowRateLimits()
			served(t, p.Target, 80)
			for _, r := range append(slices.Clone(p.Routers), p.Target) {
				r.Sysctl(t, "net.ipv6.icmp.ratelimit", "1000")
			}
			for _, h := range []*lab.Host{p.Source, p.Target} {
				h.Sysctl(t, "net.ipv6.auto_flowlabels", auto)
				h.Sysctl(t, "net.ipv6.flowlabel_reflect", "7")
			}
			target := p.Target.V6()
			want := routers(p, ip6, 3, 3) + hop(4, fmt.Sprintf("%v [open]", target), 3, "")
			launch(t, p.Source, fmt.Sprintf("-n %v", target)).outcome().expect(t, want, "", 0)
			want = routers(p, ip6, 3, 1) + hop(4, fmt.Sprintf("%v [open]", target), 1, "")
			launch(t, p.Source, fmt.Sprintf("-n -q 1 --in-session %v", target)).outcome().expect(t, want, "", 0)
			connects(t, p.Source, netip.AddrPortFrom(target, 80))
		})
	}
}

// TestFlowLabelOfEachPort has a router choose ways by addresses and flow label, as Linux does unless told otherwise: probes by
// many ports go all ways, those by one port the same.
func TestFlowLabelOfEachPort(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{})
	m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "0")
	served(t, m.Target, 80)
	const queries = 24
	for _, tt := range []struct {
		args string
		ways int
	}{{"", 1}, {"--track-port", len(m.Middle)}} {
		got := launch(t, m.Source, fmt.Sprintf("-n -q %d --json %s %v", queries, tt.args, m.Target.V6())).outcome()
		var doc struct {
			Hops []struct {
				TTL    int
				Probes []struct {
					Port  uint16 `json:"source_port"`
					Label uint32 `json:"flow_label"`
					Reply *struct{ Address string }
				}
			}
		}
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Fatalf("%v: %v", err, got)
		}
		ways, labels := map[string]bool{}, map[uint16]uint32{}
		for _, h := range doc.Hops {
			for _, r := range h.Probes {
				if was, ok := labels[r.Port]; r.Label == 0 || ok && was != r.Label {
					t.Errorf("%s: port %d has label %#x, and %#x", tt.args, r.Port, r.Label, was)
				}
				labels[r.Port] = r.Label
				if h.TTL == 2 && r.Reply != nil {
					ways[r.Reply.Address] = true
				}
			}
		}
		if len(ways) != tt.ways {
			t.Errorf("%q: by %v, want %d ways, labels %v", tt.args, ways, tt.ways, labels)
		}
	}
}

// seenAt is who stands in each row, "*" where nobody does.
func seenAt(rows string) (all []string) {
	for row := range strings.Lines(rows) {
		who := "*"
		for _, field := range strings.Fields(row)[1:] {
			if _, err := netip.ParseAddr(field); err == nil {
				who = field
			}
		}
		all = append(all, who)
	}
	return all
}

// TestNAT64 traces through a translator to IPv4 and back. It sets the flow label to 0 and quotes what IPv4 routers quoted.
func TestNAT64(t *testing.T) {
	t.Parallel()
	lab.NeedProgram(t, "tayga")
	lab.NeedTUN(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 5})
	gate := p.Routers[1]
	served(t, p.Target, 80)
	prefix := netip.MustParsePrefix("2001:db8:64::/96")
	mapped := func(a netip.Addr) netip.Addr {
		b, a4 := prefix.Addr().As16(), a.As4()
		copy(b[12:], a4[:])
		return netip.AddrFrom16(b)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "tayga.conf")
	err := os.WriteFile(config, fmt.Appendf(nil, "tun-device nat64\nipv4-addr 10.64.0.1\nipv6-addr 2001:db8:6464::1\nprefix %v\n"+
		"dynamic-pool 10.64.0.0/24\ndata-dir %s\n", prefix, dir), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	gate.Run(t, "tayga", "-c", config, "--mktun")
	for _, args := range []string{
		"link set nat64 up", "addr add 10.64.0.2/32 dev nat64", "addr add 2001:db8:6464::2/128 dev nat64",
		"route add 10.64.0.0/24 dev nat64", "-6 route add " + prefix.String() + " dev nat64",
	} {
		gate.IP(t, args)
	}
	for ttl := 3; ttl <= 5; ttl++ { // the way back, to the pool
		p.Hop(ttl).IP(t, fmt.Sprintf("route add 10.64.0.0/24 via %v", p.Links[ttl-1].A.V4))
	}
	if err := gate.Command(t.Context(), "tayga", "-c", config, "-d").Start(); err != nil {
		t.Fatal(err)
	}
	target := mapped(p.Target.V4())
	eventually(t, "a translator that works", func() bool {
		return run(t, p.Source, "ping", "-6", "-n", "-c", "1", "-W", "1", target.String()).code == 0
	})
	// The translator is a hop, and so is the gate once more, which sends on what comes out of it and has no address to answer from.
	want := []string{p.Hop(1).V6().String(), p.Hop(2).V6().String(), "2001:db8:6464::1", "*", mapped(p.Hop(3).V4()).String(),
		mapped(p.Hop(4).V4()).String(), target.String()}
	if who := traceroute6(t, p.Source, target); !slices.Equal(who, want) {
		t.Errorf("traceroute shows %v, want %v", who, want)
	}
	var text strings.Builder
	for i, w := range want {
		switch {
		case w == "*":
			fmt.Fprintf(&text, "%2d  * * *\n", i+1)
		case i == len(want)-1:
			text.WriteString(hop(i+1, w+" [open]", 3, ""))
		default:
			text.WriteString(hop(i+1, w, 3, ""))
		}
	}
	// The translator is a program, which answers late on a busy machine: stars beside an answer are its.
	right := func(got outcome) bool {
		shown, _, _ := strings.Cut(masked(got.stdout), "\n\n")
		shown = strings.TrimSuffix(shown, "\n") + "\n"
		return got.code == 0 && (shown == text.String() || onlyLacks(shown, text.String()) && slices.Equal(seenAt(shown), want))
	}
	runs := map[string]*live{}
	for _, how := range []string{"", "--track-port", "--in-session", "--unprivileged", "--explain"} { // side by side, for the silent hop
		runs[how] = launch(t, p.Source, fmt.Sprintf("-n -w 1 %s %v", how, target))
	}
	for how, l := range runs {
		got := l.outcome()
		if !right(got) {
			t.Errorf("%s: %v\nwant %s", how, got, lines(text.String()))
		}
	}
	got := runs["--explain"].outcome()
	codes := found(t, got)
	if !slices.Contains(codes, "label-rewritten likely") || !slices.Contains(codes, "port-open certain") {
		t.Errorf("%v\nfound %v", got, codes)
	}
	connects(t, p.Source, netip.AddrPortFrom(target, 80))
}
