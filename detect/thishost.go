package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"go.example/tcptraceroute/trace"
)

// thisHost finds what this host itself does with connections to the target, beside what the network does.
func thisHost(f *facts) []Finding {
	if own := ownDoing(f); len(own) > 0 {
		return own
	}
	if x := f.refusesSome(); x != nil {
		return []Finding{*x}
	}
	if f.host.Host == nil || f.host.Changed == "" {
		return nil
	}
	x := Finding{
		Code: ThisHost, Confidence: Certain, Weight: weightNotice,
		Title:    "This host changes what it sends to the target",
		Evidence: []string{capital(f.host.Changed) + "."},
		Advice: "Nothing to do if that is wanted. Its own NAT, marks or rules do that (nft list ruleset, " +
			"iptables-save, ip rule), and the trace takes it into account.",
	}
	if f.host.SetsTTL {
		x.Weight = weightTrap
		x.Title = "This host changes the TTL of what it sends: the list of hops isn't that of the path"
		x.Advice = "Look at its own rules for what sets it (nft list ruleset, iptables -t mangle -S), and trace without " +
			"them: connections are not harmed."
	}
	x.name(f.host.Rule, f.host.Outgoing)
	return []Finding{x}
}

// refusesSome is that this host lets only some of the probes out. That a neighbour doesn't answer is no doing of its
// own.
func (f *facts) refusesSome() *Finding {
	var err error
	refused, sent, highest := 0, 0, 0
	passed := []int{f.maxTTL() + 1} // with these TTLs
	for _, h := range f.hops {
		for _, r := range h.results {
			sent++
			switch {
			case r.Outcome != trace.Failed:
				passed = append(passed, h.ttl)
			case !errors.Is(r.Err, trace.ErrNextHop):
				err, highest = r.Err, h.ttl
				refused++
			}
		}
	}
	if refused == 0 || !f.left() {
		return nil
	}
	x := Finding{
		Code: ThisHost, Confidence: Certain, Weight: weightNotice, // a queue may have been full
		Title: fmt.Sprintf("This host doesn't send some probes to port %d", f.target.Port()),
		Evidence: []string{fmt.Sprintf("%d of %s did not leave this host: %v.", refused, times(sent, "probe", "probes"),
			err)},
		Advice: whereToLook(err),
	}
	switch {
	case slices.Min(passed) > highest:
		x.Weight = weightHarm
		x.Evidence = append(x.Evidence, fmt.Sprintf("Of those with a TTL of up to %d none left, and others did: a rule may "+
			"look at the TTL. It hides these hops; connections have a higher TTL.", highest))
	case errors.Is(err, syscall.EPERM):
		x.Advice += " A limit on new connections there looks so, and connections that are opened too fast fail."
	}
	if errors.Is(err, syscall.EPERM) {
		x.Weight = weightHarm
		x.Title = fmt.Sprintf("This host's own firewall refuses to send some probes to port %d", f.target.Port())
	}
	if f.host.Host != nil {
		x.name("", f.host.Outgoing)
	}
	return &x
}

// orThisHost lowers a finding that this host's own firewall explains as well, and names that firewall first.
func (f *facts) orThisHost(x *Finding) {
	x.Confidence = Possible
	x.Evidence = append(x.Evidence, "No router has answered a probe to this port, and without raw sockets nothing shows "+
		"whether the probes leave this host: its own firewall looks the same.")
	advice := "Look at this host's own rules first: nft list ruleset, iptables -S, iptables -t nat -S (ip6tables for " +
		"IPv6)."
	if x.Advice != "" {
		advice += " Else " + strings.ToLower(x.Advice[:1]) + x.Advice[1:]
	}
	x.Advice = advice
}

// ownNATMayDoIt reports whether this host itself may translate the target's address, and the answers back: then all
// routers seem to have that address. Without raw sockets nothing shows what was sent.
func (f *facts) ownNATMayDoIt() bool {
	return f.told() && !f.targetHere() && f.ownHop() > 0 && f.ownHop() == f.first()
}

