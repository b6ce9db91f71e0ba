package detect_test

import (
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// By these words a finding that is only possible names what is so.
const (
	namesFilter  = `[Ff]irewall|[Ff]ilter|drops`
	namesBroken  = `broken`
	namesDown    = `target is down|not there|is down`
	namesWayBack = `way back`
	namesMember  = `member|load.balanc`
	namesWay     = `another way|way by port|path that they take is broken`
	namesOwn     = `own firewall`
	namesFront   = `in front of`
	namesAnother = `translates|machine behind|machine beyond`
	namesLimit   = `limit|rate`
)

// worldCauses are what may be wrong, each with how often it is drawn and what it has to itself: "kind" is how the trace
// is made, "target" what the target is like, "state" whether its port is open, "way" the way that other flows take,
// "home" the way back; "v4" and "v6" are in use by networks of the other family, "first" by those with a cause already.
var worldCauses = []struct {
	name   string
	weight int
	takes  string
	make   func(*world)
}{
	// What drops on the way.
	{"port", 8, "", func(w *world) { w.drops(detect.FilteredPort, sim.Rule{Lo: clientPort, Hi: clientPort}) }},
	{"port-syn", 4, "", func(w *world) {
		w.drops(detect.FilteredPort, sim.Rule{Lo: clientPort, Hi: clientPort, Segments: sim.OnlySYN})
	}},
	{"syn", 5, "", func(w *world) { w.drops(detect.FilteredSYN, sim.Rule{Segments: sim.OnlySYN}) }},
	{"tcp", 5, "", func(w *world) { w.drops(detect.FilteredTCP, sim.Rule{}) }},
	{"all", 5, "", func(w *world) { w.drops(detect.PathEnds, sim.Rule{}, sim.Rule{Segments: sim.NotTCP}) }},
	{"size", 6, "kind length", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Longest = 150
		w.with = append(w.with, "length=300")
		w.is(detect.SizeFilter, hop)
		w.named(namesFilter)
	}},
	{"mark", 6, "kind tos", func(w *world) {
		hop, tos := w.somewhere(), oneOf[uint8](w, 184, 2, 40)
		w.router(hop).Mark = tos
		w.with = append(w.with, fmt.Sprintf("tos=%d", tos))
		w.is(detect.MarkDropped, hop)
		w.named(namesFilter)
	}},
	{"source-port", 4, "", func(w *world) { // of some flows
		hop := w.somewhere()
		lo := uint16(39990 + w.IntN(40))
		r := sim.Rule{Action: sim.Drop, Lo: lo, Hi: lo + uint16(5+w.IntN(200)), Source: true}
		w.router(hop).Rules = append(w.router(hop).Rules, r)
		w.is(detect.BrokenBranch, hop)
		w.named(namesFilter)
	}},
	{"stateful-ack", 5, "kind", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Stateful = true
		w.with = append(w.with, "ack")
		w.is(detect.FilteredACK, hop)
		w.is(detect.Filtered, hop)
		w.named(namesFilter)
	}},
	{"alone", 5, "kind", func(w *world) {
		w.with = append(w.with, "alone")
		hop := w.somewhere()
		w.router(hop).Rules = append(w.router(hop).Rules, w.port()...)
		w.is(detect.Filtered, hop)
		w.named(namesFilter)
	}},

	// Ways that are dead, or differ.
	{"member", 9, "", func(w *world) { w.member(dropAll()...) }},
	{"member-port", 3, "", func(w *world) {
		w.member(w.port()...)
		w.named(namesFilter)
	}},
	{"port-way", 6, "way", func(w *world) {
		hop := w.somewhere()
		dead := sim.Router{Addrs: []netip.Addr{w.addr(hop, 7)}, Rules: dropAll()}
		if w.one(4) {
			dead.Addrs = nil
			w.is(detect.FilteredPort, hop) // a silent router drops this port: that is a filter
		}
		w.change(sim.Change{Port: clientPort, Routers: []sim.Router{dead}}, hop)
		w.is(detect.OtherWay, hop)
		w.named(namesWay)
		w.named(namesFilter)
	}},
	{"two-ways", 5, "", func(w *world) { w.unequal() }},
	{"diamond", 4, "", func(w *world) {
		hop := w.somewhere()
		r := w.router(hop)
		for r.Addrs = []netip.Addr{w.addr(hop, 1)}; w.one(2) || len(r.Addrs) < 2; {
			r.Addrs = append(r.Addrs, w.addr(hop, 1+len(r.Addrs)))
		}
		w.is(detect.LoadBalancer, hop)
	}},
	{"per-packet", 4, "", func(w *world) {
		hop := w.somewhere()
		r := w.router(hop)
		r.Addrs, r.PerPacket = []netip.Addr{w.addr(hop, 1), w.addr(hop, 2)}, true
		w.is(detect.LoadBalancer, hop)
	}},
	{"loop", 4, "way", func(w *world) {
		hop := w.somewhere()
		var round []sim.Router
		for i := range 2 + w.IntN(3) {
			round = append(round, sim.Router{Addrs: []netip.Addr{w.addr(hop, 30+i)}, Link: sim.Link{Delay: time.Millisecond}})
		}
		var routers []sim.Router
		for i := range 60 {
			routers = append(routers, round[i%len(round)])
		}
		w.change(sim.Change{Packet: 1, Routers: routers}, hop)
		w.between(detect.RoutingLoop, hop, hop+len(round)-1)
	}},
	{"hop-limit", 4, "kind", func(w *world) {
		hop := w.somewhere()
		w.with = append(w.with, fmt.Sprintf("max=%d", hop))
		w.is(detect.HopLimit, 0)
	}},

	// Who answers in the target's name.
	{"reset", 7, "target", func(w *world) {
		w.inName(detect.ResetOnPath, sim.Rule{Action: sim.Reset, Lo: clientPort, Hi: clientPort})
	}},
	{"reset-all", 4, "target", func(w *world) {
		rules := []sim.Rule{{Action: sim.Reset}}
		if w.one(2) {
			rules = append(rules, sim.Rule{Action: sim.Drop, Segments: sim.NotTCP})
		}
		w.inName(detect.ResetOnPath, rules...)
	}},
	{"proxy", 7, "target state", func(w *world) {
		w.inName(detect.TCPProxy, sim.Rule{Action: sim.Accept, Lo: clientPort, Hi: clientPort})
		w.target.State = oneOf(w, sim.Closed, sim.Filtered)
	}},
	{"injected", 5, "target", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Inject = sim.Inject{Kind: sim.Reset, Least: uint8(1 + w.IntN(3)), TTL: oneOf[uint8](w, 64, 128, 255)}
		w.is(detect.ResetOnPath, hop)
		w.named(namesFront + `|unusual TTL`)
	}},

	// Who says no.
	{"reject-port", 7, "", func(w *world) {
		w.rejects(detect.RejectedByRouter, sim.Rule{Code: w.anyWords(), Lo: clientPort, Hi: clientPort})
		w.named(`rule for this port`)
	}},
	{"reject-all", 4, "", func(w *world) {
		code := oneOf(w, w.admin(), w.noPort())
		w.rejects(detect.RejectedByRouter, sim.Rule{Code: code}, sim.Rule{Code: code, Segments: sim.NotTCP})
	}},
	{"no-route", 6, "", func(w *world) {
		w.rejects(detect.UnreachableNetwork, sim.Rule{Code: w.noRoute()}, sim.Rule{Code: w.noRoute(), Segments: sim.NotTCP})
	}},
	{"target-reject", 6, "target state", func(w *world) {
		w.target.Rules = []sim.Rule{{Action: sim.Reject, Code: w.anyWords(), Lo: clientPort, Hi: clientPort}}
		w.is(detect.RejectedByTarget, w.end())
	}},
	{"down", 6, "target state", func(w *world) {
		hop := len(w.routers)
		w.speaks(hop)
		w.router(hop).Unresolved = oneOf[time.Duration](w, 3060, 1000, 2000) * time.Millisecond
		w.is(detect.UnreachableHost, hop)
		w.named(namesDown)
	}},
	{"route-rejects", 1, "target state", func(w *world) { // a route of the kind "unreachable": the target is not down
		w.rejects(detect.RejectedByRouter, sim.Rule{Code: w.noHost()}, sim.Rule{Code: w.noHost(), Segments: sim.NotTCP})
		w.named(`rejects`)
	}},

	// What the target is like.
	{"closed", 8, "target state", func(w *world) { w.target.State = sim.Closed }},
	{"target-filter", 5, "target state", func(w *world) {
		switch w.IntN(3) {
		case 0:
			w.target.Ports = map[uint16]sim.State{clientPort: sim.Filtered}
		case 1:
			w.target.State = sim.Filtered
		case 2:
			w.target.Ports, w.target.State = map[uint16]sim.State{clientPort: sim.Filtered}, sim.Closed
		}
		w.named(namesOwn)
		w.named(namesFilter)
	}},
	{"target-dead", 5, "target state", func(w *world) {
		w.target.State, w.target.NoEcho = sim.Filtered, true
		w.named(namesDown)
	}},
	{"challenge", 5, "target state kind", func(w *world) {
		if w.target.State = sim.Challenge; w.one(2) { // of all source ports, or of the trace's own
			w.target.State, w.target.Older = sim.Open, []uint16{40000}
		}
		w.is(detect.PortUnclear, w.end())
	}},
	{"defended", 4, "target", func(w *world) {
		w.target.Defence = oneOf(w, sim.Defence{DropFirst: true}, sim.Defence{Cookies: true}, sim.Defence{Changing: true},
			sim.Defence{DropFirst: true, BySource: true})
		w.named(`doesn't answer every SYN`)
	}},
	{"acks", 5, "kind", func(w *world) { w.with = append(w.with, "ack") }},

	{"stuck", 6, "target state", func(w *world) {
		w.target.Ports = map[uint16]sim.State{clientPort: sim.Stuck}
		if w.one(2) {
			w.target.State = sim.Closed
		}
		w.between(detect.StuckService, 1, 255)
		w.named(`stuck|takes no connections|` + namesOwn)
	}},
	{"elsewhere", 5, "target state", func(w *world) {
		w.target.AnswersAs = oneOf(w, netip.AddrPortFrom(w.spare(), 0), netip.AddrPortFrom(netip.Addr{}, 8443))
		w.is(detect.AnsweredFromElsewhere, 0)
	}},

	// This host itself.
	{"own-firewall", 6, "host", func(w *world) {
		w.with = append(w.with, "own="+oneOf(w, "drop-in", "drop-in", "drop-in-once", "drop-out", "reset-out", "unfollowed"))
		w.is(detect.ThisHost, 0)
	}},
	{"own-way", 4, "host", func(w *world) {
		w.with = append(w.with, "own="+oneOf(w, "elsewhere", "elsewhere-dead", "home", "nat"))
		w.is(detect.ThisHost, 0)
	}},
	{"own-loss", 2, "host", func(w *world) {
		w.with = append(w.with, "own=first-lost")
		w.named(`packets were lost`)
	}},

	// NAT.
	{"forwarded", 6, "target way", func(w *world) { w.forwarded() }},
	{"forwarded-closed", 4, "target state way", func(w *world) {
		w.forwarded()
		w.target.State = sim.Closed
	}},
	{"forwarded-gone", 4, "target state way", func(w *world) {
		behind := w.forwarded()
		behind[len(behind)-1].Addrs = []netip.Addr{w.spare()}
		behind[len(behind)-1].Unresolved = 3060 * time.Millisecond
		w.target.Ports = map[uint16]sim.State{clientPort: sim.Filtered}
		w.between(detect.UnreachableHost, 1, 255)
		w.named(namesAnother)
		w.named(namesDown)
	}},
	{"translated", 4, "target", func(w *world) { // one address for another, for all that comes
		hop := w.somewhere()
		w.router(hop).NAT = sim.NAT{Dst: netip.AddrPortFrom(w.spare(), 0), HideHops: true}
		w.between(detect.Forwarded, hop, 255)
		w.is(detect.DNAT, hop)
		w.named(namesAnother)
	}},
	{"dnat", 5, "target", func(w *world) {
		hop := w.somewhere()
		w.router(hop).NAT = sim.NAT{RawQuote: true, Dst: netip.AddrPortFrom(w.spare(), oneOf[uint16](w, 0, clientPort))}
		w.changed(detect.DNAT, hop)
	}},
	{"snat", 5, "", func(w *world) {
		hop := w.somewhere()
		w.router(hop).NAT = sim.NAT{RawQuote: true, Src: netip.AddrPortFrom(w.spare(), 0)}
		w.changed(detect.SNAT, hop)
	}},
	{"hidden-nat", 3, "", func(w *world) { // no hop beyond it is seen by TCP
		hop := w.somewhere()
		w.router(hop).NAT = sim.NAT{RawQuote: true, Src: netip.AddrPortFrom(w.spare(), 2048)}
		w.changed(detect.SNAT, hop)
		w.named(`NAT`)
	}},
	{"gateway", 8, "v4 first target kind home way", func(w *world) { w.gateway() }},

	// What is changed.
	{"mss", 4, "kind", func(w *world) { w.mangled(detect.MSSClamped, sim.Mangle{MSS: 1200}) }},
	{"mss-raised", 4, "kind", func(w *world) { w.mangled(detect.MSSRaised, sim.Mangle{RaiseMSS: 9000}) }},
	{"stripped", 4, "kind", func(w *world) { w.mangled(detect.OptionsRemoved, sim.Mangle{NoOptions: []uint8{4, 8}}) }},
	{"window", 4, "kind", func(w *world) { w.mangled(detect.HeaderRewritten, sim.Mangle{Window: 1000}) }},
	{"no-ecn", 4, "kind", func(w *world) {
		w.with = append(w.with, "ecn")
		w.mangled(detect.ECNErased, sim.Mangle{ClearFlags: packet.ECE | packet.CWR})
	}},
	{"hidden", 5, "kind", func(w *world) {
		hop := w.mangled(detect.MSSClamped, sim.Mangle{MSS: 1200})
		for h := hop + 1; h < w.end(); h++ {
			w.router(h).Quote = 40
			if w.v6 {
				w.router(h).Quote = 60
			}
		}
	}},
	{"bits", 5, "kind tos", func(w *world) {
		tos := oneOf[uint8](w, 2, 1)
		w.with = append(w.with, fmt.Sprintf("tos=%d", tos))
		w.set(detect.ECNErased, sim.Rewrite{TOS: new(uint8(0))})
	}},
	{"dscp", 5, "kind tos", func(w *world) {
		w.with = append(w.with, "tos=184")
		w.set(detect.DSCPChanged, sim.Rewrite{TOS: new(oneOf[uint8](w, 0, 40))})
	}},
	{"label", 8, "v6", func(w *world) {
		w.set(detect.LabelRewritten, sim.Rewrite{FlowLabel: new(oneOf[uint32](w, 0, 77))})
	}},
	{"id", 8, "v4", func(w *world) {
		hop := w.somewhere()
		w.router(hop).RandomID = true
		w.changed(detect.IPIDRewritten, hop)
	}},
	{"ttl-set", 9, "kind ttl", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Set.TTL = new(oneOf[uint8](w, 64, 128, 1, 2, 3))
		w.ttlSet = hop
		if hop <= 2 {
			w.is(detect.LocalGateway, hop) // it is what one does
		}
		w.between(detect.TTLChanged, hop, 255)
		w.named(`TTL`)
	}},
	{"ttl-low", 9, "kind ttl", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Lowest = uint8(2 + w.IntN(6))
		w.between(detect.TTLFiltered, hop, 255)
		w.named(`TTL`)
	}},
	{"sequence", 5, "kind", func(w *world) {
		hop := w.somewhere()
		w.router(hop).RandomISN = true
		w.changed(detect.SeqRewritten, hop)
		w.is(detect.SeqRewritten, 0)
		w.named(`sequence number`)
	}},
	{"forged", 3, "kind", func(w *world) {
		every := time.Duration(5+w.IntN(100)) * time.Millisecond
		w.router(w.somewhere()).Spoof = sim.Spoof{Every: every, For: 2 * time.Second}
		w.named(`forges`)
	}},

	// Limits and losses.
	{"syn-limit", 14, "kind", func(w *world) {
		hop := w.somewhere()
		w.router(hop).SYNs = w.rate(50, 100, 200)
		w.is(detect.RateLimited, hop)
		w.named(namesLimit)
	}},
	{"policer", 3, "kind", func(w *world) {
		hop := w.somewhere()
		w.router(hop).Packets = w.rate(20, 50, 100)
		w.is(detect.RateLimited, hop)
		w.named(namesLimit)
	}},
	{"icmp-limit", 5, "kind", func(w *world) {
		hop := w.somewhere()
		r := w.router(hop)
		r.Addrs = []netip.Addr{w.addr(hop, 1)}
		r.Rate = oneOf(w, sim.Rate{Every: time.Second, Burst: 2}, sim.Rate{Every: 100 * time.Millisecond, Burst: 1})
		w.with = append(w.with, fmt.Sprintf("q=%d", 4+w.IntN(8)))
		w.is(detect.ICMPRateLimit, hop)
	}},
	{"loss", 6, "kind", func(w *world) {
		hop := 1 + w.IntN(w.end())
		out, back := &w.target.Link, &w.target.Back
		if hop < w.end() {
			out, back = &w.router(hop).Link, &w.router(hop).Back
		}
		oneOf(w, out, back).Loss = 0.1 + 0.3*w.Float64()
		w.with = append(w.with, "q=20")
		w.lossy(detect.PacketLoss, hop)
		w.named(`[Ll]oses|lost|chance`)
	}},

	// The way back.
	{"home-longer", 6, "home", func(w *world) {
		hop, longer := w.somewhere(), 4+w.IntN(6)
		w.homeFrom(hop, longer)
		w.between(detect.AsymmetricReturn, hop, 255)
	}},
	{"home-tcp", 5, "home", func(w *world) { w.lostOnWayBack(sim.Rule{Segments: sim.NotSYN}) }},
	{"home-port", 4, "home", func(w *world) { w.lostOnWayBack(sim.Rule{Lo: clientPort, Hi: clientPort, Source: true}) }},
	{"home-all", 5, "home", func(w *world) { w.lostOnWayBack(sim.Rule{}, sim.Rule{Segments: sim.NotTCP}) }},
	{"home-icmp", 3, "home", func(w *world) {
		w.homeRouter().Rules = []sim.Rule{{Action: sim.Drop, Segments: sim.NotTCP}}
	}},
	{"home-limit", 4, "home kind", func(w *world) {
		w.homeRouter().Packets = w.rate(20, 50, 100)
		w.named(namesWayBack + `|chance`)
	}},
	{"home-loss", 4, "home kind", func(w *world) {
		w.homeRouter().Link.Loss = 0.1 + 0.3*w.Float64()
		w.with = append(w.with, "q=20")
		w.named(namesWayBack + `|chance`)
		w.lossy(detect.PacketLoss, w.homeAt())
	}},
	{"home-member", 8, "home", func(w *world) { // one of two ways home from the target is broken
		hop := len(w.routers)
		w.speaks(hop)
		h := w.homeFrom(hop, 1)
		h.Share = 0.5
		h.Routers[w.IntN(len(h.Routers))].Rules = []sim.Rule{{Action: sim.Drop, Segments: sim.NotSYN}}
		w.is(detect.WayBack, 0)
		w.is(detect.BrokenBranch, 0) // of the way back, as it says
		w.named(namesWayBack)
	}},
	{"home-share", 3, "home", func(w *world) { // some flows come back another way
		hop, longer := w.somewhere(), 1+w.IntN(8)
		w.homeFrom(hop, longer).Share = 0.5
		w.between(detect.AsymmetricReturn, hop, 255)
		w.named(namesWayBack)
	}},

	// What a search for the MTU finds, and what a long probe meets.
	{"mtu-told", 4, "kind length", func(w *world) {
		hop := w.somewhere()
		w.speaks(hop)
		w.router(hop).Longest, w.router(hop).Told = 1400, true
		w.with = append(w.with, "df", "length=1500")
		w.is(detect.MTULimit, hop)
	}},
	{"mtu-search", 5, "kind", func(w *world) {
		hop := w.somewhere()
		w.speaks(hop)
		how, code := "told", detect.MTULimit
		if w.one(2) {
			how, code = "hole", detect.MTUBlackHole
		}
		w.with = append(w.with, fmt.Sprintf("mtu=%d/1500/%d/%s", 1280+w.IntN(200), hop, how))
		w.is(code, hop)
	}},
}

