package compare_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
)

// edits are changes of a random path, with the kinds of differences that they bring about: one of want has to be named,
// and nothing that isn't in may. A false result: the path can't be changed so.
var edits = []struct {
	name string
	make func(p *sim.Path) bool
	want string
	may  string
}{
	{"slower", func(p *sim.Path) bool {
		p.Routers[len(p.Routers)/2].Link.Delay += 100 * time.Millisecond
		return true
	}, "time", "time"},
	{"another router twice", func(p *sim.Path) bool {
		for i := range p.Routers[:2] {
			r := &p.Routers[i]
			if len(r.Addrs) == 0 || r.Silent > 0 || r.Hidden || r.NAT.HideHops || r.Rate.Every > 0 {
				return false
			}
			a := r.Addrs[0].AsSlice()
			a[1] ^= 0x40
			to, _ := netip.AddrFromSlice(a)
			r.Addrs = []netip.Addr{to}
		}
		return true
	}, "route", "route"},
	{"closed", func(p *sim.Path) bool {
		if p.Target.Ports[sim.InternetPort] != sim.Open || len(p.Target.Ports) == 0 {
			return false
		}
		p.Target.Ports = map[uint16]sim.State{sim.InternetPort: sim.Closed}
		return true
	}, "state", "state"},
	{"filtered", func(p *sim.Path) bool {
		if p.Target.Ports[sim.InternetPort] == sim.Filtered {
			return false
		}
		p.Target.Ports = map[uint16]sim.State{sim.InternetPort: sim.Filtered}
		return true
	}, "state", "state finding"},
}

// Changes of random paths are named, and nothing else.
func TestInternetChanges(t *testing.T) {
	t.Parallel()
	const n = 100
	before := sim.Internet(*internetSeed, n, sim.InternetOptions{})
	after := sim.Internet(*internetSeed, n, sim.InternetOptions{})
	changed := make(map[int]int) // edits by path
	for i := range after.Paths {
		p := &after.Paths[i]
		kind := i % len(edits)
		one := slices.ContainsFunc(p.Routers, func(r sim.Router) bool { return r.OneISN || len(r.Rules) > 0 })
		if one || p.Target.Defence != (sim.Defence{}) || len(p.Routers) < 4 {
			continue
		}
		p.Routers = slices.Clone(p.Routers)
		p.Target.Ports = maps.Clone(p.Target.Ports)
		if edits[kind].make(p) {
			changed[i] = kind
		}
	}
	var both [2][]*record.Trace
	for k, s := range []sim.Scenario{before, after} {
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(s)
			if err != nil {
				t.Fatal(err)
			}
			conn := sim.NewConn(m)
			defer conn.Close()
			for i := range s.Paths {
				var made *record.Trace
				if _, ok := changed[i]; ok {
					made = traced(t, conn, options(s.Paths[i].Target.Addr, sim.InternetPort, 41234, 10, uint64(i+1000*k)))
				}
				both[k] = append(both[k], made)
			}
		})
	}
	named, missed := make(map[string]int), make(map[string]int)
	for i, kind := range changed {
		r, e := compare.Compare(both[0][i], both[1][i]), &edits[kind]
		got := kinds(r.Differences)
		if strings.Contains(got, e.want) {
			named[e.name]++
		} else {
			missed[e.name]++
			t.Logf("path %d, %s: not named\n%s", i, e.name, text(r))
		}
		for _, k := range strings.Fields(got) {
			if !strings.Contains(e.may, k) {
				t.Errorf("path %d, %s: %s too\n%s", i, e.name, k, text(r))
			}
		}
	}
	t.Logf("named %v, not named %v", named, missed)
	for _, e := range edits {
		if named[e.name] < 9*missed[e.name] {
			t.Errorf("%s: %d named, %d not", e.name, named[e.name], missed[e.name])
		}
	}
}
