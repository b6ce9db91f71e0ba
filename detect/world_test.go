package detect_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/sim"
)

// world is a random network in which one thing is wrong, or two, or nothing. What is true of it is written down by
// those who made it so: nothing here is computed by the code under test.
type world struct {
	*rand.Rand
	seed    uint64
	v6      bool
	routers []sim.Router // the way out; the router of hop 1 is the first
	forks   []spread
	changes []sim.Change // one at the most, with the routers from changeAt on; those before are as on the other way
	target  sim.Target
	with    []string // how the trace is made, see run.option
	causes  []string
	taken   map[string]bool // what a cause has to itself
	facts   []fact
	// changeAt is where the change begins; cut, that the other way ends there, at the target.
	changeAt int
	cut      bool
	ttlSet   int  // the hop that sets the TTL; 0: none does
	solo     bool // no other cause would be what it is
	clean    bool // nothing that a finding could be about, but the port's state
}

// fact is something that is so.
type fact struct {
	cause string // that it belongs to; "": it belongs to the network's nature
	code  detect.Code
	// A finding of that code is true if its place touches these hops. Both are 0: it has no place.
	first, last int
	link        bool // it is the link before that hop: the place has to contain it
	// named is by which words a finding that is only possible names this, among other things; nil: none does.
	named *regexp.Regexp
}

// spread is a fork in the place of a router, or before it.
type spread struct {
	hop     int
	instead bool // of the router
	fork    *sim.Fork
	longer  int // by how many hops the longest way is longer than the shortest
}

const clientPort = 443 // that is traced to

func (w *world) one(in int) bool { return w.IntN(in) == 0 }

func oneOf[T any](w *world, all ...T) T { return all[w.IntN(len(all))] }

// addr is the address of a router at a hop.
func (w *world) addr(hop, member int) netip.Addr {
	if w.v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:b%02x::%x", hop, member))
	}
	return netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", hop, member))
}

// spare is an address that nobody else has.
func (w *world) spare() netip.Addr {
	if w.v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:c::1:%x", w.IntN(1<<16)))
	}
	return netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 1+w.IntN(250)))
}

// somewhere is a random hop of a router.
func (w *world) somewhere() int { return 1 + w.IntN(len(w.routers)) }

// router is the one at a hop.
func (w *world) router(hop int) *sim.Router { return &w.routers[hop-1] }

// end is the target's hop, where no fork is longer.
func (w *world) end() int { return len(w.routers) + 1 }

// take reserves something for a cause; false: another has it.
func (w *world) take(what ...string) bool {
	for _, x := range what {
		if w.taken[x] {
			return false
		}
	}
	for _, x := range what {
		w.taken[x] = true
	}
	return true
}

// is says that a finding of this code is true, at that hop; 0: anywhere.
func (w *world) is(code detect.Code, hop int) { w.between(code, hop, hop) }

func (w *world) between(code detect.Code, first, last int) {
	w.facts = append(w.facts, fact{cause: w.cause(), code: code, first: first, last: last})
}

// lossy says that the link before a hop is meant.
func (w *world) lossy(code detect.Code, hop int) {
	w.facts = append(w.facts, fact{cause: w.cause(), code: code, first: hop, last: hop, link: true})
}

// named says by which words a finding that is only possible names what is so.
func (w *world) named(words string) {
	w.facts = append(w.facts, fact{cause: w.cause(), named: regexp.MustCompile(words)})
}

// cause is the one that is being made.
func (w *world) cause() string {
	if len(w.causes) == 0 {
		return ""
	}
	return w.causes[len(w.causes)-1]
}

// option reports whether the trace is made so.
func (w *world) option(name string) bool {
	return slices.ContainsFunc(w.with, func(o string) bool { return o == name || strings.HasPrefix(o, name+"=") })
}

// code is an ICMP unreachable's, by what it says.
func (w *world) code(v4, v6 uint8) uint8 {
	if w.v6 {
		return v6
	}
	return v4
}

func (w *world) admin() uint8    { return w.code(13, 1) }
func (w *world) noRoute() uint8  { return w.code(0, 0) }
func (w *world) noHost() uint8   { return w.code(1, 3) }
func (w *world) noPort() uint8   { return w.code(3, 4) }
func (w *world) anyWords() uint8 { return oneOf(w, w.admin(), w.noRoute(), w.noHost(), w.noPort()) }
func (w *world) port() []sim.Rule {
	return []sim.Rule{{Action: sim.Drop, Lo: clientPort, Hi: clientPort}}
}

