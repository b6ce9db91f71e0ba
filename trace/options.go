package trace

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathOptions say what is probed on the way to one target, and how. The zero value of a field is its default.
type PathOptions struct {
	Target netip.AddrPort // needed; a link-local address with its zone
	Source netip.AddrPort // needed; the port is that of the flow

	FirstTTL int           // 1 to 255; default 1
	MaxTTL   int           // FirstTTL to 255; default 30
	Queries  int           // probes a hop, 1 or more; default 3
	Parallel int           // how many probes may be in flight, 1 or more; default 48. 1: one after the other, hop by hop
	Wait     time.Duration // how long a probe may be answered, LeastWait or more for TCP; default 3 s
	Patient  bool          // every probe waits its whole Wait; else only if answers may still come
	Strict   bool          // see TrustStrict
	Loose    bool          // see TrustLoose
	Spacing  time.Duration // least time between two probes of this path; default 0.25 ms

	// SilentSYNs is how many probes are sent beyond the last router that has answered, at the most, as long as neither the
	// target answers nor anybody refuses them: for all that is known they get to the target. If it answers only
	// ProbePorts, half as many are sent to where it is then, or farther. What is left of the hops is not asked. 0: there
	// is no bound.
	SilentSYNs int

	// TargetSYNs is after how many SYNs a target is asked no more whose hop seems to be known. What makes the hop doubtful
	// stays open then. 0: there is no bound.
	TargetSYNs int

	// UnheardSYNs is after how many SYNs beyond the last router that answers a target is asked no more that nothing has
	// come from. Hops far beyond that router are not asked then. 0: there is no bound.
	UnheardSYNs int

	// Budget bounds the SYNs that may get to the target by all traces together. The plan asks no hop that it has no SYN
	// for; only [TargetBudget.Guard] makes sure that none leaves. Nil: there is no bound.
	Budget *TargetBudget

	// Protocol is what the probes are. Of an echo request the source port is the identifier; Flags, Options and the
	// target's port mean nothing.
	Protocol packet.Protocol
	Flags    packet.Flags // SYN is added where there is neither SYN nor ACK
	TOS      int          // 0 to 255
	// of the whole packet in bytes, IP header included, up to 65535; raised to what the headers need
	Length       int
	DontFragment bool
	Window       uint16 // of TCP; IPv6 packets that have no room for timestamps have their tag there
	// TCP options. IPv6 adds timestamps where they are not there: its packets have no other tag. TSval is the plan's
	Options packet.Options
	// source ports for distance probes and control probes (see Path), of which MostProbePorts are used at the most. None:
	// one distance probe, by the Source's
	ProbePorts []uint16
	// source ports to take in turn, one a probe, in place of the Source's: every probe is then a flow of its own
	Ports []uint16

	// Session is the open connection, between Source and Target, that the probes are sent inside of; nil: there is none.
	// Flags, Window and Options are then those of its segments.
	Session *Session

	// LabelSeed makes the IPv6 flow labels, together with the source port: traces with the same seed have the same label
	// for the same port. 0: random.
	LabelSeed uint64

	// Rand is where sequence number, IP IDs and flow labels come from; nil: the system's randomness. Tests hand in their
	// own.
	Rand *rand.Rand
}

// Defaults of PathOptions.
const (
	DefaultMaxTTL   = 30
	DefaultQueries  = 3
	DefaultParallel = 48
	DefaultSpacing  = 250 * time.Microsecond
)

// LeastWait is the least that Wait may be. Answers to ICMP echo requests name their probes, so for them it may be less.
const LeastWait = 500 * time.Millisecond

// ProbeWait is how long the engine waits for a probe of this path ([Action.Wait]). A Wait of less than a second ends a
// probe sooner, but an answer that is later than that would be taken for another probe's if the probe were forgotten.
func (o PathOptions) ProbeWait() time.Duration {
	if o.Wait == 0 {
		return DefaultWait
	}
	return max(o.Wait, time.Second)
}

// Probes is how many probes a path takes at the most, those not counted that are sent past the target.
func (o PathOptions) Probes() int {
	o = o.withDefaults()
	return (o.MaxTTL - o.FirstTTL + 1) * o.Queries
}

// withDefaults fills in what was left at zero.
func (o PathOptions) withDefaults() PathOptions {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&o.FirstTTL, 1)
	or(&o.MaxTTL, DefaultMaxTTL)
	or(&o.Queries, DefaultQueries)
	or(&o.Parallel, DefaultParallel)
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	if o.Spacing == 0 {
		o.Spacing = DefaultSpacing
	}
	if o.Session != nil {
		o.Flags, o.Window, o.Options = packet.ACK|packet.PSH, sessionWindow, o.Session.options()
	}
	if o.Flags&(packet.SYN|packet.ACK) == 0 {
		o.Flags |= packet.SYN
	}
	if o.Rand == nil {
		o.Rand = systemRand()
	}
	return o
}

// systemRand is a generator that nobody can foresee.
func systemRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails (crypto/rand)
	return rand.New(rand.NewChaCha8(seed))
}

// Validate says, in the words that users of the command line read, what is wrong with the first option that is.
func (o PathOptions) Validate() error {
	d := o.withDefaults()
	switch {
	case d.FirstTTL < 1 || d.MaxTTL < 1:
		return errors.New("TTL must be greater than 0")
	case d.FirstTTL > 255 || d.MaxTTL > 255:
		return errors.New("TTL must be less than 256")
	case d.FirstTTL > d.MaxTTL:
		return fmt.Errorf("Minimum TTL (%d) must be less than maximum TTL (%d)", d.FirstTTL, d.MaxTTL)
	case d.Queries < 1:
		return errors.New("Number of queries must be at least 1")
	case d.Wait < 0, d.Wait < LeastWait && d.Protocol != packet.ProtoEcho:
		return errors.New("Timeout must be at least 1")
	case d.Parallel < 1:
		return errors.New("Number of parallel probes must be at least 1")
	case d.Spacing < 0:
		return errors.New("spacing must not be negative")
	case d.TOS < 0 || d.TOS > 255:
		return errors.New("TOS must be between 0 and 255")
	case d.Length < 0 || d.Length > 65535:
		return errors.New("Packet length must be between 0 and 65535")
	}
	return nil
}

// validateFlow checks what the caller, not the user, has to get right.
func (o PathOptions) validateFlow() error {
	t, s := o.Target.Addr(), o.Source.Addr()
	switch {
	case !t.IsValid() || !s.IsValid():
		return errors.New("trace: target and source address are needed")
	case t.Is4In6() || s.Is4In6() || t.Is4() != s.Is4():
		return fmt.Errorf("trace: target %v and source %v are not of one family", t, s)
	}
	return nil
}

// withPort is a with another port.
func withPort(a netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), port)
}

// Effective is what the options come to: the defaults in the place of zeros.
func (o PathOptions) Effective() PathOptions { return o.withDefaults() }

// sendsDistanceProbes reports whether the first probes have the highest TTL, see Path.
func (o *PathOptions) sendsDistanceProbes() bool {
	return o.Parallel >= lookAhead && len(o.Ports) == 0 && o.MaxTTL-o.FirstTTL >= lookAhead
}