func dropAll() []sim.Rule {
	return []sim.Rule{{Action: sim.Drop}, {Action: sim.Drop, Segments: sim.NotTCP}}
}

// rate is a random limit: one packet in one of so many milliseconds.
func (w *world) rate(millis ...int) sim.Rate {
	return sim.Rate{Every: time.Duration(oneOf(w, millis...)) * time.Millisecond, Burst: 1 + w.IntN(10)}
}

// drops lets a router drop.
func (w *world) drops(code detect.Code, rules ...sim.Rule) {
	hop := w.somewhere()
	r := w.router(hop)
	r.Rules = append(r.Rules, rules...)
	for i := range rules {
		r.Rules[len(r.Rules)-1-i].Action = sim.Drop
	}
	w.is(code, hop)
	w.named(namesFilter)
	w.named(namesBroken)
}

// rejects lets a router say no.
func (w *world) rejects(code detect.Code, rules ...sim.Rule) {
	hop := w.somewhere()
	w.speaks(hop)
	r := w.router(hop)
	r.Rules = append(r.Rules, rules...)
	for i := range rules {
		r.Rules[len(r.Rules)-1-i].Action = sim.Reject
	}
	w.is(code, hop)
}

// inName lets a router answer in the target's name.
func (w *world) inName(code detect.Code, rules ...sim.Rule) {
	hop := w.somewhere()
	if w.one(4) {
		hop = len(w.routers)
	}
	r := w.router(hop)
	r.Rules = append(r.Rules, rules...)
	if w.one(3) {
		r.TTL, r.Linux = 128, false
	}
	w.is(code, hop)
	w.named(namesFront + `|in the target's name`)
}