// speaks makes a router one that always answers.
func (w *world) speaks(hop int) {
	r := w.router(hop)
	r.Addrs, r.SourceRate = []netip.Addr{w.addr(hop, 1)}, sim.Rate{}
}

// randomWorld draws one.
func randomWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 11)), seed: seed, taken: map[string]bool{}}
	w.v6 = w.one(2)
	w.routers = make([]sim.Router, 3+w.IntN(9))
	w.target = sim.Target{Addr: netip.MustParseAddr("198.51.100.9"), Link: sim.Link{Delay: time.Millisecond}}
	if w.v6 {
		w.target.Addr = netip.MustParseAddr("2001:db8:99::1")
	}
	w.clean = w.one(9)
	for hop := 1; hop < w.end(); hop++ {
		w.plain(hop)
	}
	if !w.clean {
		w.nature()
	}
	w.taken["v4"], w.taken["v6"] = w.v6, !w.v6
	for range w.number() {
		if w.taken["first"] = len(w.causes) > 0; !w.solo {
			w.wrong()
		}
	}
	if *harsh && !w.clean && !w.solo {
		w.harsher()
	}
	if !w.taken["target"] && !w.taken["state"] {
		w.state()
	}
	w.together()
	return w
}

// together is what two causes make, or a cause and how the trace is made, that one alone doesn't.
func (w *world) together() {
	has := func(all ...string) bool {
		return slices.ContainsFunc(w.causes, func(c string) bool { return slices.Contains(all, c) })
	}
	lost := has("home-tcp", "home-port", "home-all")
	if has("elsewhere") && slices.ContainsFunc(w.routers, func(r sim.Router) bool { return r.NAT.Src.IsValid() }) {
		w.named(namesWayBack) // a NAT doesn't know what comes from elsewhere
	}
	if has("translated") && has("reject-port", "reject-all", "no-route", "route-rejects") {
		w.named(namesFront) // a router beyond the NAT speaks in the target's name
	}
	for _, f := range slices.Clone(w.facts) {
		switch f.code {
		case detect.ResetOnPath, detect.TCPProxy: // who takes the port, and answers nobody: that is a filter
			if lost || w.option("ack") {
				w.facts = append(w.facts, fact{cause: f.cause, code: detect.FilteredPort, first: f.first, last: f.last})
			}
		case detect.MTULimit: // a limit of which nobody hears
			if has("home-icmp", "home-all", "hidden-nat") {
				w.facts = append(w.facts, fact{cause: f.cause, code: detect.SizeFilter, first: f.first, last: f.last})
			}
		case detect.BrokenBranch: // the others vanish elsewhere
			if has("member-port") && len(w.causes) > 1 {
				w.facts = append(w.facts, fact{cause: f.cause, code: detect.FilteredPort, first: f.first, last: f.last})
			}
		case detect.OtherWay: // a router that drops this port, and of which nobody hears
			if has("ttl-low") {
				w.facts = append(w.facts, fact{cause: f.cause, code: detect.FilteredPort, first: f.first, last: f.last})
			}
		}
	}
}

// number is how many things are wrong.
func (w *world) number() int {
	switch {
	case w.clean:
		return 0
	case w.one(4):
		return 2
	}
	return 1
}

// plain draws a router as most are: it may be silent, or quote little.
func (w *world) plain(hop int) {
	r := w.router(hop)
	r.Addrs = []netip.Addr{w.addr(hop, 1)}
	r.Link.Delay = time.Duration(100+w.IntN(4000)) * time.Microsecond
	if w.one(10) {
		r.Addrs = nil
	}
	if w.one(10) && !w.v6 {
		r.Quote = sim.QuoteMinimum
	}
	r.Linux = w.one(4)
}

