package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.example/tcptraceroute/trace"
)

// balanced finds load balancers: several routers at one distance.
func balanced(f *facts) []Finding {
	if f.cycle() > 0 {
		return nil
	}
	if x := f.perPacket(); x != nil {
		return []Finding{*x}
	}
	if x := f.perFlow(); x != nil {
		return []Finding{*x}
	}
	return nil
}

// perPacket is several routers that answer one flow at one distance.
func (f *facts) perPacket() *Finding {
	for i := range f.hops {
		h := &f.hops[i]
		if len(h.sure) < 2 {
			continue
		}
		x := Finding{
			Code: LoadBalancer, Confidence: Possible, Weight: weightDetail, After: max(f.first()-1, h.ttl-1), Before: h.ttl,
			Evidence: []string{fmt.Sprintf("Hop %d is %s for the same flow.", h.ttl, list(h.sure))},
		}
		if len(f.options.Ports) > 0 {
			x.Title = fmt.Sprintf("A load balancer spreads connections at hop %d", h.ttl)
			x.Evidence[0] = fmt.Sprintf("Hop %d is %s, for probes from different source ports.", h.ttl, list(h.sure))
			x.Confidence = Likely
			return &x
		}
		x.Title = fmt.Sprintf("The path changes at hop %d", h.ttl)
		x.Advice = "Trace again. If it changes back and forth, a load balancer spreads the packets of one connection, " +
			"which then arrive out of order; else the route has just changed."
		if f.alternates() {
			x.Title = fmt.Sprintf("A load balancer spreads the packets of one connection beyond %s", f.hopName(h.ttl-1))
			x.Advice = "Ask " + f.owner(h.ttl-1, h.ttl-1) + " to balance by flow: packets of one connection may arrive " +
				"out of order, which slows it down."
			x.Evidence = append(x.Evidence, "They answer in turn, which a change of route doesn't explain.")
			x.Confidence, x.Weight = Likely, weightHarm
		}
		return &x
	}
	return nil
}

// alternates reports whether the routers of some hop come back after others have answered: A, B, A. Seen by the time at
// which probes were sent.
func (f *facts) alternates() bool {
	for i := range f.hops {
		var order []netip.Addr
		for _, r := range f.hops[i].results {
			if r.Outcome != trace.Answered || r.FromTarget() || r.Refused() {
				continue
			}
			if from := r.Reply.From(); !slices.Contains(f.hops[i].sure, from) {
				continue
			} else if len(order) == 0 || order[len(order)-1] != from {
				order = append(order, from)
			}
		}
		if len(order) > len(f.hops[i].sure) {
			return true
		}
	}
	return false
}

// perFlow is another router at one distance for another flow, where each flow keeps to its own.
func (f *facts) perFlow() *Finding {
	if f.flow == nil {
		return nil
	}
	for i := range f.hops {
		h := &f.hops[i]
		a, b := f.only(h.ttl), f.flow.onlyRouter(h.ttl)
		if !a.IsValid() || !b.IsValid() || a == b {
			continue
		}
		x := Finding{
			Code: LoadBalancer, Confidence: Likely, Weight: weightDetail, After: max(f.first()-1, h.ttl-1), Before: h.ttl,
			Title:    fmt.Sprintf("A load balancer spreads connections at hop %d", h.ttl),
			Evidence: []string{fmt.Sprintf("Hop %d is %v for one source port, and %v for another.", h.ttl, a, b)},
			Advice: "Nothing to do: each connection keeps to one way. If some are slow or fail, run the same with " +
				"--track-port to see more of them.",
		}
		// Two different hops, or one and the same beyond it again: no change of route in between looks so.
		if f.rejoins(h.ttl) {
			x.Evidence = append(x.Evidence, "Beyond it the ways come together again.")
		} else {
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "Or the route has changed between the two traces.")
		}
		return &x
	}
	return nil
}

func (p *path) onlyRouter(ttl int) netip.Addr {
	if h := p.at(ttl); h != nil && len(h.routers) == 1 {
		return h.routers[0]
	}
	return netip.Addr{}
}

// rejoins reports whether both flows meet at a router beyond this hop.
func (f *facts) rejoins(ttl int) bool {
	for i := range f.hops {
		if t := f.hops[i].ttl; t > ttl {
			if a := f.only(t); a.IsValid() && a == f.flow.onlyRouter(t) {
				return true
			}
		}
	}
	return false
}

// list is addresses in words.
func list(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, " and ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
