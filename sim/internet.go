package sim

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// InternetOptions choose what [Internet] makes. The zero value is all of it.
type InternetOptions struct {
	Family Family
	// Calm leaves out what a chance, a clock or the packets before decide: loss,
	// jitter, late and slow answers, limits, defences, per-packet balancing. Then each
	// packet has one right answer.
	Calm bool
}

// Family says which targets there are.
type Family uint8

const (
	BothFamilies Family = iota // each path by share6
	OnlyIPv4
	OnlyIPv6
)

// Where [Internet] has its addresses. Routes to the targets are all that a host
// needs to send its probes there.
var (
	InternetHosts4   = netip.MustParsePrefix("198.18.255.0/30") // for the host itself: no path uses them
	InternetHosts6   = netip.MustParsePrefix("2001:db8:0:ffff::/64")
	InternetTargets4 = netip.MustParsePrefix("198.19.0.0/16")
	InternetTargets6 = netip.MustParsePrefix("2001:db8:2::/48")
	InternetRouters4 = netip.MustParsePrefix("10.0.0.0/8")
	InternetRouters6 = netip.MustParsePrefix("2001:db8:1::/48")
)

// InternetPort is the TCP port that an Internet is about: firewalls filter it,
// and targets have a state of their own for it.
const InternetPort = 80

// MostPaths of an [Internet].
const MostPaths = 1 << 16

// The distribution. A share is a probability from 0 to 1; of what it is a share
// stands in front of it.
const (
	leastHops, mostHops = 8, 24 // of a path, the target is one of them; hidden routers come on top

	// Round-trip time without jitter, of a path: log-logistic of shape 2, so that 1
	// path in 26 has more than five times the median, and as many less than a fifth;
	// cut at both ends. Links share it unevenly: half of it is often in one or two.
	medianRTT, leastRTT, mostRTT = 50 * time.Millisecond, 5 * time.Millisecond, 250 * time.Millisecond
	linkWeightMost               = 20 // how many times the median link's share one link may have
	linkJitter                   = 50 * time.Microsecond

	share6 = 0.3 // of paths: IPv6

	// Of routers: how they make their answers.
	shareSilent   = 0.12                   // never
	quickICMP     = 50 * time.Microsecond  // median of most; a long tail: 1 in 21 above 1 ms
	slowICMP      = time.Millisecond       // median of the slow ones: half above 1 ms, 1 in 300 above 300 ms
	shareSlow     = 0.08                   // the slow ones
	shareLate     = 0.02                   // hold up one answer in five, as busy control planes do
	lateAnswers   = 0.2                    // of the answers of those
	lateLeast     = 300 * time.Millisecond // by this to lateMost
	lateMost      = 900 * time.Millisecond
	shareLimited  = 0.15 // limit their errors by one of rateLimits
	limitBySource = 0.4  // of those: for each source apart, the others for all together
	// over IPv4: quote IP header and 8 bytes (RFC 792), the others, and all over IPv6 (RFC 4443 2.4), as much as fits
	shareMinimum = 0.35
	shareLinux   = 0.25 // send with Linux's TTL and TOS, the others with TTL 255 and TOS 0

	shareLossy          = 0.1         // of links: lose something, each way
	lossLeast, lossMost = 0.002, 0.02 // of the packets on those, each way
	sharePerFlow        = 0.3         // of paths: one diamond of routers by flow
	sharePerPacket      = 0.03        // of paths: one hop where each packet takes its own way
	shareTunnel         = 0.25        // of paths: one MPLS tunnel, of two to five routers
	tunnelHidden        = 0.3         // of tunnels: doesn't propagate the TTL, so its routers are no hops
	tunnelLabels        = 0.6         // of the others: shows its labels (RFC 4950)
	tunnelDetour        = 0.5         // of the others: errors travel to the tunnel's end before they turn back
	shareNAT            = 0.08        // of paths: one translation, each of natKinds as often
	shareFirewall       = 0.12        // of paths: one firewall, in the last third; each of firewallKinds as often
	shareClosed         = 0.15        // of targets: InternetPort closed
	shareFiltered       = 0.1         // of targets: InternetPort filtered
	// of paths: one router in the first half limits the SYNs that it forwards, by one of synLimits
	shareSYNLimit         = 0.03
	shareDefended         = 0.04       // of targets: one of defences
	diamondWidestExponent = 3          // a diamond is 2, 4 or 8 wide, narrow ones as often as wide ones,
	diamondLongest        = 3          // and one to three routers long
	mplsLabelLeast        = 16         // RFC 3032 2.1: those below are reserved
	mplsLabels            = 1<<20 - 16 // how many others
)

