package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// Host is what is known of the part that this host itself has in what was seen.
type Host struct {
	// Controls are ordinary connections that this host's kernel was asked for: one beside the trace, and more if
	// ControlAgain wants them.
	Controls []Control

	Meant    Leaving         // how the probes of the trace should leave this host
	Probes   *Leaving        // how they did; nil: that isn't known
	Changed  string          // in which way they left otherwise than meant, in words; "": in none
	Rewrites []packet.Change // of other headers, by which they left otherwise than meant
	Copies   bool            // those of some probes that left were heard, further traces' included
	SetsTTL  bool            // it gives what it sends another TTL than meant: so the hops aren't those of the path
	Rule     string          // by which they were routed then; "": not known, or by none that looks at them

	// Incoming and Outgoing are the chains of this host's firewall that packets meet, in words, as far as the kernel
	// tells.
	Incoming, Outgoing []string

	// OtherWays are the ways that this host shares connections to the target out over, beside the one of the probes.
	OtherWays []WayOut
}

// WayOut is a way by which this host sends connections.
type WayOut struct {
	Interface string
	Gateway   netip.Addr // not valid: the target is on the link
	Source    netip.Addr // that connections have then
}

// String is a way in words.
func (w *WayOut) String() string {
	text := fmt.Sprintf("by %s from %v", w.Interface, w.Source)
	if w.Gateway.IsValid() {
		text = fmt.Sprintf("by %v (%s) from %v", w.Gateway, w.Interface, w.Source)
	}
	return text
}

// Control is what came of an ordinary connection to the target. It passes this host's firewall and routing as the
// connections of other programs do, which raw packets don't: the packet socket hears answers that the firewall drops.
type Control struct {
	Outcome Outcome
	Source  netip.AddrPort
	SYNs    int           // sent, one after the other
	Waited  time.Duration // for the answer; if there was one, how long it took
	From    netip.Addr    // who said no, if Rejected
	Said    string        // in what words, if Rejected, and why, if NotBegun

	// Followed reports whether the connection's packets were followed: Left, Accepted and Reset are then all that there
	// is.
	Followed bool
	Left     *Leaving // how its SYN left this host; nil, if Followed: it did not
	Rule     string   // by which it was routed; "": not known, or by none that looks at it
	ByPort   bool     // by its source port alone: this host routes those of the probes by another interface
	Accepted int      // SYN+ACKs that came in for it, before this host's firewall
	Reset    int      // resets that did
	Flawed   int      // answers that came in with a flaw, not counted among these
	Flaw     Flaw     // that of the first of them
	Home     bool     // these came from this host itself
}

// Outcome is how a connection ended.
type Outcome uint8

const (
	Silent   Outcome = iota // no answer in time
	Opened                  // accepted
	Refused                 // reset
	Rejected                // by ICMP
	NotBegun                // by this host, at once
)

