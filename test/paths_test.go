package test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// pathsTo are the nodes and links of the graph that --paths prints: nodes as "2 198.18.1.2", links as
// "2 198.18.1.2 -> 198.18.3.2".
func pathsTo(t *testing.T, out string) (nodes, links []string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^ *(\d+)([a-z]*)  (\S+)(?: target)?(?: +-> (.*(?:\n        .*)*))?$`)
	_, graph, ok := strings.Cut(out, " path")
	if !ok {
		t.Fatalf("no paths:\n%s", out)
	}
	byLabel := map[string]string{}
	var next [][2]string
	for _, m := range line.FindAllStringSubmatch(graph, -1) {
		byLabel[m[1]+m[2]] = m[3]
		nodes = append(nodes, m[1]+" "+m[3])
		for _, to := range strings.Fields(m[4]) {
			first, last, _ := strings.Cut(to, "-")
			for {
				next = append(next, [2]string{m[1] + m[2], first})
				if last == "" || first == last {
					break
				}
				ttl := strings.TrimRight(first, "abcdefghijklmnopqrstuvwxyz")
				first = ttl + string(first[len(first)-1]+1)
			}
		}
	}
	for _, l := range next {
		ttl := strings.TrimRight(l[0], "abcdefghijklmnopqrstuvwxyz")
		links = append(links, fmt.Sprintf("%s %s -> %s", ttl, byLabel[l[0]], byLabel[l[1]]))
	}
	slices.Sort(nodes)
	slices.Sort(links)
	return nodes, links
}

// All paths through routers of the kernel are found, with every link, and nothing else.
func TestPaths(t *testing.T) {
	t.Parallel()
	widths := []int{1, 2, 4, 8, 16}
	if testing.Short() {
		widths = []int{2}
	}
	for _, width := range widths {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			t.Parallel()
			if width == 1 {
				p := lab.Chain(t, lab.ChainOptions{Hops: 4})
				p.Target.Listen(t, 80)
				for _, v4 := range []bool{true, false} {
					findPaths(t, p.Source, p.Target.Interfaces[0], v4, nodesOf(v4, p.Routers...), 1)
				}
				return
			}
			m := lab.Diamond(t, lab.DiamondOptions{Width: width})
			m.Target.Listen(t, 80)
			for _, v4 := range []bool{true, false} {
				findPaths(t, m.Source, m.Target.Interfaces[0], v4, diamondOf(m, v4), width)
			}
		})
	}
}

// Without raw sockets the same is found by connections, each flow by one after the other.
func TestPathsUnprivileged(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 4})
	m.Target.Listen(t, 80)
	// With policy 1 a router would take the hash that the source's kernel has drawn for each connection: between
	// namespaces it stays with the packet, as on no wire. So the fields are chosen: addresses, protocol and ports.
	for _, family := range []string{"ipv4", "ipv6"} {
		m.Split.Sysctl(t, "net."+family+".fib_multipath_hash_policy", "3")
		m.Split.Sysctl(t, "net."+family+".fib_multipath_hash_fields", strconv.Itoa(0x37))
	}
	for _, v4 := range []bool{true, false} {
		findPaths(t, m.Source, m.Target.Interfaces[0], v4, diamondOf(m, v4), 4, "--unprivileged")
	}
	// A source port that takes a path is found; in IPv6 none is sure to, for connections have flow labels of their own.
	router := m.Middle[2]
	out := run(t, m.Source, program(t), "-n", "--unprivileged", "--port-for", router.V4().String(), m.Target.V4().String(), "80")
	if out.code != 0 || takes(t, m, true, strings.TrimSuffix(out.stdout, "\n")) != router {
		t.Errorf("a port: %v", out)
	}
	out = run(t, m.Source, program(t), "-n", "--unprivileged", "--port-for", "1", m.Target.V6().String(), "80")
	if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, "may look at the flow label") {
		t.Errorf("a port, IPv6: %v", out)
	}
	if out = run(t, m.Source, program(t), "-n", "--unprivileged", "--json", m.Target.V6().String(), "80"); out.code != 0 ||
		strings.Contains(out.stdout, "flow_label_seed") {
		t.Errorf("all labels are 0: %v", out)
	}
	// A router that looks at no port is not found, and that such a router stays hidden is said.
	m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "0")
	out = run(t, m.Source, program(t), "-n", "--paths", "--unprivileged", addressOf(m.Target.Interfaces[0], false), "80")
	text := strings.Join(strings.Fields(out.stdout), " ")
	if !strings.Contains(text, "1 path to ") || !strings.Contains(text, "A balancer that looks at no port stays hidden") {
		t.Errorf("a router that looks at flow labels\n%v", out)
	}
	m.Middle[1].Drop(t, "tcp dport 80")
	out = run(t, m.Source, program(t), "-n", "--paths", "--unprivileged", addressOf(m.Target.Interfaces[0], true), "80")
	text = strings.Join(strings.Fields(out.stdout), " ")
	if !strings.Contains(text, addressOf(m.Middle[1].Interfaces[0], true)+" (hop 2)") || !strings.Contains(text, "[broken-branch") {
		t.Errorf("a member that drops all\n%v", out)
	}
}

// diamondOf are the nodes and links of a diamond with the target right beyond.
func diamondOf(m *lab.Mesh, v4 bool) []string {
	split := "1 " + addressOf(m.Split.Interfaces[0], v4)
	all := []string{split, "4 " + addressOf(m.Target.Interfaces[0], v4)}
	for i, h := range m.Middle {
		join := m.Join.Interfaces[i] // that the packet comes in by
		if v4 {
			join = m.Join.Interfaces[0]
		}
		node, after := "2 "+addressOf(h.Interfaces[0], v4), "3 "+addressOf(join, v4)
		all = append(all, node, after, split+" -> "+node[2:], node+" -> "+after[2:],
			after+" -> "+addressOf(m.Target.Interfaces[0], v4))
	}
	return all
}

// nodesOf are the nodes and links of a line of routers whose target is one further.
func nodesOf(v4 bool, routers ...*lab.Host) (all []string) {
	for i, h := range routers {
		next := h.Interfaces[1].Peer
		all = append(all, fmt.Sprint(i+1, " ", addressOf(h.Interfaces[0], v4)), fmt.Sprint(i+2, " ", addressOf(next, v4)),
			fmt.Sprint(i+1, " ", addressOf(h.Interfaces[0], v4), " -> ", addressOf(next, v4)))
	}
	return all
}

func addressOf(i *lab.Interface, v4 bool) string {
	if v4 {
		return i.V4.String()
	}
	return i.V6.String()
}

// unlinked finds how many last routers are said to have no known link to the target.
var unlinked = regexp.MustCompile(`(?m)^From (\d+) last routers? \(`)

// untried finds that there are routers before the last one by which no flow was seen to get to the target.
var untried = regexp.MustCompile(`(?m)^By \d+ routers? before\s+the\s+last\s+one\s+\(`)

// sharesBy finds what is said of a balancer: its hop, and what it goes by.
var sharesBy = regexp.MustCompile(`(?m)^Hop (\S+) shares out by (.*)\.$`)

// mostSYNs is how many SYNs the target gets at the most, those of the trace included.
const mostSYNs = 16

// findPaths compares the nodes and links that --paths finds with those that there are, of routers that look at ports. What is found must be right. One in a
// hundred searches misses a way, as is claimed, so it is repeated then.
func findPaths(t *testing.T, source *lab.Host, target *lab.Interface, v4 bool, want []string, paths int, more ...string) {
	t.Helper()
	args := append([]string{"-n", "--paths", "--max-flows", "400", addressOf(target, v4), "80"}, more...)
	slices.Sort(want)
	want = slices.Compact(want)
	toTarget := " -> " + addressOf(target, v4)
	for try := 1; ; try++ {
		recorded := target.Capture(t)
		out := run(t, source, program(t), args...)
		if syns := arrived(recorded.Stop(t)); syns > mostSYNs {
			t.Errorf("%d SYNs at the target\n%v", syns, out)
		}
		for _, m := range sharesBy.FindAllStringSubmatch(out.stdout, -1) {
			if m[2] != "port" {
				t.Errorf("hop %s looks at ports alone\n%v", m[1], out)
			}
		}
		nodes, links := pathsTo(t, out.stdout)
		got := slices.Concat(nodes, links)
		for _, s := range got {
			if !slices.Contains(want, s) {
				t.Errorf("%q is wrong\n%v", s, out)
			}
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
		head := fmt.Sprintf("\n%d path", paths)
		// With many last routers the target's SYNs are not enough for a link from each; then it is said how many have none.
		if m := unlinked.FindStringSubmatch(out.stdout); m != nil {
			head = fmt.Sprintf("\nAt least %d path", paths)
			n := len(missing)
			missing = slices.DeleteFunc(missing, func(s string) bool { return strings.HasSuffix(s, toTarget) })
			if m[1] != strconv.Itoa(n-len(missing)) {
				t.Errorf("%d links to the target are missing\n%v", n-len(missing), out)
			}
		}
		if untried.MatchString(out.stdout) { // nor for one by each router before the last one
			head = fmt.Sprintf("\nAt least %d path", paths)
		}
		whole := len(missing) == 0 && strings.Contains(out.stdout, head)
		switch {
		case out.code != 0 || !whole && try == 4:
			t.Fatalf("missing: %q\n%v", missing, out)
		case whole:
			return
		}
	}
}

// A host that shares its connections out over two gateways of one network, by their ports, is searched by connections: raw
// packets all go to one of the two.
func TestPathsTwoGateways(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	eth0 := p.Source.Interfaces[0]
	other := eth0.Peer.V4.Next()
	p.Routers[0].IP(t, fmt.Sprintf("addr add %v/24 dev %s", other, eth0.Peer.Name))
	p.Source.IP(t, fmt.Sprintf("route replace default nexthop via %v dev %s nexthop via %v dev %s", eth0.Peer.V4, eth0.Name,
		other, eth0.Name))
	for policy, want := range []bool{false, true} {
		p.Source.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", strconv.Itoa(policy))
		out := run(t, p.Source, program(t), "-n", "-q", "1", "--paths", p.Target.V4().String(), "80")
		if got := strings.Contains(out.stderr, "looks at ports: by connections"); got != want || out.code != 0 {
			t.Errorf("policy %d: by connections %v, want %v\n%v", policy, got, want, out)
		}
	}
}

// That connections leave from another address too is said: the paths from there are others.
func TestPathsTwoLinks(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	second := p.Link(t, p.Source, p.Routers[0])
	for i, h := range append(slices.Clone(p.Routers[1:]), p.Target) { // the kernel chooses which link the trace goes by
		h.Route(t, second.Net4, p.Links[i+1].B)
	}
	p.Source.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", "1")
	for _, both := range []bool{false, true} {
		if both {
			p.Source.Route(t, netip.MustParsePrefix("0.0.0.0/0"), p.Source.Interfaces[0], second.A)
		}
		out := run(t, p.Source, program(t), "-n", "-q", "1", "--paths", p.Target.V4().String(), "80")
		said := strings.Contains(out.stderr, "several ways out: connections from other source ports leave from ")
		text := strings.Join(strings.Fields(out.stdout), " ")
		some := strings.Contains(text, "At least 1 path ") && strings.Contains(text, "their paths are found by -s ADDRESS")
		if said != both || some != both || strings.Contains(text, "the only way") == both || out.code != 0 {
			t.Errorf("two links %v: said %v\n%v", both, said, out)
		}
	}
}

// A target that drops all SYNs gets no more of them than it may, though nothing says how far it is, and the routers before
// it are found.
func TestPathsSilentTarget(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 4, Beyond: 1})
	m.Target.Filter(t, "input", "tcp dport 80 drop")
	to := m.Target.Interfaces[0]
	for _, v4 := range []bool{true, false} {
		for _, more := range [][]string{nil, {"--unprivileged"}} {
			if more != nil && !v4 {
				continue // it takes its time
			}
			recorded := to.Capture(t)
			out := run(t, m.Source, program(t), append([]string{"-n", "--paths", "-w", "1", addressOf(to, v4), "80"}, more...)...)
			syns := arrived(recorded.Stop(t))
			text := strings.Join(strings.Fields(out.stdout), " ")
			if syns < 4 || syns > mostSYNs || !strings.Contains(text, "The target didn't answer") {
				t.Errorf("IPv4 %v %v: %d SYNs at the target\n%v", v4, more, syns, out)
			}
			if more == nil && !strings.Contains(text, "4 paths to ") {
				t.Errorf("IPv4 %v: not 4 paths\n%v", v4, out)
			}
		}
	}
}

// A member that refuses its flows, by ICMP or by a reset in the target's name, is a path that ends there, and is named.
func TestPathsRefused(t *testing.T) {
	t.Parallel()
	for how, said := range map[string][2]string{
		"by ICMP":   {"!A", "rejected by %v (hop 2), and others pass: "},
		"by resets": {"reset in the target's name", "reset in the target's name beyond %v (hop 2), and others pass"},
	} {
		t.Run(how, func(t *testing.T) {
			m := lab.Diamond(t, lab.DiamondOptions{Width: 3, Beyond: 1})
			m.Target.Listen(t, 80)
			bad := m.Middle[1]
			if how == "by ICMP" {
				bad.Reject(t, "tcp dport 80", 13, 1)
			} else {
				bad.Reset(t, "tcp dport 80")
			}
			for _, v4 := range []bool{true, false} {
				out := run(t, m.Source, program(t), "-n", "--paths", addressOf(m.Target.Interfaces[0], v4), "80")
				text := strings.Join(strings.Fields(out.stdout), " ")
				place := fmt.Sprintf(said[1], addressOf(bad.Interfaces[0], v4))
				if !strings.Contains(text, "2 paths to ") || !strings.Contains(text, ", and 1 refused on the way, by") ||
					!strings.Contains(text, said[0]+") ") || !strings.Contains(text, place) ||
					!strings.Contains(text, "[broken-branch, likely]") {
					t.Errorf("no %q, no %q or no path\n%v", said[0], place, out)
				}
			}
		})
	}
}

// With --mtu the MTU and the MSS of each path are measured, a narrow one and one whose MSS is changed are named with their
// routers, and the target gets no SYN more.
func TestPathsMTU(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 3, Beyond: 1})
	m.Target.Listen(t, 80)
	narrow := m.Middle[1]
	narrow.Interfaces[1].Link.SetMTU(t, 1400)
	m.Middle[2].Mangle(t, "tcp flags syn tcp option maxseg size set 1300")
	for _, v4 := range []bool{true, false} {
		recorded := m.Target.Interfaces[0].Capture(t)
		out := run(t, m.Source, program(t), "-n", "--paths", "--mtu", addressOf(m.Target.Interfaces[0], v4), "80")
		text := strings.Join(strings.Fields(out.stdout), " ")
		want := fmt.Sprintf("Packets of more than 1400 bytes don't fit beyond %s (hop 2)", addressOf(narrow.Interfaces[0], v4))
		rows := regexp.MustCompile(`(?m)^ +\d +[\d.]+% .* (1[45]00)  +(1\d+)  2[abc]`).FindAllStringSubmatch(out.stdout, -1)
		sizes := map[string]int{}
		for _, r := range rows {
			sizes[r[1]]++
			sizes["MSS "+r[2]]++
		}
		syns := arrived(recorded.Stop(t))
		clamped := fmt.Sprintf(" (hop 1) and %s (hop 2) on ", addressOf(m.Middle[2].Interfaces[0], v4)) // it quotes what it made
		if !strings.Contains(text, want) || !strings.Contains(text, "MSS is changed to 1300 between ") ||
			!strings.Contains(text, clamped) || syns > mostSYNs ||
			sizes["1400"] != 1 || sizes["1500"] != 2 || sizes["MSS 1300"] != 1 {
			t.Errorf("no %q; sizes %v, %d SYNs\n%v", want, sizes, syns, out)
		}
	}
}

// With the limits on ICMP that Linux has by default, no router is missing when the search ends, at the latest after a
// minute, or it is said that not all could be tested. Loss, which would take a minute more, isn't measured.
func TestPathsDefaultLimits(t *testing.T) {
	t.Parallel()
	networks := []struct {
		width int
		v4    bool
	}{{2, true}, {3, false}, {4, true}}
	if testing.Short() {
		networks = networks[:1]
	}
	var running []*live
	var wanted [][]string
	for _, n := range networks { // side by side, for each waits most of the time
		m := lab.Diamond(t, lab.DiamondOptions{Width: n.width})
		m.Target.Listen(t, 80)
		for _, h := range append([]*lab.Host{m.Split, m.Join}, m.Middle...) {
			h.DefaultLimits(t)
		}
		running = append(running, launch(t, m.Source, "-n --paths "+addressOf(m.Target.Interfaces[0], n.v4)+" 80"))
		wanted = append(wanted, diamondOf(m, n.v4))
	}
	for i, l := range running {
		l.stderr.await(t, "Measuring loss", 1)
		l.signal(t, unix.SIGINT)
		out := l.outcome()
		nodes, links := pathsTo(t, out.stdout)
		got := slices.Concat(nodes, links)
		for _, s := range wanted[i] {
			if !slices.Contains(got, s) && !strings.Contains(out.stdout, "Not all of this could be tested") {
				t.Errorf("%q is missing\n%v", s, out)
			}
		}
		for _, s := range got {
			if !slices.Contains(wanted[i], s) {
				t.Errorf("%q is wrong\n%v", s, out)
			}
		}
	}
}
