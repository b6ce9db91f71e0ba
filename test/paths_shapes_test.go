package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// routing is a network of routers of the kernel: for each router the routers that come next, the first one first. The target
// comes after the last one.
type routing [][]int

// shapes are the networks that TestPathsShapes builds. Each ends with two routers in a row, so that one router is the last.
var shapes = []struct {
	name    string
	routing routing
}{
	{"nested 2x2", routing{{1, 2}, {3, 4}, {5, 6}, {7}, {7}, {8}, {8}, {9}, {9}, {10}, {}}},
	{"meshed 4x4", routing{{1, 2, 3, 4}, {5, 6, 7, 8}, {5, 6, 7, 8}, {5, 6, 7, 8}, {5, 6, 7, 8}, {9}, {9}, {9}, {9}, {10}, {}}},
	{"unequal", routing{{1, 2}, {4}, {3}, {4}, {5}, {}}},
}

// shaped is a network that is built.
type shaped struct {
	source, target *lab.Host
	routers        []*lab.Host
	links          map[[2]int]*lab.Link // by the routers at their ends; -1 is the source, the number of routers the target
	in             [][]int              // by router: those before it
}

// build builds a network. Each router shares out the flows by addresses and ports, with a seed of its own. The way back
// is always by the first router before.
func (s routing) build(t *testing.T) *shaped {
	t.Helper()
	l := lab.New(t)
	n := &shaped{source: l.Host(t, "source"), links: map[[2]int]*lab.Link{}, in: make([][]int, len(s)+1)}
	for i := range s {
		n.routers = append(n.routers, l.Host(t, "r"+strconv.Itoa(i)))
	}
	n.target = l.Host(t, "target")
	first := l.Link(t, n.source, n.routers[0])
	n.links[[2]int{-1, 0}], n.in[0] = first, []int{-1}
	n.source.Default(t, first.A)
	hosts := append(n.routers[:len(s):len(s)], n.target)
	for i, next := range s {
		if len(next) == 0 {
			next = []int{len(s)}
		}
		r := n.routers[i]
		r.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", "1")
		r.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "1")
		r.Sysctl(t, "net.ipv4.fib_multipath_hash_seed", strconv.Itoa(1000+7919*i))
		var out []*lab.Interface
		for _, to := range next {
			link := l.Link(t, r, hosts[to])
			n.links[[2]int{i, to}] = link
			n.in[to] = append(n.in[to], i)
			out = append(out, link.A)
			if len(n.in[to]) == 1 {
				hosts[to].Route(t, first.Net4, link.B)
				hosts[to].Route(t, first.Net6, link.B)
			}
		}
		r.Default(t, out...)
	}
	return n
}

// address is where a router answers from that a packet comes to by a link: in IPv4 from its address on the way back, in
// IPv6 from the one where the packet came in.
func (n *shaped) address(from, to int, v4 bool) string {
	if v4 {
		from = n.in[to][0]
	}
	return addressOf(n.links[[2]int{from, to}].B, v4)
}

// ways calls f for each way to the target, with the addresses that answer there.
func (n *shaped) ways(s routing, v4 bool, at int, way []string, f func(way []string)) {
	if at == len(s) {
		f(way)
		return
	}
	next := s[at]
	if len(next) == 0 {
		next = []int{len(s)}
	}
	for _, to := range next {
		n.ways(s, v4, to, append(way[:len(way):len(way)], n.address(at, to, v4)), f)
	}
}

// Nested and meshed balancers of the kernel, and branches of unequal length, are found with every link and nothing else.
func TestPathsShapes(t *testing.T) {
	t.Parallel()
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := c.routing.build(t)
			n.target.Listen(t, 80)
			for _, v4 := range []bool{true, false} {
				var want []string
				paths := 0
				n.ways(c.routing, v4, 0, []string{n.address(-1, 0, v4)}, func(way []string) {
					paths++
					for i, a := range way {
						want = append(want, fmt.Sprint(i+1, " ", a))
						if i > 0 {
							want = append(want, fmt.Sprint(i, " ", way[i-1], " -> ", a))
						}
					}
				})
				findPaths(t, n.source, n.target.Interfaces[0], v4, want, paths)
			}
		})
	}
}

// A router that answers from two of its addresses in turn is not taken for two for sure, and no path is made of it.
func TestPathsFaces(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 5})
	p.Target.Listen(t, 80)
	near, far := p.Routers[2].Interfaces[0], p.Routers[2].Interfaces[1]
	p.Routers[2].AnswerFrom(t, near.V4, far.V4)
	p.Routers[2].AnswerFrom(t, near.V6, far.V6)
	for _, v4 := range []bool{true, false} {
		out := run(t, p.Source, program(t), "-n", "--paths", addressOf(p.Target.Interfaces[0], v4), "80")
		nodes, links := pathsTo(t, strings.ReplaceAll(out.stdout, "(each packet its own way?)", ""))
		text := strings.Join(strings.Fields(out.stdout), " ")
		if out.code != 0 || len(nodes) != 6 || !strings.Contains(text, "or the next one answers from several of its addresses") {
			t.Errorf("nodes %q\n%v", nodes, out)
		}
		for _, l := range links {
			if strings.HasPrefix(l, "3 ") {
				t.Errorf("a link through a router with two addresses: %q\n%v", l, out)
			}
		}
		if strings.Contains(out.stdout, "shares out by") {
			t.Errorf("no router shares out flows\n%v", out)
		}
	}
}