// orOwnNAT lowers a finding that this host's own NAT explains as well.
func (f *facts) orOwnNAT(x *Finding) {
	if !f.ownNATMayDoIt() {
		return
	}
	x.Confidence = Possible
	x.Evidence = append(x.Evidence, "From the first hop on all answers have the target's address. If this host itself "+
		"translates that address, they look the same, and without raw sockets nothing shows it.")
	x.Advice = "Look at this host's own NAT first: nft list ruleset, iptables -t nat -S. " + x.Advice
}

// name adds which rules may be meant, as far as the kernel has told.
func (x *Finding) name(rule string, chains []string) {
	if rule != "" {
		x.Evidence = append(x.Evidence, fmt.Sprintf("The route was chosen by the rule %q (ip rule).", rule))
	}
	if len(chains) > 0 {
		x.Evidence = append(x.Evidence, "The chains of its firewall that such packets meet: "+strings.Join(chains, ", ")+".")
	}
}

// ownDoing is what the packets of an ordinary connection, and those of the probes, prove that this host does: nothing
// that the network does looks like it. Where the answers themselves have a flaw, that is said instead.
func ownDoing(f *facts) []Finding {
	for i := range f.controls() {
		c := &f.host.Controls[i]
		x := Finding{Code: ThisHost, Confidence: Certain, Weight: weightFatal, Evidence: []string{c.String()}}
		switch {
		case f.unsent(c, &x), f.unfit(c, &x), f.unheard(c, &x), f.atHome(c, &x), f.shortLived(c, &x), f.otherwise(c, &x):
			return []Finding{x}
		}
	}
	return f.onlyProbes()
}

// unsent is that a connection's packets don't leave this host, while probes do.
func (f *facts) unsent(c *Control, x *Finding) bool {
	if !c.Followed || c.Left != nil || c.Outcome == Opened || c.Outcome == NotBegun {
		return false
	}
	refused := f.refusedHere()
	answered := f.lastRouter() >= f.first() || f.answer != nil || f.refusal != nil
	if refused == nil && !(answered && f.host.Probes != nil || f.host.Copies && f.othersLeave()) {
		return false // what leaves isn't heard, or nothing is known to have left: its link may be at fault
	}
	x.Title = fmt.Sprintf("This host stops its own connections to port %d: they don't leave it", f.target.Port())
	x.Evidence = append(x.Evidence, "Its SYN did not leave this host by any interface, and "+
		when(answered, "the probes did.", "probes of another kind did."))
	if refused != nil {
		x.Evidence[1] = fmt.Sprintf("Its SYN did not leave this host by any interface, and the probes neither: %v.", refused)
	}
	x.name("", f.host.Outgoing)
	x.Advice = whereToLook(refused)
	if refused == nil && c.Outcome == Silent && c.SYNs == 1 { // kernels send none again that still waits for its next hop
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "It may have waited for a next hop that gives no answer, where this host has "+
			"several routes or translates the address: it was not sent again.")
		x.Advice += fmt.Sprintf(" Else look for such a next hop: ip route get %v, ip rule, ip neigh. Its own NAT may send "+
			"this port on to a container or a server that is gone: iptables -t nat -S.", f.target.Addr())
	}
	return true
}

// othersLeave reports whether probes of another kind, or to another port, were answered, or go to this host itself,
// which takes no neighbour.
func (f *facts) othersLeave() bool {
	return f.targetHere() || slices.ContainsFunc(f.more, func(p *path) bool {
		return p.answer != nil || p.refusal != nil || p.lastRouter() >= p.first()
	})
}

// refusedHere is the error by which this host itself refuses probes; nil: it doesn't. Its firewall says EPERM. What
// drops at the interface says ENOBUFS, and so does a queue that is full, but then some probes leave.
func (f *facts) refusedHere() error {
	for _, h := range f.hops {
		for _, r := range h.results {
			if errors.Is(r.Err, syscall.EPERM) || errors.Is(r.Err, syscall.ENOBUFS) && !f.left() {
				return r.Err
			}
		}
	}
	return nil
}

// whereToLook says where to look for what refuses, by an error, to send; nil: without one.
func whereToLook(err error) string {
	if errors.Is(err, syscall.ENOBUFS) {
		return "Look at what drops at this host's interface: nft list ruleset (tables of the family netdev), tc -s qdisc, " +
			"tc filter show dev NAME egress. Or the queue of the interface is full."
	}
	return "Look at this host's own rules for what it sends: nft list ruleset, iptables -S OUTPUT (ip6tables for IPv6), " +
		"and at security programs that run here."
}