// rateLimits are those of the routers that have one, each as often. Linux answers
// 6 at once and one a second more (IPv6: ten); others let through one every now
// and then, or hundreds.
var rateLimits = []Rate{
	{time.Second, 6}, {100 * time.Millisecond, 6}, {500 * time.Millisecond, 1}, {100 * time.Millisecond, 1},
	{20 * time.Millisecond, 10}, {10 * time.Millisecond, 50},
}

// synLimits are those of the routers that limit SYNs, each as often.
var synLimits = []Rate{
	{200 * time.Millisecond, 1}, {200 * time.Millisecond, 5}, {100 * time.Millisecond, 5}, {100 * time.Millisecond, 10},
	{50 * time.Millisecond, 5}, {20 * time.Millisecond, 10},
}

// defences are those of the targets that have one, each as often.
var defences = []Defence{
	{DropFirst: true}, {DropFirst: true, BySource: true}, {DropFirst: true, Pause: 1500 * time.Millisecond},
	{Cookies: true}, {Changing: true}, {BadACK: true, BySource: true},
}

// natKinds: where on a path, as a share of it, and what.
var natKinds = []struct {
	from, to float64
	make     func(r *Router, p *internetPath)
}{
	// ports too, as at home
	{0, 0.2, func(r *Router, p *internetPath) { r.NAT.Src = netip.AddrPortFrom(p.addr(), 1024) }},
	// addresses only
	{0, 0.2, func(r *Router, p *internetPath) { r.NAT.Src = netip.AddrPortFrom(p.addr(), 0) }},
	// likewise, but quotes keep the new address, as in some clouds
	{0, 0.2, func(r *Router, p *internetPath) { r.NAT = NAT{Src: netip.AddrPortFrom(p.addr(), 0), RawQuote: true} }},
	{0.8, 1, func(r *Router, p *internetPath) { r.NAT.Dst = netip.AddrPortFrom(p.addr(), 0) }},
	// the same, a port is given
	{0.8, 1, func(r *Router, p *internetPath) { r.NAT.Dst = netip.AddrPortFrom(p.addr(), InternetPort) }},
	{0.8, 1, func(r *Router, p *internetPath) { r.NAT = NAT{Dst: netip.AddrPortFrom(p.addr(), 0), RawQuote: true} }},
	// Linux
	{0.6, 1, func(r *Router, p *internetPath) { r.NAT = NAT{Dst: netip.AddrPortFrom(p.addr(), 0), HideHops: true} }},
	{0, 0.5, func(r *Router, p *internetPath) {
		r.RandomID, r.Set.FlowLabel = true, new(uint32)
		r.NAT.Src = netip.AddrPortFrom(p.addr(), 2048)
	}},
}