// member makes a load-balanced group of which one member drops.
func (w *world) member(rules ...sim.Rule) {
	hop := w.somewhere()
	dead := sim.Router{Addrs: []netip.Addr{w.addr(hop, 7)}, Rules: rules, Link: sim.Link{Delay: time.Millisecond}}
	if w.one(4) {
		dead.Addrs = nil
	}
	f := &sim.Fork{Ways: []sim.Way{{Routers: []sim.Router{dead}}}}
	for i := range oneOf(w, 1, 1, 2, 7) {
		alive := *w.router(hop)
		if i > 0 {
			alive.Addrs = []netip.Addr{w.addr(hop, 10+i)}
		}
		f.Ways = append(f.Ways, sim.Way{Routers: []sim.Router{alive}})
	}
	longer := 0
	if w.one(4) {
		longer = 1
		f.Ways[1].Routers = append(f.Ways[1].Routers, sim.Router{Addrs: []netip.Addr{w.addr(hop, 20)}, Link: dead.Link})
	}
	w.forks = append(w.forks, spread{hop: hop, instead: true, fork: f, longer: longer})
	w.is(detect.BrokenBranch, hop)
	w.facts = append(w.facts, fact{code: detect.LoadBalancer, first: hop, last: 255})
	w.named(namesMember)
}