// unheard is that answers to a connection come in, and this host's kernel doesn't get them.
func (f *facts) unheard(c *Control, x *Finding) bool {
	n := c.Accepted + c.Reset
	if c.Outcome != Silent || !c.Followed || n == 0 {
		return false
	}
	x.Title = fmt.Sprintf("This host drops the answers to its own connections: those to port %d hang", f.target.Port())
	x.Evidence = append(x.Evidence, fmt.Sprintf("But %s to it came in, and the connection did not get %s.",
		times(n, "answer", "answers"), when(n == 1, "it", "them")))
	x.name("", f.host.Incoming)
	x.Advice = "Look at this host's own rules for what comes in: nft list ruleset, iptables -S INPUT (ip6tables for " +
		"IPv6), and at its check of source addresses: sysctl net.ipv4.conf.all.rp_filter."
	switch {
	case f.strangeEcho():
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "Answers to probes bring back other timestamps than were sent. Something on the "+
			"way changes them, and kernels may refuse such answers.")
	case n == 1:
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "A single one may have come too late.")
	}
	return true
}

// strangeEcho reports whether the target's answer brings back a timestamp that was not sent.
func (f *facts) strangeEcho() bool {
	if f.answer == nil {
		return false
	}
	sent, _, stamped := f.answer.Probe.Options.Timestamps()
	_, back, echoed := f.answer.Reply.TCP.Options.Timestamps()
	return stamped && echoed && sent-back+stampRange >= 2*stampRange
}

// atHome is that somebody on this host answers connections to the target.
func (f *facts) atHome(c *Control, x *Finding) bool {
	if c.Left == nil || !c.Left.Loopback || f.host.Meant.Loopback {
		return false
	}
	x.Weight = weightTrap
	x.Title = fmt.Sprintf("This host sends its own connections to port %d to itself: a program here answers in the "+
		"target's place", f.target.Port())
	x.Evidence = append(x.Evidence, fmt.Sprintf("Its SYN left %s, and not to the target.", c.Left.text()))
	x.name("", f.host.Outgoing)
	x.Advice = "Look at this host's rules that redirect, as for a transparent proxy: nft list ruleset, iptables -t " +
		"nat -S OUTPUT. That the port is open there says nothing of the target."
	return true
}

// shortLived is that this host sends its connections with a TTL that doesn't last to where probes got.
func (f *facts) shortLived(c *Control, x *Finding) bool {
	farthest := max(f.distance(), f.lastRouter())
	if c.passes() || c.Left == nil || c.Left.TTL == 0 || int(c.Left.TTL) >= farthest || f.host.elsewhere(c) {
		return false
	}
	x.Title = fmt.Sprintf("This host sends its own connections with a TTL of %d: they die on the way, at hop %[1]d",
		c.Left.TTL)
	x.Evidence = append(x.Evidence, fmt.Sprintf("Its SYN left with a TTL of %d, and hop %d answered probes.", c.Left.TTL,
		farthest))
	if !c.expired() {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "No router has said that the TTL was over.")
	}
	x.Advice = "Look at sysctl net.ipv4.ip_default_ttl (net.ipv6.conf.all.hop_limit, or what router advertisements " +
		"bring), at the route's hoplimit (ip route get), and at this host's own rules that set the TTL."
	x.name("", f.host.Outgoing)
	return true
}

// otherwise is that a connection's packets leave in another way than the probes.
func (f *facts) otherwise(c *Control, x *Finding) bool {
	// Several ways that this host shares its connections out over are a load balancer, though at home.
	shared := c.ByPort && c.Left.Dst == f.host.Probes.Dst && c.Left.Mark == f.host.Probes.Mark
	if !f.host.elsewhere(c) || shared {
		return false
	}
	x.Title = "Connections of this host leave it otherwise than the probes"
	x.Weight = weightNotice
	if f.differs(c) {
		x.Title += ", and fare otherwise"
		x.Weight = weightFatal
	}
	x.Evidence = append(x.Evidence,
		fmt.Sprintf("Its SYN left %s, and the probes %s.", c.Left.text(), f.host.Probes.text()))
	x.name(c.Rule, f.host.Outgoing)
	x.Advice = "Look at this host's own rules, which choose by program, user, port or at random: ip rule, ip route " +
		"get, nft list ruleset. What is said of the probes' way need not hold for connections."
	return true
}

