package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// synChain is a chain of routers, some of which say nothing. words are those of a router, by hop.
func synChain(v6 bool, routers int, silent func(hop int) bool, words map[int]string, target string) string {
	var b strings.Builder
	for hop := 1; hop <= routers; hop++ {
		who := fmt.Sprintf("10.0.%d.1", hop)
		if v6 {
			who = fmt.Sprintf("2001:db8:a%02x::1", hop)
		}
		if silent != nil && silent(hop) {
			who = "*"
		}
		fmt.Fprintf(&b, "router %s delay=%dus %s\n", who, 500+300*(hop*7%5), words[hop])
	}
	who := "198.51.100.9"
	if v6 {
		who = "2001:db8:99::1"
	}
	fmt.Fprintf(&b, "target %s delay=1ms %s\n", who, target)
	return b.String()
}

var (
	synTargets = []string{
		"filtered", "filtered no-echo", "filtered=443 closed", "filtered=443 open", "open", "closed", "open no-echo", "reject=13", "reject=3:443", "stuck",
		"drop-first", "drop-first by-source", "cookies", "changing-cookies", "drop-first pause=1s", "bad-ack",
	}
	synOptions = []string{
		"-q 5", "-q 10", "-p 41000", "-P 41000", "-p 41000 -q 1", "-p 41000 -E -t 184", "-p 41000 -f 2", "-p 41000 -m 5",
		"--track-port", "--track-port -q 1", "--paths", "--parallel 1", "--targets", "--targets -q 1", "--targets -q 5",
	}
	synSilent = map[string]func(routers, hop int) bool{
		"none":             func(int, int) bool { return false },
		"last":             func(n, hop int) bool { return hop == n },
		"last 2":           func(n, hop int) bool { return hop > n-2 },
		"last 3":           func(n, hop int) bool { return hop > n-3 },
		"last 4":           func(n, hop int) bool { return hop > n-4 },
		"last 6":           func(n, hop int) bool { return hop > n-6 },
		"before last 3":    func(n, hop int) bool { return hop < n && hop >= n-3 },
		"before last 4":    func(n, hop int) bool { return hop < n && hop >= n-4 },
		"before last 5":    func(n, hop int) bool { return hop < n && hop >= n-5 },
		"before last 2, 3": func(n, hop int) bool { return hop < n-1 && hop >= n-4 },
		"all":              func(int, int) bool { return true },
		"first":            func(_, hop int) bool { return hop == 1 },
	}
)

// explainedSYNs is how many SYNs get to the target of a network.
func explainedSYNs(t *testing.T, network string, seed uint64, options string) virtual {
	t.Helper()
	args := append(strings.Fields(options), "--explain")
	if args[0] == "--targets" {
		line := strings.Fields(network[strings.LastIndex(network, "target "):])[1]
		list := writeFile(t, filepath.Join(t.TempDir(), "list"), line+" 443\n")
		return runList(t, network, list, 1<<40, args[1:]...)
	}
	return runVirtual(t, network, seed, args...)
}

// mostExplained is how many SYNs a target may get with --explain.
const mostExplained = 8

// A target gets at most 8 SYNs with --explain, whatever it does with SYNs and whoever is silent before it: those of the
// trace, of the ordinary connection and of the questions together. Each is counted beforehand where the trace has no
// ports for distance probes, asks a hop more than three times, finds all paths, or is one of a list.
func TestExplainSYNsEver(t *testing.T) {
	t.Parallel()
	for _, options := range synOptions {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			explainEach(t, options, synTargets)
		})
	}
}

// The same by default, where no SYN is counted beforehand: questions go no farther than they have to. Targets that drop the
// first SYN of each flow, or answer it by a wrong number, aren't among them: the trace takes what it needs to find these.
func TestExplainSYNsBehindSilence(t *testing.T) {
	t.Parallel()
	targets := slices.DeleteFunc(slices.Clone(synTargets), func(target string) bool {
		return strings.HasPrefix(target, "drop-first") || target == "bad-ack"
	})
	for _, options := range []string{"", "-q 1", "-q 2"} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			explainEach(t, options, targets)
		})
	}
}

// explainEach explains the ways to such targets behind routers of which some are silent, and counts their SYNs.
func explainEach(t *testing.T, options string, targets []string) {
	for i, target := range targets {
		for silent, is := range synSilent {
			for _, routers := range []int{0, 1, 3, 6, 10} {
				if routers == 0 && silent != "none" {
					continue
				}
				network := synChain((routers+i)%2 == 1, routers, func(hop int) bool { return is(routers, hop) }, nil, target)
				if v := explainedSYNs(t, network, uint64(i), options); v.arrived > mostExplained {
					t.Errorf("%q: %d SYNs\n%s", options, v.arrived, network)
				}
			}
		}
	}
}

// Where a router sends the port in question another way, over silent routers, its SYNs may get to the target all the same,
// however early they seem to vanish. That way is one hop shorter than the others' at the most.
func TestExplainSYNsByDetour(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"open filtered=443", "closed filtered=443", "filtered", "filtered no-echo"} {
		for routers := 1; routers <= 4; routers++ {
			for beyond := range 6 {
				for silent := max(2, beyond-1); silent < 6; silent++ {
					first := synChain(false, routers, nil, nil, "")
					first = first[:strings.LastIndex(first, "target ")]
					network := first
					for hop := range beyond {
						network += fmt.Sprintf("router 10.1.%d.1 delay=1ms\n", hop)
					}
					network += "change port=443\n" + first + strings.Repeat("router * delay=1ms\n", silent) +
						"target 198.51.100.9 delay=1ms " + target
					if v := explainedSYNs(t, network, 1, ""); v.arrived > mostExplained {
						t.Errorf("%d SYNs\n%s", v.arrived, network)
					}
				}
			}
		}
	}
}

// The same beside a device that answers in the target's name, all SYNs or half of them, and lets them go on or not. A
// trace with ports for distance probes isn't held to a bound there: hops would be missing.
func TestExplainSYNsBesideDevice(t *testing.T) {
	t.Parallel()
	devices := []string{"inject=rst", "inject=syn-ack", "inject=rst inject-ttl=255", "inject=syn-ack inject-least=2",
		"reset=443:turn2", "accept=443:turn2", "reset=443:p0.5", "accept=443:p0.5", "reset=443", "accept=443"}
	over, all, most := 0, 0, 0
	for _, options := range []string{"", "-q 5", "-p 41000"} {
		for i, device := range devices {
			for _, target := range []string{"open", "closed", "filtered", "cookies"} {
				for _, routers := range []int{1, 2, 4, 7} {
					for at := 1; at <= routers; at++ {
						network := synChain((routers+at)%2 == 1, routers, nil, map[int]string{at: device}, target)
						v := explainedSYNs(t, network, uint64(i), options)
						if all++; v.arrived > mostExplained {
							over++
							most = max(most, v.arrived)
							if options != "" {
								t.Errorf("%q: %d SYNs\n%s", options, v.arrived, network)
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d of %d targets get more than %d SYNs, at most %d", over, all, mostExplained, most)
	if most > 2*mostExplained+4 {
		t.Errorf("a target gets %d SYNs", most)
	}
}