// nature draws what networks have without anything being wrong.
func (w *world) nature() {
	for hop := 1; hop < w.end(); hop++ {
		r := w.router(hop)
		if w.one(12) {
			r.SourceRate, r.Linux = sim.Rate{Every: time.Second, Burst: oneOf(w, 1, 6)}, true
			w.is(detect.ICMPRateLimit, hop)
		}
		if w.one(16) && len(r.Addrs) > 0 {
			r.Addrs = append(r.Addrs, w.addr(hop, 2))
			w.is(detect.LoadBalancer, hop)
		}
		if w.one(60) {
			r.Link.Loss, r.Back.Loss = 0.01, 0.01
			w.is(detect.ICMPRateLimit, hop) // as good as: one answer is missing
			w.lossy(detect.PacketLoss, hop)
			w.named(`[Cc]hance`)
		}
	}
	if w.one(12) {
		w.unequal()
	}
	if w.one(12) {
		w.otherHome(w.somewhere(), 1+w.IntN(3))
	}
	if w.one(14) {
		w.router(1 + w.IntN(2)).NAT = oneOf(w,
			sim.NAT{Src: netip.AddrPortFrom(w.spare(), 1024)}, sim.NAT{Src: netip.AddrPortFrom(w.spare(), 0)})
		w.between(detect.SNAT, 1, 2)
	}
	if w.one(16) {
		r := w.router(len(w.routers))
		w.is(detect.DNAT, len(w.routers))
		r.NAT.Dst = oneOf(w, netip.AddrPortFrom(w.spare(), 0), netip.AddrPortFrom(netip.Addr{}, clientPort))
	}
}

// unequal makes two ways of different length.
func (w *world) unequal() {
	hop, longer := w.somewhere(), 1+w.IntN(2)
	f := &sim.Fork{Ways: []sim.Way{{Share: oneOf(w, 0, 0.25)}, {}}}
	for i := range longer {
		more := sim.Router{Addrs: []netip.Addr{w.addr(hop, 20+i)}, Link: w.router(hop).Link}
		f.Ways[1].Routers = append(f.Ways[1].Routers, more)
	}
	w.forks = append(w.forks, spread{hop: hop, fork: f, longer: longer})
	w.between(detect.LoadBalancer, hop, 255)
}

// otherHome lets answers from a hop on come home another way, which is by so many routers longer.
func (w *world) otherHome(hop, longer int) *sim.Home {
	if !w.take("home") {
		return nil
	}
	h := &sim.Home{}
	for i := range hop - 1 + longer {
		r := sim.Router{Addrs: []netip.Addr{w.addr(100+i, 1)}, Link: sim.Link{Delay: time.Millisecond}}
		h.Routers = append(h.Routers, r)
	}
	w.router(hop).Home = h
	return h
}

// state draws whether the port is open.
func (w *world) state() {
	if w.one(8) && !w.option("ack") {
		w.target.State = sim.Closed
	}
}

// wrong draws something that is wrong.
func (w *world) wrong() {
	total := 0
	for _, c := range worldCauses {
		total += c.weight
	}
	for range 20 {
		n := w.IntN(total)
		i := 0
		for ; n >= worldCauses[i].weight; i++ {
			n -= worldCauses[i].weight
		}
		c := worldCauses[i]
		if slices.Contains(w.causes, c.name) || !w.take(strings.Fields(c.takes)...) {
			continue
		}
		w.causes = append(w.causes, c.name)
		c.make(w)
		return
	}
}

// harsher adds a limit on SYNs, down to one in 5.3 seconds, and a stuck service. Such a limit with a service that never
// answers a SYN looks like a filter.
func (w *world) harsher() {
	w.besides("syn-limit")
	for i := range w.routers {
		if r := &w.routers[i]; r.SYNs != (sim.Rate{}) && w.one(3) {
			r.SYNs.Every = time.Duration(200+w.IntN(5100)) * time.Millisecond
		}
	}
	if w.one(2) && w.take("target", "state") {
		w.besides("stuck")
	}
}

// besides makes one cause more, whatever others there are.
func (w *world) besides(name string) {
	for _, c := range worldCauses {
		if c.name == name && !slices.Contains(w.causes, name) {
			w.causes = append(w.causes, name)
			c.make(w)
		}
	}
}

