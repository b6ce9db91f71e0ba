package detect_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var (
	morePaths    = flag.Int("paths", 600, "how many random paths TestInternet explains")
	internetSeed = flag.Uint64("internet", 7, "the seed of the paths that TestInternet explains")
)

// truth is what a random path is really like.
type truth struct {
	sim.Path
	hops     []int // the TTL at which each router answers; that of the next one, for those that are no hops
	distance int   // of the target
	firewall int   // index of the router with rules; -1: none
}

func truthOf(p sim.Path) truth {
	x := truth{Path: p, firewall: -1}
	ttl := 1
	for i, r := range p.Routers {
		x.hops = append(x.hops, ttl)
		if !r.Hidden {
			ttl++
		}
		if len(r.Rules) > 0 || r.Tracking != (sim.Tracking{}) {
			x.firewall = i
		}
	}
	x.distance = ttl
	return x
}

// any reports whether one of the routers is so.
func (x *truth) any(so func(*sim.Router) bool) bool {
	for i := range x.Routers {
		if so(&x.Routers[i]) {
			return true
		}
	}
	return false
}

// action is what the firewall does with SYNs to the port. Where it never speaks, rejecting is dropping.
func (x *truth) action() sim.Action {
	if x.firewall < 0 {
		return sim.Pass
	}
	for _, r := range x.Routers[x.firewall].Rules {
		if (r.Hi == 0 || r.Lo <= sim.InternetPort && sim.InternetPort <= r.Hi) && r.Segments != sim.NotSYN && r.Segments != sim.NotTCP {
			if r.Action == sim.Reject && x.Routers[x.firewall].Silent == 1 {
				return sim.Drop
			}
			return r.Action
		}
	}
	return sim.Pass
}

func (x *truth) filtered() bool { return x.Target.Ports[sim.InternetPort] == sim.Filtered }

func (x *truth) closed() bool { return x.Target.Ports == nil }

// wrong says what is wrong with a finding; "": nothing. What is only possible may name both of two cases, of which one
// must be so.
func (x *truth) wrong(f detect.Finding) string {
	at := 0
	if x.firewall >= 0 {
		at = x.hops[x.firewall]
	}
	act := x.action()
	no := func(so bool, why string) string {
		if so {
			return ""
		}
		return why
	}
	switch f.Code {
	case detect.PortOpen:
		return no(!x.closed() && !x.filtered() && act == sim.Pass, "the port isn't open")
	case detect.PortClosed:
		return no(x.closed() && act == sim.Pass || f.Confidence < detect.Certain && act == sim.Reset, "it isn't the target that resets")
	case detect.ResetOnPath:
		return no(act == sim.Reset && f.After <= at && at <= f.Before, fmt.Sprintf("there is no reset, or it is at %d", at))
	case detect.FilteredPort, detect.FilteredSYN, detect.FilteredTCP:
		if act == sim.Drop {
			return no(f.After <= at && at < f.Before, fmt.Sprintf("the firewall is at %d", at))
		}
		return no(x.filtered() && f.Confidence == detect.Possible && f.Before >= x.distance, fmt.Sprintf("nothing is dropped there (action %d, filtered %v, distance %d)", act, x.filtered(), x.distance))
	case detect.PathEnds, detect.Filtered:
		return no(act == sim.Drop && f.After <= at || x.filtered(), "it doesn't end")
	case detect.RejectedByTarget: // which names a router that a NAT hides
		hidden := x.any(func(r *sim.Router) bool { return r.NAT.HideHops })
		return no(act == sim.Reject && f.Confidence == detect.Possible && hidden, "a router rejects")
	case detect.TTLFiltered: // which names SYNs that were lost
		return no(f.Confidence == detect.Possible && x.Target.Defence != (sim.Defence{}), "low TTLs pass")
	case detect.RejectedByRouter:
		return no(act == sim.Reject && f.After <= at && at <= f.Before, fmt.Sprintf("rejected at %d", at))
	case detect.LoadBalancer:
		return no(x.any(func(r *sim.Router) bool { return len(r.Addrs) > 1 }), "there is one router each")
	case detect.DNAT, detect.Forwarded:
		return no(x.any(func(r *sim.Router) bool { return r.NAT.Dst.IsValid() || r.NAT.Dst.Addr().IsValid() }), "there is no DNAT")
	case detect.SNAT:
		return no(x.any(func(r *sim.Router) bool { return r.NAT.Src.Addr().IsValid() }), "there is no SNAT")
	case detect.IPIDRewritten:
		return no(x.any(func(r *sim.Router) bool { return r.RandomID }), "IP IDs stay")
	case detect.LabelRewritten:
		return no(x.any(func(r *sim.Router) bool { return r.Set.FlowLabel != nil }), "flow labels stay")
	case detect.BrokenBranch: // a defence that takes only SYNs repeated slowly lets no ordinary connection open at once
		return no(f.Confidence == detect.Possible && x.Target.Defence != (sim.Defence{}), "all connections fare alike")
	case detect.RateLimited:
		return no(x.any(func(r *sim.Router) bool {
			named := r.Rate != (sim.Rate{}) || r.SourceRate != (sim.Rate{}) || r.Link.Loss > 0
			return r.SYNs != (sim.Rate{}) || f.Confidence == detect.Possible && named
		}), "SYNs are not limited")
	case detect.AsymmetricReturn:
		return no(f.Confidence == detect.Possible && x.any(func(r *sim.Router) bool { return r.Detour > 0 }), "both ways are alike")
	case detect.ICMPRateLimit:
		return no(x.any(func(r *sim.Router) bool {
			return r.Rate != (sim.Rate{}) || r.SourceRate != (sim.Rate{}) || r.Loss > 0 || r.Back.Loss > 0 || r.Late.P > 0 || r.Slow > 0 // a long tail of which goes beyond any patience
		}), "nothing is lost")
	}
	return "there is nothing of the kind"
}