// change is another way from a hop on.
func (w *world) change(c sim.Change, hop int) {
	w.changes = append(w.changes, c)
	w.changeAt = hop
}

// forwarded makes the target hand its port on to a machine beyond. It returns the routers from there on.
func (w *world) forwarded() []sim.Router {
	hop := 2 + w.IntN(len(w.routers)-1)
	behind := []sim.Router{{Addrs: []netip.Addr{w.target.Addr}, Link: sim.Link{Delay: time.Millisecond}}}
	for i := range w.IntN(3) {
		behind = append(behind, sim.Router{Addrs: []netip.Addr{w.addr(hop, 40+i)}, Link: sim.Link{Delay: time.Millisecond}})
	}
	w.change(sim.Change{Port: clientPort, Routers: behind}, hop)
	w.cut = true
	w.is(detect.Forwarded, hop)
	w.named(namesAnother)
	return behind
}

// gateway makes one of a virtual machine, which sends packets on with a TTL of its own, or ends TCP.
func (w *world) gateway() {
	w.solo = true
	w.forks, w.router(1).NAT, w.router(2).NAT = nil, sim.NAT{}, sim.NAT{}
	for i := range w.routers {
		w.routers[i].Home = nil
	}
	w.with = append(w.with, "source=10.0.2.15")
	w.router(1).Addrs = []netip.Addr{netip.MustParseAddr("10.0.2.2")}
	if w.one(2) {
		w.router(1).Rules = []sim.Rule{{Action: sim.Accept}}
		w.router(1).TTL = 64
		w.target.State = sim.Filtered
	} else {
		w.router(1).Set.TTL = new(uint8(64))
	}
	w.between(detect.LocalGateway, 1, 2)
}