// onlyProbes is that this host sends no probe, and no connection has shown more.
func (f *facts) onlyProbes() []Finding {
	if f.rawOutcome() != rawUnsent {
		return nil
	}
	err := f.refusedHere()
	if err == nil {
		return f.undelivered()
	}
	who := "This host's own firewall refuses to send"
	if errors.Is(err, syscall.ENOBUFS) {
		who = "This host drops what it sends"
	}
	x := Finding{
		Code: ThisHost, Confidence: Certain, Weight: weightFatal,
		Title:    fmt.Sprintf("%s to port %d", who, f.target.Port()),
		Evidence: []string{fmt.Sprintf("No probe left: %v.", err)},
		Advice:   whereToLook(err),
	}
	if f.host.Host != nil {
		x.name("", f.host.Outgoing)
	}
	if c := f.host.opened; c != nil {
		x.Title = strings.TrimSuffix(who, " what it sends") + " probes, and lets ordinary connections pass"
		x.Evidence = append([]string{c.String()}, x.Evidence...)
	}
	return []Finding{x}
}

// undelivered is that the kernel says of each connection, at once and by itself, that the target can't be reached, or
// of each probe that nobody answers on this host's own link.
func (f *facts) undelivered() []Finding {
	err := f.failure()
	var unresolved trace.UnresolvedError
	switch {
	case errors.Is(err, trace.ErrNextHop), errors.As(err, &unresolved),
		!f.told() && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, trace.ErrUnreachable)):
		return []Finding{f.noNextHop(err)}
	case !f.told():
		return nil
	}
	x := Finding{
		Code: ThisHost, Confidence: Likely, Weight: weightFatal,
		Title:    fmt.Sprintf("This host itself rejects connections to port %d: none leaves it", f.target.Port()),
		Evidence: []string{fmt.Sprintf("No probe left: %v.", err)},
		Advice: fmt.Sprintf("Look at this host's own rules for what it sends: nft list ruleset, iptables -S OUTPUT "+
			"(ip6tables for IPv6). Or the next hop on its own link doesn't answer: ip route get %v, ip neigh.", f.target.Addr()),
	}
	return []Finding{x}
}

// noNextHop is that nobody answers on this host's own link where its route sends the probes.
func (f *facts) noNextHop(err error) Finding {
	return Finding{
		Code: UnreachableHost, Confidence: Likely, Weight: weightFatal, Before: f.first(),
		Title: fmt.Sprintf("No probe to port %d of %v leaves this host: the next hop of its route gives no answer",
			f.target.Port(), f.target.Addr()),
		Evidence: []string{fmt.Sprintf("Its kernel says: %v.", err)},
		Advice: fmt.Sprintf("Look at the route: ip route get %v, ip rule, ip neigh. If the next hop is right, it is down, "+
			"or the link is; if it is the target itself, and that isn't on this link, the route or this host's netmask is "+
			"wrong.", f.target.Addr()),
	}
}

// NoWay is the finding if a rule or a route of this host lets nothing out to the target: the kernel gives err in place
// of a route.
func NoWay(target netip.AddrPort, err error) Finding {
	kinds := "unreachable, prohibit or blackhole"
	for e, kind := range map[error]string{
		syscall.EACCES: "prohibit", syscall.EHOSTUNREACH: "unreachable", syscall.EINVAL: "blackhole",
	} {
		if errors.Is(err, e) {
			kinds = kind
		}
	}
	return Finding{
		Code: ThisHost, Confidence: Certain, Weight: weightFatal,
		Title: fmt.Sprintf("This host's own routing lets nothing out to port %d of %v", target.Port(), target.Addr()),
		Evidence: []string{fmt.Sprintf("In place of a route its kernel says: %v. So says a rule or a route of the type %s.",
			err, kinds)},
		Advice: fmt.Sprintf("Look for the rule or the route: ip route get %v ipproto tcp dport %d, ip rule, "+
			"ip route show table all type %s (ip -6 for IPv6).",
			target.Addr(), target.Port(), when(strings.Contains(kinds, ","), "unreachable", kinds)),
	}
}