// String names an outcome, for programs: the names never change.
func (o Outcome) String() string {
	names := [...]string{"silent", "opened", "refused", "rejected", "not-begun"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Leaving is how packets leave this host.
type Leaving struct {
	Src, Dst   netip.AddrPort
	Interfaces []string // stacked ones each; none: not known
	Mark       uint32
	TTL        uint8          // 0: not known
	Loopback   bool           // to this host itself
	Options    packet.Options // of TCP
}

// text is a Leaving in words.
func (l *Leaving) text() string {
	s := fmt.Sprintf("from %v to %v", l.Src.Addr(), l.Dst)
	if len(l.Interfaces) > 0 {
		s += " by " + l.Interfaces[0]
	}
	if l.Mark != 0 {
		s += fmt.Sprintf(" with mark %#x", l.Mark)
	}
	return s
}

// String is the control in a sentence.
func (c *Control) String() string {
	const who = "An ordinary connection from this host"
	took := milliseconds(c.Waited)
	switch c.Outcome {
	case Opened:
		return fmt.Sprintf("%s opens in %s.", who, took)
	case Refused:
		return fmt.Sprintf("%s is refused by a reset after %s.", who, took)
	case Rejected:
		by := c.From.String()
		if c.From == c.Source.Addr() {
			by = "this host itself"
		}
		if c.expired() {
			return fmt.Sprintf("%s never arrives: time exceeded, says %s after %s.", who, by, took)
		}
		return fmt.Sprintf("%s is rejected by %s after %s: %s.", who, by, took, c.Said)
	case NotBegun:
		return fmt.Sprintf("%s can't even be begun: %s.", who, c.Said)
	}
	return fmt.Sprintf("%s gets no answer in %.1f s, to %s.", who, c.Waited.Seconds(), times(c.SYNs, "SYN", "SYNs"))
}

// milliseconds is a short time in words.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	return fmt.Sprintf(when(ms < 10, "%.2f ms", "%.0f ms"), ms)
}

// expiredText is what a router says in whose hands the packets of a connection have expired.
const expiredText = "time exceeded"

// expired reports whether nobody refused the connection, but its packets passed too many routers: they go round.
func (c *Control) expired() bool { return c.Outcome == Rejected && c.Said == expiredText }

// RejectionText is an ICMP error in words, for Control.Said.
func RejectionText(v4 bool, kind, code uint8) string {
	r := packet.Reply{Kind: packet.KindUnreachable, Type: kind, Code: code}
	r.IP.Version = when[uint8](v4, 4, 6)
	switch {
	case kind == when[uint8](v4, packet.ICMPv4TimeExceeded, packet.ICMPv6TimeExceeded):
		return expiredText
	case kind == when[uint8](v4, packet.ICMPv4ParameterProblem, packet.ICMPv6ParameterProblem):
		r.Kind = packet.KindParameterProblem
	case !v4 && kind == packet.ICMPv6TooBig:
		r.Kind = packet.KindTooBig
	}
	return refusalText(&r)
}

// host is what the controls come to.
type host struct {
	*Host  // nil: nobody asked
	raw    rawOutcome
	opened *Control // the first that opened; nil: none did
	differ *Control // the first that ended otherwise than the trace; nil: none did
}

// rawOutcome is what came of the trace's own probes, in the terms of a control.
type rawOutcome uint8

const (
	rawUnclear rawOutcome = iota
	rawOpen
	rawClosed
	rawRejected
	rawDead
	rawUnsent // this host could not send them
)

// readHost reads what the host itself has to say, if it was asked.
func (f *facts) readHost(h *Host) {
	if h == nil {
		return
	}
	f.host = host{Host: h, raw: f.rawOutcome()}
	for i := range h.Controls {
		c := &h.Controls[i]
		if c.Outcome == Opened && f.host.opened == nil {
			f.host.opened = c
		}
		if f.differs(c) && f.host.differ == nil {
			f.host.differ = c
		}
	}
}

func (f *facts) rawOutcome() rawOutcome {
	switch {
	case f.options.Protocol != packet.ProtoTCP || f.options.Session != nil || !f.asks():
		return rawUnclear
	case f.answer != nil && f.answer.Reply.TCP.Flags.Has(packet.RST):
		return rawClosed
	case f.answer != nil && f.answer.Reply.TCP.Flags.Has(packet.SYN|packet.ACK):
		return rawOpen
	case f.answer != nil:
		return rawUnclear
	case f.refusal != nil && f.whyRefused() == tooBig:
		return rawUnclear // an ordinary SYN is short
	case f.refusal != nil:
		return rawRejected
	case !f.left():
		return when(f.failed() > 0, rawUnsent, rawUnclear)
	}
	if _, silent, _ := dropOf(f); f.complete && f.enough(silent) {
		return rawDead
	}
	return rawUnclear
}

// failed is how many probes this host could not send.
func (p *path) failed() (n int) {
	for _, h := range p.hops {
		n += h.failed()
	}
	return n
}

// failed is how many probes to a hop this host could not send.
func (h *hop) failed() (n int) {
	for _, r := range h.results {
		n += when(r.Outcome == trace.Failed, 1, 0)
	}
	return n
}

// failure is the first error by which this host could not send a probe; nil: there is none.
func (p *path) failure() error {
	for _, h := range p.hops {
		for _, r := range h.results {
			if r.Outcome == trace.Failed {
				return r.Err
			}
		}
	}
	return nil
}

// differs reports whether a control ended otherwise than the trace.
func (f *facts) differs(c *Control) bool {
	switch f.host.raw {
	case rawOpen:
		return c.Outcome != Opened && !f.tooShort(c)
	case rawClosed:
		return c.Outcome != Refused && !f.tooShort(c)
	case rawUnsent:
		return c.Outcome == Opened
	case rawRejected, rawDead:
		return c.passes()
	}
	return false
}

// passes reports whether somebody with the target's address has answered a control: the target, or who speaks in its
// name.
func (c *Control) passes() bool { return c.Outcome == Opened || c.Outcome == Refused }

// tooShort reports whether a control was not waited for as long as the target may take: its answers to probes came
// late, too, or no earlier than when the control was given up.
func (f *facts) tooShort(c *Control) bool {
	return c.Outcome == Silent && (c.cut() || f.answer.RTT() > c.Waited/2)
}

// elsewhere reports whether a connection left otherwise than the probes did.
func (h *Host) elsewhere(c *Control) bool {
	a, b := c.Left, h.Probes
	if a == nil || b == nil {
		return false
	}
	return a.Src.Addr() != b.Src.Addr() || a.Dst != b.Dst || a.Mark != b.Mark || !share(a.Interfaces, b.Interfaces)
}

// share reports whether two lists have an element in common, or nothing is known of one.
func share(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// ControlAgain reports whether one more ordinary connection would tell more: one has ended otherwise than the trace,
// and what it left behind doesn't prove that this host did it. A SYN that is lost must not look like a firewall. It is
// one SYN more at the target, if that gets it.
func ControlAgain(e Evidence) bool {
	if e.Trace == nil || e.Host == nil || len(e.Host.Controls) != 1 || e.spentSYNs() >= MostSYNs {
		return false
	}
	f := read(&e)
	cut := f.host.Controls[0].cut() && f.answer != nil && f.asks()
	return (cut || f.host.differ != nil) && len(ownDoing(f)) == 0
}

// cut reports whether a control was given up before the kernel could repeat its SYN.
func (c *Control) cut() bool { return c.Outcome == Silent && c.SYNs == 1 }

// controlTTL is the TTL with which the first control that passes has left this host; 0: none does, or it isn't known.
func (f *facts) controlTTL() int {
	for i := range f.controls() {
		if c := &f.host.Controls[i]; c.passes() && c.Left != nil {
			return int(c.Left.TTL)
		}
	}
	return 0
}

// controlSightings are what the controls say of flows to this port, where this host did nothing of its own with them.
func (f *facts) controlSightings() (all []sighting) {
	for i := range f.controls() {
		c := &f.host.Controls[i]
		s := sighting{class: f.classOfControl(c), what: "An ordinary connection of this host", control: true}
		switch {
		case f.host.elsewhere(c) || c.Home:
			continue
		case c.passes():
			s.fate = passes
		case !f.asks() && c.Outcome == Silent: // its SYNs may have vanished anywhere: they aren't what the trace sends
			continue
		case c.Outcome == Silent && c.SYNs > 0 && c.Left != nil && c.Accepted+c.Reset+c.Flawed == 0 && len(f.more) > 0:
			s.fate = vanishes
		default:
			continue
		}
		all = append(all, s)
	}
	return all
}

// classOfControl is what the SYNs of a control are like, beside those of the trace.
func (f *facts) classOfControl(c *Control) class {
	kinds := kindsOf(usualSYN())
	if c.Left != nil {
		kinds = kindsOf(c.Left.Options)
	}
	return class{
		syn: true, port: true, marked: f.options.TOS&^ecnBits != 0,
		options: f.options.Flags&^packet.SYN == 0 && slices.Equal(kinds, kindsOf(f.options.Options)),
	}
}

// ecnBits of the TOS are the kernel's to set.
const ecnBits = 3

func (f *facts) controls() []Control {
	if f.host.Host == nil {
		return nil
	}
	return f.host.Controls
}
