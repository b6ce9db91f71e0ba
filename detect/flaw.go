package detect

import (
	"fmt"
	"slices"

	"go.example/tcptraceroute/packet"
)

// An answer to an ordinary connection that came in, and that the kernel did not take, speaks against this host's
// firewall only if the kernel has nothing against the answer itself. Kernels drop what is damaged, what is signed
// though nobody asked for it, and what brings back a timestamp that was not sent; their firewalls may drop what is
// unusual.

// Flaw is what speaks against an answer to a connection. The zero value is: nothing.
type Flaw struct {
	What    string // in words: it came in ...
	Refused bool   // a kernel refuses such an answer, whatever its firewall says
}

// FlawOf looks for a flaw in an answer to a connection whose SYNs had these options, and these timestamps.
func FlawOf(r *packet.Reply, offered packet.Options, stamps []uint32) Flaw {
	kinds := kindsOf(offered)
	extra := uint8(0) // the first option that was not offered
	for o := range r.TCP.Options.All() {
		switch {
		case slices.Contains(signatures, o.Kind) && !slices.Contains(kinds, o.Kind):
			return Flaw{fmt.Sprintf("with %s, which its SYN did not ask for", optionText(o.Kind)), true}
		case o.Kind != packet.OptionNOP && o.Kind != packet.OptionMSS && !slices.Contains(kinds, o.Kind) && extra == 0:
			extra = o.Kind
		}
	}
	_, echoed, stamped := r.TCP.Options.Timestamps()
	const usual = packet.SYN | packet.RST | packet.ACK | packet.PSH | packet.ECE | packet.CWR | packet.AE
	switch {
	case r.Checksum == packet.CheckBad || r.IP.Checksum == packet.CheckBad:
		return Flaw{"with a wrong checksum", true}
	case stamped && echoed != 0 && extra != packet.OptionTimestamps && !slices.Contains(stamps, echoed):
		return Flaw{"with a timestamp brought back that was not sent", true}
	case r.Checksum != packet.CheckGood:
		return Flaw{"in fragments", false}
	case len(r.IP.Options) > 0:
		return Flaw{"with IP options", false}
	case malformed(&r.TCP.Options):
		return Flaw{"with malformed TCP options", false}
	case extra != 0:
		return Flaw{fmt.Sprintf("with %s, which its SYN did not offer", optionText(extra)), false}
	case r.TCP.Flags&^usual != 0 || r.TCP.Flags.Has(packet.SYN|packet.RST):
		return Flaw{fmt.Sprintf("with the flags %v", r.TCP.Flags), false}
	}
	return Flaw{}
}

// malformed reports whether options end before their last byte, and not by an option that says so.
func malformed(o *packet.Options) bool {
	n := 0
	for x := range o.All() {
		n += when(x.Kind == packet.OptionNOP, 1, 2+len(x.Data))
	}
	b := o.Append(nil)
	return n < len(b) && b[n] != packet.OptionEnd
}

// The signatures of TCP segments. Kernels drop a segment with one that they have no key for.
const (
	optionMD5 = 19 // RFC 2385
	optionAO  = 29 // RFC 5925
)

var signatures = []uint8{optionMD5, optionAO}

func optionText(kind uint8) string {
	switch kind {
	case optionMD5:
		return "TCP option 19 (an MD5 signature)"
	case optionAO:
		return "TCP option 29 (a signature, TCP-AO)"
	}
	return fmt.Sprintf("TCP option %d", kind)
}

// unfit reports whether answers to a connection come in, each with a flaw, and the connection gets none of them.
func (c *Control) unfit() bool {
	return c.Outcome == Silent && c.Followed && c.Flawed > 0 && c.Accepted+c.Reset == 0
}

// unfit is that answers to a connection come in that nobody takes.
func (f *facts) unfit(c *Control, x *Finding) bool {
	if !c.unfit() {
		return false
	}
	x.Code, x.Confidence = HeaderRewritten, when(c.Flaw.Refused, Likely, Possible)
	x.Title = fmt.Sprintf("Answers from port %d come in %s: connections hang", f.target.Port(), c.Flaw.What)
	x.Evidence = append(x.Evidence, fmt.Sprintf("But %s to it came in, %s, and the connection did not get %s.",
		times(c.Flawed, "answer", "answers"), c.Flaw.What, when(c.Flawed == 1, "it", "them")))
	if c.Flaw.Refused {
		x.Evidence = append(x.Evidence, "Kernels drop such an answer without a word.")
	} else {
		x.Evidence = append(x.Evidence, "Firewalls drop what is unusual: this host's own, too.")
		x.name("", f.host.Incoming)
	}
	x.Advice = "Ask whoever runs the target, and the networks on the way: the target answers so, or something on the " +
		"way changes the answers. If neither does, look at this host's own rules for what comes in: nft list ruleset, " +
		"iptables -S INPUT (ip6tables for IPv6)."
	return true
}

// answersUnfit reports whether answers of the target come in, and are such that nobody takes them: then nothing on the
// way there drops the probes.
func (f *facts) answersUnfit() bool {
	return slices.ContainsFunc(f.controls(), func(c Control) bool { return c.unfit() })
}