// TestInternet: on random paths, in which everything happens that real ones do to a traceroute, no finding is wrong,
// and what ends the connection is found.
func TestInternet(t *testing.T) {
	paths := sim.Internet(*internetSeed, *morePaths, sim.InternetOptions{}).Paths
	counts := map[string]int{}
	for i, p := range paths {
		x := truthOf(p)
		var findings []detect.Finding
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(sim.Scenario{Seed: uint64(i), Paths: []sim.Path{p}})
			if err != nil {
				t.Fatal(err)
			}
			c := sim.NewConn(m)
			defer c.Close()
			source := netip.MustParseAddrPort("198.18.255.1:40000")
			if p.Target.Addr.Is6() {
				source = netip.MustParseAddrPort("[2001:db8:0:ffff::1]:40000")
			}
			r := &run{tb: t, conn: c, explain: true, path: trace.PathOptions{
				Target: netip.AddrPortFrom(p.Target.Addr, sim.InternetPort), Source: source, Options: linuxSYN(t),
				Rand: rand.New(rand.NewPCG(uint64(i), 1)),
			}}
			// What is asked, and how, differs from path to path.
			for _, w := range [][]string{nil, {"alone"}, {"bare"}, {"ecn", "tos=186", "q=6"}}[i%4] {
				r.option(w)
			}
			findings = detect.Findings(r.evidence())
		})
		bad := false
		for _, f := range findings {
			counts[fmt.Sprintf("%s %v", f.Code, f.Confidence)]++
			if why := x.wrong(f); why != "" && !(x.hides() && f.Confidence < detect.Certain) {
				bad = true
				t.Errorf("path %d: %s %v %d-%d: %s", i, f.Code, f.Confidence, f.After, f.Before, why)
			}
		}
		if bad {
			t.Logf("\n%s\n%s", sim.Scenario{Paths: []sim.Path{p}}, details(findings))
		}
		if missed := x.missed(findings); missed != "" && !x.hides() {
			t.Errorf("path %d: %s\n%s\n%s", i, missed, sim.Scenario{Paths: []sim.Path{p}}, details(findings))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d %s", counts[k], k)
	}
}

// hides reports whether a NAT on the path hides all hops behind it from TCP, and not from ICMP echo: it changes ports,
// and leaves them so in quotes. No probe can tell that from a firewall.
func (x *truth) hides() bool {
	return x.any(func(r *sim.Router) bool { return r.NAT.RawQuote && r.NAT.Src.Port() != 0 })
}

// missed says what ends the connection and was not found.
func (x *truth) missed(findings []detect.Finding) string {
	has := func(codes ...detect.Code) bool {
		return slices.ContainsFunc(findings, func(f detect.Finding) bool { return slices.Contains(codes, f.Code) })
	}
	switch act := x.action(); {
	case act == sim.Drop && !has(detect.FilteredPort, detect.FilteredSYN, detect.FilteredTCP, detect.PathEnds, detect.Filtered):
		return "the firewall that drops was not found"
	case act == sim.Reject && !has(detect.RejectedByRouter, detect.RejectedByTarget):
		return "the firewall that rejects was not found"
	case act == sim.Reset && !has(detect.ResetOnPath) && !x.closed() && !has(detect.PortClosed):
		return "the firewall that resets was not found"
	}
	return ""
}
