package test

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// What other traceroutes show of the same network, and that ours is never less right than the best of them.

// puzzle is a network for traceroutes, and what is true of it.
type puzzle struct {
	*lab.Host // that traces
	to        netip.Addr
	port      int
	queries   int      // per hop, of programs that take their time; 0: 3
	truth     []string // who stands at each hop; "": somebody who never answers
}

// chainPuzzle is a chain, traced to the end, or to an address on its last link for which the last router speaks.
func chainPuzzle(p *lab.Path, v family, to netip.Addr, port int) puzzle {
	x := puzzle{Host: p.Source, to: to, port: port}
	for ttl := 1; ttl < len(p.Links); ttl++ {
		x.truth = append(x.truth, v.of(p.Hop(ttl)).String())
	}
	if last := v.of(p.Target); to == last {
		x.truth = append(x.truth, last.String())
	} else {
		x.truth = append(x.truth, x.truth[len(x.truth)-1])
	}
	return x
}

// puzzleOf makes puzzles out of chains, traced to port 80.
func puzzleOf(v family, build func(t *testing.T) *lab.Path) func(t *testing.T) puzzle {
	return func(t *testing.T) puzzle {
		p := build(t)
		return chainPuzzle(p, v, v.of(p.Target), 80)
	}
}

// tally is how right a list is, hop by hop.
type tally struct{ right, wrong, missing int }

// worse reports whether a list is less right than another one.
func (a tally) worse(b tally) bool { return a.wrong > b.wrong || a.right-a.wrong < b.right-b.wrong }

// judge compares any traceroute's list with the truth. A hop is wrong where somebody stands who isn't there.
func (x *puzzle) judge(stdout string) (n tally) {
	who, _ := shownHops(strings.ReplaceAll(stdout, ".|--", " "))
	for i := range max(len(who), len(x.truth)) {
		shown, want := "", ""
		if i < len(who) {
			shown = who[i]
		}
		if i < len(x.truth) {
			want = x.truth[i]
		}
		switch {
		case shown == "" && want != "":
			n.missing++
		case shown != want:
			n.wrong++
		case shown != "":
			n.right++
		}
	}
	return n
}

// The other programs, with the arguments of a list of numbers up to this hop. The first is IPv4's alone.
var peerCommands = []string{
	peer + " -n -q QUERIES -m MAX TO PORT",
	"traceroute -T -n -q QUERIES -m MAX -p PORT TO",
	"mtr -n --tcp -P PORT -r -c 3 -i 0.1 -m MAX --gracetime 1 TO",
}

// neverLessRight has others trace, each a network of its own that build makes anew, and ours as well: it has nobody wrong, and
// is as right as the best of them. A busy machine may spoil any of the lists: for a peer that makes nothing worse, and ours has
// another try.
func neverLessRight(t *testing.T, v family, args string, build func(t *testing.T) puzzle) {
	t.Helper()
	command := func(x puzzle, text string) (*live, error) {
		text = strings.NewReplacer("QUERIES", fmt.Sprint(cmp.Or(x.queries, 3)), "MAX", fmt.Sprint(len(x.truth)+2), "PORT", fmt.Sprint(x.port), "TO", x.to.String()).Replace(text)
		name, args, _ := strings.Cut(text, " ")
		l := prepare(t, x.Host, name, args)
		return l, l.Err
	}
	type started struct {
		name string
		x    puzzle
		*live
	}
	var others []started
	for _, text := range peerCommands {
		name, _, _ := strings.Cut(text, " ")
		if name == peer && v == ip6 {
			continue
		}
		lab.NeedProgram(t, name)
		x := build(t)
		l, err := command(x, text)
		if err != nil {
			t.Fatal(err)
		}
		l.begin(t)
		others = append(others, started{name, x, l})
	}
	ours := func() (tally, outcome) {
		x := build(t)
		l, err := command(x, fmt.Sprintf("%s -n %s -m MAX TO PORT", program(t), args))
		if err != nil {
			t.Fatal(err)
		}
		l.begin(t)
		got := l.outcome()
		return x.judge(got.stdout), got
	}
	us, got := ours()
	for _, o := range others {
		list := o.outcome()
		them := o.x.judge(list.stdout)
		t.Logf("%s: %+v, ours: %+v", o.name, them, us)
		eventually(t, "a list as right as that of "+o.name, func() bool {
			if us.wrong == 0 && us.worse(them) {
				us, got = ours()
			}
			return us.wrong > 0 || !us.worse(them)
		})
	}
	if us.wrong > 0 {
		t.Errorf("%d hops are wrong\n%v", us.wrong, got)
	}
}

// TestJudge: what is right, wrong and missing in lists of several programs.
func TestJudge(t *testing.T) {
	x := puzzle{truth: []string{"198.18.1.2", "", "198.18.3.2"}}
	for _, tt := range []struct {
		list string
		want tally
	}{
		{" 1  198.18.1.2  0.1 ms\n 2  * * *\n 3  198.18.3.2 [open]  0.1 ms * 0.2 ms\n", tally{right: 2}},
		{"traceroute to 198.18.3.2 (198.18.3.2), 5 hops max\n 1  * 198.18.1.2  0.1 ms\n 2  * * *\n 3  * * *\n", tally{right: 1, missing: 1}},
		{" 1  198.18.1.2  0.1 ms\n 2  198.18.3.2 [open]  0.1 ms\n", tally{right: 1, wrong: 1, missing: 1}},
		{" 1  198.18.9.2  0.1 ms\n 2  *\n 3  198.18.3.2  0.1 ms\n 4  198.18.3.2  0.1 ms\n", tally{right: 1, wrong: 2}},
		{"HOST: here  Loss%\n  1.|-- 198.18.1.2  0.0%\n  2.|-- ???  100.0\n  3.|-- 198.18.3.2  0.0%\n", tally{right: 2}},
		{"", tally{missing: 2}},
	} {
		if got := x.judge(tt.list); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.list, got, tt.want)
		}
	}
	if !(tally{right: 1, missing: 1}).worse(tally{right: 2}) || !(tally{right: 2, wrong: 1}).worse(tally{right: 2}) ||
		(tally{right: 2}).worse(tally{right: 2}) || (tally{right: 2}).worse(tally{right: 3, wrong: 1}) {
		t.Error("worse")
	}
}