// changed is that quotes from beyond a hop show something else than was sent.
func (w *world) changed(code detect.Code, hop int) {
	w.is(code, hop)
	w.is(detect.HiddenRewrite, hop)
}

// mangled lets a router change TCP headers.
func (w *world) mangled(code detect.Code, m sim.Mangle) (hop int) {
	hop = w.somewhere()
	w.router(hop).Mangle = m
	w.changed(code, hop)
	return hop
}

// set lets a router change IP headers.
func (w *world) set(code detect.Code, r sim.Rewrite) {
	hop := w.somewhere()
	w.router(hop).Set = r
	w.changed(code, hop)
}

// homeFrom is another way home from a hop on.
func (w *world) homeFrom(hop, longer int) *sim.Home {
	delete(w.taken, "home")
	return w.otherHome(hop, longer)
}

// homeRouter is a router on another way home, which is about as long as the way out.
func (w *world) homeRouter() *sim.Router {
	h := w.homeFrom(w.somewhere(), 1+w.IntN(2))
	return &h.Routers[w.IntN(len(h.Routers))]
}

// homeAt is the hop from which on answers take another way home.
func (w *world) homeAt() int {
	for i := range w.routers {
		if w.routers[i].Home != nil {
			return i + 1
		}
	}
	return 0
}

// lostOnWayBack lets a router on the way back drop.
func (w *world) lostOnWayBack(rules ...sim.Rule) {
	for i := range rules {
		rules[i].Action = sim.Drop
	}
	w.homeRouter().Rules = rules
	w.named(namesWayBack)
}
