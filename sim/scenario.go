package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Scenario says what a network is like. See [Parse] for its text form.
type Scenario struct {
	Seed uint64
	// NoHostRST: the host's kernel does not reset what no socket wants. It does by
	// default, and so clears the target's half-open connections.
	NoHostRST bool
	Paths     []Path // at least one; packets find theirs by the target's address
}

// Path is the way to one target: at most 254 routers, and the target.
type Path struct {
	Routers []Router
	Changes []Change
	Nodes   []Node // the routers as a graph instead, the first hop first; without a text form
	Target  Target
}

// Change is another route to the same target, for some packets: those from some
// packet or instant on (a change of route), those to a port (a router that looks
// at ports), or a share of the flows (ways of different length, or one that is
// dead). Packets under way, and the answers to them, keep to their route. Where
// several changes fit a packet, the last of the list counts. Routers share no
// state with those of other routes, even where they look the same.
type Change struct {
	// One of these is not 0.
	Packet int           // from this packet on (the first is 1)
	Time   time.Duration // those sent from this instant on
	Port   uint16        // those to this TCP port
	Share  float64       // of the flows, by a hash over addresses and ports

	Routers []Router
}

// conditions is how many of the conditions are given.
func (c *Change) conditions() (n int) {
	for _, given := range []bool{c.Packet > 0, c.Time > 0, c.Port > 0, c.Share > 0} {
		if given {
			n++
		}
	}
	return n
}

// ErrScenario is wrapped in what Validate and Parse complain about.
var ErrScenario = errors.New("sim: bad scenario")

// Validate says what is wrong with the scenario, wrapping [ErrScenario].
func (s Scenario) Validate() error {
	if len(s.Paths) == 0 {
		return fmt.Errorf("%w: no target", ErrScenario)
	}
	seen := map[netip.Addr]bool{}
	for i := range s.Paths {
		p := &s.Paths[i]
		if seen[p.Target.Addr] {
			return fmt.Errorf("%w: target %v twice", ErrScenario, p.Target.Addr)
		}
		seen[p.Target.Addr] = true
		if err := p.validate(); err != nil {
			return fmt.Errorf("%w: target %v: %w", ErrScenario, p.Target.Addr, err)
		}
	}
	return nil
}

func (p *Path) validate() error {
	v4 := p.Target.Addr.Is4()
	if !p.Target.Addr.IsValid() || badAddr(p.Target.Addr, v4) {
		return errors.New("not an address of a target")
	}
	if d := p.Target.Pause; d < 0 || d > time.Hour {
		return errors.New("pause out of range")
	}
	if min(p.Target.Closes, p.Target.Resets) < 0 || max(p.Target.Closes, p.Target.Resets) > time.Hour {
		return errors.New("closes or resets out of range")
	}
	if err := errors.Join(p.Target.Link.validate(), p.Target.Back.validate(), validateRules(p.Target.Rules)); err != nil {
		return err
	}
	if err := validateNodes(p, v4); err != nil {
		return err
	}
	routes := [][]Router{p.Routers}
	for _, c := range p.Changes {
		if c.conditions() != 1 || c.Packet < 0 || c.Time < 0 {
			return errors.New("change: one of packet, time, port and share must be above 0")
		}
		if err := validateShare(c.Share); err != nil {
			return err
		}
		routes = append(routes, c.Routers)
	}
	for _, routers := range routes {
		if err := validateRouters(routers, v4); err != nil {
			return err
		}
	}
	return nil
}

// badAddr tells an address that has no place in packets of this family. No
// address at all is all right.
func badAddr(a netip.Addr, v4 bool) bool {
	return a.IsValid() && (a.Is4() != v4 || a.Is4In6() || a.Zone() != "")
}

func (r *Router) validate(v4 bool) error {
	addrs := append([]netip.Addr{r.From, r.NAT.Src.Addr(), r.NAT.Dst.Addr(), r.Set.Src, r.Set.Dst, r.QuoteAs.Src,
		r.QuoteAs.Dst}, r.Addrs...)
	for _, a := range addrs {
		if badAddr(a, v4) {
			return fmt.Errorf("address %v is not of the target's family", a)
		}
	}
	for _, a := range r.Addrs {
		if !a.IsValid() {
			return errors.New("one of its addresses is none")
		}
	}
	x := &r.Extensions
	objects, err := x.objects()
	if err != nil {
		return err
	}
	switch {
	case r.Rate.bad() || r.SourceRate.bad() || r.SYNs.bad() || r.Packets.bad():
		return errors.New("rate out of range")
	case r.Detour < 0 || r.Detour > 254:
		return errors.New("detour out of range")
	case r.Slow < 0 || r.Slow > time.Hour:
		return errors.New("slow out of range")
	case r.Quote < QuoteMinimum || r.Quote > 0xffff:
		return errors.New("quote out of range")
	case r.Longest < 0 || r.Longest > 0xffff:
		return errors.New("longest out of range")
	case r.Inject.Delay < 0 || r.Inject.Delay > time.Hour || r.Inject.Kind != Pass && r.Inject.Kind != Reset &&
		r.Inject.Kind != Accept:
		return errors.New("inject out of range")
	case r.Unresolved < 0 || r.Unresolved > time.Hour:
		return errors.New("unresolved out of range")
	case r.Spoof.Every < 0 || r.Spoof.For < 0:
		return errors.New("spoof out of range")
	case x.Cut < 0 || x.Cut > 0xffff:
		return errors.New("cut out of range")
	case len(objects) == 0 && (x.NonCompliant || x.ObjectLength != nil || x.BadChecksum):
		return errors.New("defects of extensions that it does not have")
	}
	return errors.Join(r.Link.validate(), r.Back.validate(), r.Late.validate(), validateShare(r.Silent),
		validateRules(r.Rules))
}

func (r Rate) bad() bool {
	return r.Every < 0 || r.Burst < 0 || r.Every > time.Hour || r.Burst > 1<<20
}

func (l *Link) validate() error {
	if l.Delay < 0 || l.Jitter < 0 || l.Delay > time.Hour || l.Jitter > time.Hour {
		return errors.New("delay out of range")
	}
	return errors.Join(validateShare(l.Loss), validateShare(l.Duplicate), l.Held.validate())
}

func (h *Held) validate() error {
	if h.By < 0 || h.By > time.Hour {
		return errors.New("delay out of range")
	}
	return validateShare(h.P)
}

func validateShare(p float64) error {
	if !(p >= 0 && p <= 1) {
		return errors.New("probability out of range 0 to 1")
	}
	return nil
}

func validateRules(rules []Rule) error {
	for _, r := range rules {
		if r.Action > Accept || r.Segments > NotTCP || r.Lo > r.Hi || r.Over.Every < 0 || r.Over.Burst < 0 {
			return errors.New("bad rule")
		}
		if err := validateShare(r.Share); err != nil {
			return err
		}
	}
	return nil
}