// firewallKinds. Those that let InternetPort pass are for other probes.
var firewallKinds = []func(r *Router, v4 bool){
	func(r *Router, _ bool) { r.Rules = []Rule{{Action: Drop, Lo: InternetPort, Hi: InternetPort}} },
	func(r *Router, _ bool) { r.Rules = []Rule{{Action: Drop, Segments: OnlySYN}} },
	func(r *Router, v4 bool) {
		r.Rules = []Rule{{Action: Reject, Code: adminProhibited(v4), Lo: InternetPort, Hi: InternetPort}}
	},
	func(r *Router, v4 bool) { r.Rules = []Rule{{Action: Reject, Code: portUnreachable(v4)}} },
	func(r *Router, _ bool) { r.Rules = []Rule{{Action: Reset, Lo: InternetPort, Hi: InternetPort}} },
	func(r *Router, _ bool) { r.Rules = []Rule{{Lo: InternetPort, Hi: InternetPort}, {Action: Drop}} },
	func(r *Router, _ bool) { r.Tracking = Tracking{Stateful: true} },
	func(r *Router, _ bool) { r.Tracking = Tracking{Stateful: true, OneISN: true} },
}

// RFC 1812 5.2.7.1, RFC 4443 3.1.
func adminProhibited(v4 bool) uint8 {
	if v4 {
		return 13
	}
	return 1
}

func portUnreachable(v4 bool) uint8 {
	if v4 {
		return 3
	}
	return 4
}

// Internet makes a network of n paths, at most [MostPaths], in which everything
// happens that real paths do to a traceroute, as often as the constants above
// say:
//
//   - 8 to 24 hops, 5 to 250 ms there and back, half of the paths above 50 ms;
//   - routers that never answer (12 %), answer slowly, late, or only so many;
//   - links that lose packets; diamonds, per flow and per packet;
//   - MPLS tunnels with and without labels in the answers, with and without TTL;
//   - NAT of sources and destinations, with and without ports, right in the
//     quotes or not, and with new IP IDs;
//   - firewalls that drop, reject or reset, by port or by state;
//   - targets whose port is open, closed or filtered; IPv4 and IPv6 (30 %);
//   - routers that forward only so many SYNs (on 3 % of the paths), and targets
//     that drop the first SYN, answer by cookies, or ask for a reset (4 %).
//
// Equal arguments give equal scenarios, and the first paths are the same whatever
// n is. Each path has routers and a target of its own: target i is
// [InternetTarget]. What a packet must meet is told by [Model.Expect]. Devices
// that change sequence numbers or forge answers are not among it; scenarios of
// their own show them.
func Internet(seed uint64, n int, o InternetOptions) Scenario {
	s := Scenario{Seed: seed}
	for i := range min(n, MostPaths) {
		p := internetPath{index: i, chance: chance(mix(seed ^ mix(uint64(i)+1)))}
		s.Paths = append(s.Paths, p.make(o))
	}
	return s
}

// InternetTarget is the address of a path's target, in either family; a path has
// only one of them.
func InternetTarget(path int, v4 bool) netip.Addr {
	if v4 {
		a := InternetTargets4.Addr().As4()
		a[2], a[3] = byte(path>>8), byte(path)
		return netip.AddrFrom4(a)
	}
	a := InternetTargets6.Addr().As16()
	a[6], a[7], a[15] = byte(path>>8), byte(path), 1
	return netip.AddrFrom16(a)
}

// internetPath is a path in the making.
type internetPath struct {
	index  int
	chance chance
	v4     bool
	addrs  int // given to its routers so far
	Path
}

// addr is the next address of a router.
func (p *internetPath) addr() netip.Addr {
	p.addrs++
	if p.v4 {
		a := InternetRouters4.Addr().As4()
		a[1], a[2], a[3] = byte(p.index>>8), byte(p.index), byte(p.addrs)
		return netip.AddrFrom4(a)
	}
	a := InternetRouters6.Addr().As16()
	a[6], a[7], a[15] = byte(p.index>>8), byte(p.index), byte(p.addrs)
	return netip.AddrFrom16(a)
}

// number is uniform from lo to hi, both included.
func (c *chance) number(lo, hi int) int { return lo + int(c.next()%uint64(hi-lo+1)) }

func (c *chance) between(lo, hi float64) float64 {
	// the conversion forbids a fused operation: all machines round alike
	return lo + float64((hi-lo)*float64(c.next()>>11)/(1<<53))
}

