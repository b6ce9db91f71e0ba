package test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// nobody is an address on the last link of a chain that nobody has. Each number is another one, which the last router doesn't
// know to be dead yet.
func nobody(v family, p *lab.Path, n int) netip.Addr {
	link := len(p.Links)
	return netip.MustParseAddr(pick(v, fmt.Sprintf("198.18.%d.%d", link, 100+n), fmt.Sprintf("2001:db8:%x::%x", link, 100+n)))
}

// downTries is how often a trace to an address that nobody has may miss the router's report. The router's timers and this
// program's are a few milliseconds apart by design, which a busy machine may make more.
const downTries = 4

// untilReported is what came of a trace, or of the next one to another address where that missed the router's report.
func untilReported(got outcome, reported func(outcome) bool, again func(try int) outcome) outcome {
	for try := 1; try < downTries && !reported(got); try++ {
		got = again(try)
	}
	return got
}

// TestTargetDown traces to an address that nobody has on the last link. The last router reports it just after the usual wait
// is over.
func TestTargetDown(t *testing.T) {
	lab.NeedProgram(t, "traceroute")
	lab.NeedProgram(t, peer)
	families(t, func(t *testing.T, v family) {
		const hops = 4
		p := lab.Chain(t, lab.ChainOptions{Hops: hops})
		last := v.of(p.Hop(hops - 1))
		refusal := regexp.MustCompile(fmt.Sprintf(`(?m)^ %d  (\* )*%v  ?\d+\.\d+ ms !H`, hops, last))
		var runs sideBySide
		for i, args := range []string{
			"", "-q 1", "-w 3", "-w 3 -q 1", "-w 1", "-w 2 -q 1", "-w 5", "--parallel 1 -q 1", "--parallel 1", "--track-port", "-m 7", "-f 3", "--unprivileged",
		} {
			runs.begin(t, args, func(t *testing.T) func(*testing.T) {
				l := launch(t, p.Source, fmt.Sprintf("-n %s %v", args, nobody(v, p, i)))
				return func(t *testing.T) {
					from, queries := 1, 3
					if strings.Contains(args, "-f 3") {
						from = 3
					}
					if strings.Contains(args, "-q 1") {
						queries = 1
					}
					var want string
					for ttl := from; ttl < hops; ttl++ {
						want += hop(ttl, v.of(p.Hop(ttl)), queries, "")
					}
					reported := func(got outcome) bool {
						rows := masked(got.stdout)
						return strings.HasPrefix(rows, want) && refusal.MatchString(got.stdout) &&
							strings.Count(rows, "\n") == hops-from+1 && got.code == 0
					}
					got := untilReported(l.outcome(), reported, func(try int) outcome {
						return launch(t, p.Source, fmt.Sprintf("-n %s %v", args, nobody(v, p, 60+20*try+i))).outcome()
					})
					if !reported(got) {
						t.Errorf("%v\nwant %d routers and !H of %v, exit code 0", got, hops-from, last)
					}
				}
			})
		}
		runs.begin(t, "json", func(t *testing.T) func(*testing.T) {
			l := launch(t, p.Source, fmt.Sprintf("-n --json %v", nobody(v, p, 50)))
			return func(t *testing.T) {
				reported := func(got outcome) bool {
					return strings.Contains(got.stdout, "\"state\": \"refused\",\n    \"ttl\": 4,")
				}
				got := untilReported(l.outcome(), reported, func(try int) outcome {
					return launch(t, p.Source, fmt.Sprintf("-n --json %v", nobody(v, p, 50+try))).outcome()
				})
				if !reported(got) {
					t.Error(got)
				}
			}
		})
		runs.begin(t, "report", func(t *testing.T) func(*testing.T) {
			l := launch(t, p.Source, fmt.Sprintf("-n --report -c 1 %v", nobody(v, p, 55)))
			return func(t *testing.T) {
				reported := func(got outcome) bool {
					return strings.Contains(got.stdout, fmt.Sprintf("%d.|-- %v ", hops, last)) && got.code == 0
				}
				got := untilReported(l.outcome(), reported, func(try int) outcome {
					return launch(t, p.Source, fmt.Sprintf("-n --report -c 1 %v", nobody(v, p, 55+try))).outcome()
				})
				if !reported(got) {
					t.Error(got)
				}
			}
		})
		others := []string{"traceroute -T -n -m 8"}
		if v == ip4 {
			others = append(others, peer+" -n -m 8")
		}
		for i, other := range others {
			runs.begin(t, other, func(t *testing.T) func(*testing.T) {
				words := strings.Fields(other)
				l := prepare(t, p.Source, words[0], strings.Join(words[1:], " ")+" "+nobody(v, p, 60+i).String())
				l.begin(t)
				return func(t *testing.T) {
					reported := func(got outcome) bool { return refusal.MatchString(got.stdout) }
					got := untilReported(l.outcome(), reported, func(try int) outcome {
						l := prepare(t, p.Source, words[0], strings.Join(words[1:], " ")+" "+nobody(v, p, 60+5*try+i).String())
						l.begin(t)
						return l.outcome()
					})
					if !reported(got) {
						t.Errorf("%v\nthe network isn't what it is meant to be", got)
					}
				}
			})
		}
		runs.finish(t)
	})
}

// TestTargetDownWithDefaultLimits is the same where the routers limit their ICMP as Linux does by default.
func TestTargetDownWithDefaultLimits(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const hops = 3
		var runs sideBySide
		for _, args := range []string{"", "-q 1", "-w 3 -q 1", "--parallel 1 -q 1"} {
			p := lab.Chain(t, lab.ChainOptions{Hops: hops})
			for _, r := range p.Routers {
				r.DefaultLimits(t)
			}
			runs.begin(t, args, func(t *testing.T) func(*testing.T) {
				l := launch(t, p.Source, fmt.Sprintf("-n %s %v", args, nobody(v, p, 1)))
				return func(t *testing.T) {
					refusal := fmt.Sprintf("\n %d  %v  T !H", hops, v.of(p.Hop(hops-1)))
					reported := func(got outcome) bool {
						rows := masked(got.stdout)
						return strings.Contains(rows, refusal) && strings.Count(rows, "\n") == hops && got.code == 0
					}
					got := untilReported(l.outcome(), reported, func(try int) outcome {
						return launch(t, p.Source, fmt.Sprintf("-n %s %v", args, nobody(v, p, 1+try))).outcome()
					})
					if !reported(got) {
						t.Errorf("%v\nwant !H at hop %d, exit code 0", got, hops)
					}
				}
			})
		}
		runs.finish(t)
	})
}