// scenario is the world in the form that can be traced.
func (w *world) scenario() *scenario {
	w.joinAtNAT()
	p := sim.Path{Target: w.target, Routers: w.forked(len(w.routers))}
	for _, c := range w.changes {
		c.Routers = append(w.forked(w.changeAt-1), c.Routers...)
		p.Changes = append(p.Changes, c)
	}
	if w.cut {
		p.Routers = w.forked(w.changeAt - 1)
	}
	name := strings.Join(w.causes, "+")
	return &scenario{name: name, network: sim.Scenario{Paths: []sim.Path{p}}.String(), with: w.with}
}

// joinAtNAT lets a way home of its own lead by the NAT on the way out, which has the address that answers go to.
func (w *world) joinAtNAT() {
	for i := range w.routers {
		for nat := i - 1; nat >= 0 && w.routers[i].Home != nil; nat-- {
			if w.routers[nat].NAT != (sim.NAT{}) {
				h := w.routers[i].Home
				h.Skip = i - nat - 1
				if h.Routers = h.Routers[:max(len(h.Routers)-1-nat, 0)]; h.Skip == 0 {
					w.noHome(h)
				}
				break
			}
		}
	}
}

// noHome takes a way home of its own away, from members of a group too.
func (w *world) noHome(h *sim.Home) {
	all := [][]sim.Router{w.routers}
	for _, f := range w.forks {
		for _, way := range f.fork.Ways {
			all = append(all, way.Routers)
		}
	}
	for _, routers := range all {
		for i := range routers {
			if routers[i].Home == h {
				routers[i].Home = nil
			}
		}
	}
}

// forked is the routers up to a hop, with the forks among them.
func (w *world) forked(last int) []sim.Router {
	routers := slices.Clone(w.routers[:last])
	slices.SortStableFunc(w.forks, func(a, b spread) int { return b.hop - a.hop })
	for _, f := range w.forks {
		r := sim.Router{Fork: f.fork}
		switch {
		case f.hop > last:
		case f.instead:
			routers[f.hop-1] = r
		default:
			routers = slices.Insert(routers, f.hop-1, r)
		}
	}
	return routers
}

// open reports whether the target accepts connections to the port.
func (w *world) open() bool {
	s, ok := w.target.Ports[clientPort]
	return (ok && s == sim.Open || !ok && w.target.State == sim.Open) && len(w.target.Rules) == 0
}

// stretch is by how many hops more a place may be seen than where it is, for forks before it.
func (w *world) stretch(hop int) (more int) {
	for _, f := range w.forks {
		if f.hop <= hop {
			more += f.longer
		}
	}
	return more
}

// plainDistance reports whether the target is equally far away for all probes, and what it answers comes home.
func (w *world) plainDistance() bool {
	odd := []string{"challenge", "gateway", "defended", "hidden-nat", "sequence"}
	return len(w.changes)+len(w.forks) == 0 && !w.taken["home"] &&
		!slices.ContainsFunc(w.causes, func(c string) bool { return slices.Contains(odd, c) })
}

// judge says whether a finding is right, and which facts it hits.
func (w *world) judge(x detect.Finding) (right bool, hits []fact) {
	switch x.Code {
	case detect.PortOpen:
		if w.open() {
			return true, nil
		}
	case detect.PortClosed:
		if w.target.State == sim.Closed {
			return true, []fact{{cause: "closed", code: x.Code}}
		}
	case detect.TargetAlive:
		return w.option("ack") && w.alive(), []fact{{cause: "acks"}}
	}
	text := x.Title + " " + strings.Join(x.Evidence, " ") + " " + x.Advice
	for _, t := range w.facts {
		named := t.named != nil && x.Confidence == detect.Possible && t.named.MatchString(text)
		if named || t.code == x.Code && w.placed(t, x) {
			hits = append(hits, t)
		}
	}
	return len(hits) > 0, hits
}

// alive reports whether the target answers anything.
func (w *world) alive() bool { return w.target.State != sim.Filtered || len(w.target.Ports) > 0 }

// placed reports whether a finding is about the right place.
func (w *world) placed(t fact, x detect.Finding) bool {
	last := t.last + w.stretch(t.last)
	if w.ttlSet > 0 && t.first > w.ttlSet {
		t.first = w.ttlSet // beyond it, hops are counted otherwise
	}
	switch {
	case t.first == 0, x.Before == 0: // one of them has no place
		return true
	case t.link:
		return x.After < last && t.first <= x.Before
	}
	return x.After <= last && t.first <= x.Before
}