// make draws the path. Every draw is made, whatever the options say and the
// others came to: so a path differs from that of other options only in what they
// ask for.
func (p *internetPath) make(o InternetOptions) Path {
	p.v4 = !p.chance.hit(share6)
	if o.Family != BothFamilies {
		p.v4 = o.Family == OnlyIPv4
	}
	p.Routers = make([]Router, p.chance.number(leastHops, mostHops)-1)
	for i := range p.Routers {
		p.router(&p.Routers[i])
	}
	p.links()
	part := func() chance { return chance(p.chance.next()) } // so that none moves the draws of the next
	p.translate(part())
	p.filter(part())
	p.target(part())
	p.balance(part())
	p.tunnel(part())
	p.defend(part())
	if o.Calm {
		p.calm()
	}
	return p.Path
}

// router draws what one router is like for itself.
func (p *internetPath) router(r *Router) {
	c := chance(p.chance.next())
	r.Addrs = []netip.Addr{p.addr()}
	r.Slow = quickICMP
	if c.hit(shareSlow) {
		r.Slow = slowICMP
	}
	if c.hit(shareLate) {
		r.Late = Held{lateAnswers, lateLeast + c.below(lateMost-lateLeast).Round(time.Millisecond)}
	}
	if c.hit(shareLimited) {
		rate := rateLimits[c.number(0, len(rateLimits)-1)]
		if c.hit(limitBySource) {
			r.SourceRate = rate
		} else {
			r.Rate = rate
		}
	}
	if c.hit(shareMinimum) && p.v4 {
		r.Quote = QuoteMinimum
	}
	if c.hit(shareLinux) {
		r.Linux = true
	}
	if c.hit(shareSilent) {
		r.Silent = 1
	}
}

// links draws the time and the loss of all links.
func (p *internetPath) links() {
	c := chance(p.chance.next())
	u := float64(c.next()>>11) / (1 << 53)
	rtt := float64(medianRTT) * math.Sqrt(u/(1-u))
	rtt = min(max(rtt, float64(leastRTT)), float64(mostRTT))
	links := []*Link{}
	backs := []*Link{}
	for i := range p.Routers {
		links, backs = append(links, &p.Routers[i].Link), append(backs, &p.Routers[i].Back)
	}
	links, backs = append(links, &p.Target.Link), append(backs, &p.Target.Back)
	weights, sum := make([]float64, len(links)), 0.0
	for i := range weights {
		u := float64(c.next()>>11) / (1 << 53)
		weights[i] = min(u/(1-u), linkWeightMost)
		sum += weights[i]
	}
	for i, l := range links {
		l.Delay = time.Duration(rtt / 2 * weights[i] / sum).Round(time.Microsecond)
		l.Jitter = linkJitter
		if c.hit(shareLossy) {
			// In millionths, so that the text form stays short.
			l.Loss = math.Round(c.between(lossLeast, lossMost)*1e6) / 1e6
			backs[i].Loss = math.Round(c.between(lossLeast, lossMost)*1e6) / 1e6
		}
	}
}

// at draws a router from a part of the path.
func (p *internetPath) at(c *chance, from, to float64) int {
	n := float64(len(p.Routers))
	return c.number(int(from*n), max(int(from*n), int(to*n)-1))
}

func (p *internetPath) translate(c chance) {
	if c.hit(shareNAT) {
		k := natKinds[c.number(0, len(natKinds)-1)]
		k.make(&p.Routers[p.at(&c, k.from, k.to)], p)
	}
}

func (p *internetPath) filter(c chance) {
	if c.hit(shareFirewall) {
		firewallKinds[c.number(0, len(firewallKinds)-1)](&p.Routers[p.at(&c, 2./3, 1)], p.v4)
	}
}

func (p *internetPath) target(c chance) {
	p.Target.Addr = InternetTarget(p.index, p.v4)
	p.Target.State = Closed
	p.Target.Ports = map[uint16]State{InternetPort: Open}
	switch u := c.between(0, 1); {
	case u < shareClosed:
		p.Target.Ports = nil
	case u < shareClosed+shareFiltered:
		p.Target.Ports[InternetPort] = Filtered
	}
}