// contradicted are the findings that can't be, in the way of connections, if one opens.
var contradicted = []Code{
	PortClosed, ResetOnPath, PathEnds, Filtered, FilteredPort, FilteredTCP,
	RejectedByRouter, RejectedByTarget, UnreachableNetwork, UnreachableHost,
	AnsweredFromElsewhere,
}

// withControl leaves out what an ordinary connection contradicts, and says that connections fare differently where
// nothing else says why.
func (f *facts) withControl(all []Finding) []Finding {
	has := func(codes ...Code) bool {
		return slices.ContainsFunc(all, func(x Finding) bool { return slices.Contains(codes, x.Code) })
	}
	if f.host.opened != nil && f.host.differ != nil {
		both := f.contradict() != nil // an opened connection doesn't contradict that another answer comes too
		all = slices.DeleteFunc(all, func(x Finding) bool {
			return slices.Contains(contradicted, x.Code) && !(both && (x.Code == ResetOnPath || x.Code == TCPProxy))
		})
	}
	if c := f.host.home(); c != nil && f.host.Probes != nil && f.host.Probes.Loopback { // all that answers is this host
		all = slices.DeleteFunc(all, func(x Finding) bool { return x.Code != ThisHost })
	}
	f.doubt(all)
	if accept, reset := f.split(); accept != nil && f.host.differ == nil && !has(ThisHost) {
		return f.withSplit(all, accept, reset)
	}
	if f.host.differ == nil ||
		has(BrokenBranch, WayBack, OtherWay, SizeFilter, MarkDropped, FilteredSYN, RoutingLoop, MTULimit, HopLimit,
			ResetOnPath) || f.answer == nil && has(TTLFiltered) {
		return all
	}
	if len(ownDoing(f)) > 0 || f.contradict() != nil && has(TCPProxy, PortOpen, PortClosed) {
		return all
	}
	if f.host.differ.Outcome == Silent && f.answer != nil && !f.answer.Proven() {
		return all // no connection heeds such an answer
	}
	if f.host.differ.Outcome == Silent && f.host.raw == rawClosed {
		if answered, silent := f.sameFlow(); answered > 0 && silent > 0 {
			if has(PacketLoss, RateLimited) {
				return all
			}
			return append(all, f.seldomRefused(answered, silent))
		}
	}
	return append(all, f.mixed())
}

// sameFlow counts the probes of the trace's own flow to the target's hop: those that the target has answered, and those
// that got no answer. Of those whose outcome isn't known, it counts the ones that were sent well before one that the
// target has answered.
func (f *facts) sameFlow() (answered, silent int) {
	end := f.at(f.distance())
	if end == nil {
		return 0, 0
	}
	for _, r := range end.results {
		switch own := r.Probe.Src == f.options.Source; {
		case own && r.FromTarget():
			answered++
		case own && r.Outcome == trace.Lost:
			silent++
		}
	}
	for _, r := range end.unknown {
		silent += when(slices.ContainsFunc(end.results, func(x trace.Result) bool {
			return x.FromTarget() && x.Probe.Src == r.Probe.Src && x.Sent.Sub(r.Sent) >= slowly
		}), 1, 0)
	}
	return answered, silent
}

// seldomRefused is that a connection was not answered, and some of the trace's own SYNs to the same port neither: so it
// isn't that some flows fare otherwise than others.
func (f *facts) seldomRefused(answered, silent int) Finding {
	return Finding{
		Code: PacketLoss, Confidence: Possible, Weight: weightHarm, After: f.first() - 1, Before: f.distance(),
		Title: fmt.Sprintf("Only some connections to port %d are refused, others get no answer", f.target.Port()),
		Evidence: []string{
			f.host.differ.String(),
			fmt.Sprintf("Of the trace's own SYNs to hop %d, all from one port, %d %s answered by a reset, and %d not.",
				f.distance(), answered, when(answered == 1, "was", "were"), silent),
		},
		Advice: "Trace again with more probes (-q 10). Resets, or SYNs, may be limited in number, by the target or by a " +
			"firewall, or packets are lost, on the way or on the way back. Or a member of a load-balanced group is " +
			"broken, or a filter looks at source ports or at what sets probes apart.",
	}
}