// plain tells a router that only forwards: its neighbours see no difference if
// there are several of it.
func (r *Router) plain() bool {
	return r.NAT == NAT{} && r.Tracking == Tracking{} && len(r.Rules) == 0 && !r.RandomID && len(r.Addrs) == 1
}

// plainRun draws so many routers in a row, within the path, that only forward. It
// returns none where the draw doesn't fit: some paths go without.
func (p *internetPath) plainRun(c *chance, n int) []Router {
	from := p.at(c, 0.15, 0.85)
	if from+n > len(p.Routers) {
		return nil
	}
	run := p.Routers[from : from+n]
	if slices.ContainsFunc(run, func(r Router) bool { return !r.plain() }) {
		return nil
	}
	return run
}

// balance makes the diamonds. All branches have the same links.
func (p *internetPath) balance(c chance) {
	if c.hit(sharePerFlow) {
		width := 1 << c.number(1, diamondWidestExponent)
		p.widen(p.plainRun(&c, c.number(1, diamondLongest)), width)
	}
	if c.hit(sharePerPacket) {
		run := p.plainRun(&c, 1)
		p.widen(run, 2)
		for i := range run {
			run[i].PerPacket = true
		}
	}
}

func (p *internetPath) widen(run []Router, width int) {
	for i := range run {
		for range width - 1 {
			run[i].Addrs = append(run[i].Addrs, p.addr())
		}
	}
}

// tunnel makes an MPLS tunnel. Its routers see label and TTL of the packet; the
// first and the last of them are the neighbours in the path, who see IP.
func (p *internetPath) tunnel(c chance) {
	if !c.hit(shareTunnel) {
		return
	}
	n := c.number(2, 5)
	at := p.at(&c, 0.15, 0.7)
	if c.hit(tunnelHidden) {
		p.hide(&c, at, n)
		return
	}
	label, detour := c.hit(tunnelLabels), c.hit(tunnelDetour)
	for i := range min(n, len(p.Routers)-at) {
		r := &p.Routers[at+i]
		if label {
			r.Extensions.MPLS = []packet.Label{{Label: mplsLabelLeast + uint32(c.next()%mplsLabels), TTL: 1}}
		}
		if detour {
			r.Detour = n - i
		}
	}
}

// hide puts routers into the path that are no hops. They take half of the next
// link's time.
func (p *internetPath) hide(c *chance, at, n int) {
	next := &p.Routers[at].Link
	inside := make([]Router, n)
	for i := range inside {
		inside[i] = Router{Hidden: true, Link: Link{Delay: (next.Delay / time.Duration(2*n)).Round(time.Microsecond),
			Jitter: linkJitter}}
	}
	next.Delay /= 2
	p.Routers = slices.Insert(p.Routers, at, inside...)
}

// defend draws what keeps floods of SYNs from the target: a limit on the way, or the target's own.
func (p *internetPath) defend(c chance) {
	limit, defence := synLimits[c.number(0, len(synLimits)-1)], defences[c.number(0, len(defences)-1)]
	at := p.at(&c, 0, 0.5)
	if c.hit(shareSYNLimit) {
		p.Routers[at].SYNs = limit
	}
	if c.hit(shareDefended) {
		p.Target.Defence = defence
	}
}

// calm takes out what InternetOptions.Calm says.
func (p *internetPath) calm() {
	for i := range p.Routers {
		r := &p.Routers[i]
		r.Link, r.Back = Link{Delay: r.Link.Delay}, Link{}
		r.Slow, r.Late, r.Rate, r.SourceRate = 0, Held{}, Rate{}, Rate{}
		r.Limits = Limits{}
		if r.PerPacket {
			r.PerPacket, r.Addrs = false, r.Addrs[:1]
		}
	}
	p.Target.Link, p.Target.Back, p.Target.Defence = Link{Delay: p.Target.Link.Delay}, Link{}, Defence{}
}