// doubt lowers the confidence of findings that say that nothing to this port passes, if an ordinary connection was
// answered. Whatever the probes met: if one opened, no such finding is certain.
func (f *facts) doubt(all []Finding) {
	c := f.host.differ
	if open := f.host.opened; open != nil && !f.host.elsewhere(open) && !open.Home && f.contradict() == nil {
		for i := range all {
			if x := &all[i]; slices.Contains(contradicted, x.Code) && x.Confidence > Likely {
				x.Confidence = Likely
				x.Evidence = append(x.Evidence, "But: "+open.String())
			}
		}
	}
	if c == nil || !c.passes() || f.host.raw != rawRejected && f.host.raw != rawDead || f.host.elsewhere(c) || c.Home {
		return
	}
	for i := range all {
		if x := &all[i]; slices.Contains(contradicted, x.Code) && x.Confidence > Possible {
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "But: "+c.String())
		}
	}
}

// home is a control that somebody on this host has answered in the target's place; nil: there is none.
func (h *host) home() *Control {
	if h.Host == nil || h.Meant.Loopback {
		return nil
	}
	for i := range h.Controls {
		if l := h.Controls[i].Left; l != nil && l.Loopback {
			return &h.Controls[i]
		}
	}
	return nil
}

// mixed is that connections to the port fare differently, and why isn't known.
func (f *facts) mixed() Finding {
	c := f.host.differ
	probes := map[rawOutcome]string{
		rawOpen: "accepted", rawClosed: "refused by a reset", rawRejected: "rejected by ICMP", rawDead: "not answered",
		rawUnsent: "not sent",
	}[f.host.raw]
	x := Finding{
		Code: BrokenBranch, Confidence: Possible, Weight: weightHarm,
		Title:    fmt.Sprintf("Connections to port %d fare differently", f.target.Port()),
		Evidence: []string{c.String(), fmt.Sprintf("The probes' SYNs to the same port were %s.", probes)},
		Advice: whichPorts + "broken, a firewall looks at source ports, at what sets probes apart" +
			when(f.long(), " (their length is one such thing)", "") + " or at the rate of SYNs, packets were lost, one of " +
			"several ways back loses the answers, or the state has just changed.",
	}
	if f.answer != nil {
		x.Evidence = append(x.Evidence, f.answerText(f.path))
	}
	switch who := f.stranger; {
	case who != nil && f.host.raw == rawClosed:
		x.Title += ": some are reset in front of the target, " + f.between(who.after, f.distance())
		x.Evidence = append(x.Evidence, who.evidence...)
	case c.expired():
		x.Title += fmt.Sprintf(": some never arrive, time exceeded at %v", c.From)
		if c.Left == nil && f.before(c.From, f.maxTTL()) {
			x.Advice = "Look at the TTL that this host sends with: sysctl net.ipv4.ip_default_ttl (net.ipv6.conf.all." +
				"hop_limit), ip route get (hoplimit). Else some packets go round in a circle: trace again, with --track-port " +
				"to see which source ports do."
		}
	case c.Outcome == Rejected && c.From.WithZone("") != f.target.Addr():
		x.Title += fmt.Sprintf(": %v rejects some", c.From)
	}
	if second := f.controls()[len(f.controls())-1]; len(f.controls()) > 1 {
		x.Evidence = append(x.Evidence, "A second one: "+second.String())
	}
	if c.Outcome != Opened && !c.expired() && (!c.Followed || c.Left == nil) {
		x.Code = ThisHost
		x.Title = fmt.Sprintf("Connections of this host to port %d may be stopped by this host itself", f.target.Port())
		x.Advice = "Look at this host's own firewall first: nft list ruleset, iptables -S. If it lets them pass, trace " +
			"again: packets may have been lost, or a firewall drops by source port, or by the rate of SYNs."
	}
	return x
}
