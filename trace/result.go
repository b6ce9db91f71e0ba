package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// A Outcome is what became of a probe. Each probe that was asked for has exactly one of the first five, its outcome;
// the others are notices about a probe that has its outcome already, or about none for sure.
type Outcome uint8

const (
	Pending  Outcome = iota // on its way; never in a Result
	Answered                // Reply answers it
	Lost                    // nobody answered in time
	// it never left, or never left the first link: Err says why. A local matter, not the network's loss
	Failed
	// whether it was answered can't be told (withdrawn, interrupted, the program was stopped): not loss
	Unknown

	// Notices. Of one probe only the first few are told, see Counts.Repeats.
	Late      // Reply answers a probe that was lost or withdrawn before
	Duplicate // Reply answers a probe that was answered before
	Shared    // Reply is the target's and fits several probes, of which Probe is the one with the lowest TTL
	Rewritten // Reply names the flow but no probe of it: the network rewrites IP IDs (or, where allowed, sequence numbers)
	Elsewhere // Reply has a probe's number, but comes from another address or port than the probe was sent to
)

// Outcome reports whether f ends a probe's life, as opposed to a notice.
func (f Outcome) Final() bool { return f >= Answered && f <= Unknown }

func (f Outcome) String() string {
	return [...]string{
		"pending", "answered", "lost", "failed", "unknown", "late", "duplicate", "shared", "rewritten", "elsewhere",
	}[f]
}

// Evidence says how an answer proved which probe it belongs to, the strongest first.
type Evidence uint8

const (
	ByTag      Evidence = iota // it names the probe itself: IP ID, or the timestamp option
	ByFlow                     // it names the flow, and only this probe of it can be meant
	Unverified                 // the flow's sequence number was rewritten; ports and IP ID fit the only probe in flight

	// ByKernel: the answer is our kernel's account, to a user who may not see packets (see Synthetic). Of the Reply only
	// sender, time, kind, type, code and extensions are known, and of an ICMP error its own TTL and TOS. What it quotes
	// isn't, and neither is what the probe itself was but for addresses, ports, TTL, TOS and DontFragment.
	ByKernel
)

func (e Evidence) String() string { return [...]string{"tag", "flow", "unverified", "kernel"}[e] }

// A Result is the one event of a trace: what became of one probe.
type Result struct {
	Probe    packet.Probe
	Role     Role          // what Probe was for
	Note     any           // what the plan attached to Probe
	N        int           // ordinal number of the probe in this run, from 1, in order of sending
	Outcome  Outcome       //
	Sent     time.Time     // when the probe left; zero where Outcome is Failed before it was sent
	Tried    time.Time     // when that was; else zero
	Recv     time.Time     // when Reply came in
	Reply    *packet.Reply // nil where there is none; belongs to the reader
	Evidence Evidence      // of Reply
	Err      error         // where Outcome is Failed
}

// RTT is the round-trip time of an answered probe, else 0.
func (r Result) RTT() time.Duration {
	if r.Reply == nil {
		return 0
	}
	return r.Recv.Sub(r.Sent)
}

// FromTarget reports whether the probe reached its target: a TCP answer or an echo reply, which only the target's
// address may give.
func (r Result) FromTarget() bool {
	return r.Reply != nil && r.Outcome != Elsewhere && (r.Reply.Kind == packet.KindTCP || r.Reply.Kind == packet.KindEcho)
}

// Refused reports whether an ICMP error other than time exceeded says that the probe goes no further.
func (r Result) Refused() bool {
	if r.Reply == nil {
		return false
	}
	switch r.Reply.Kind {
	case packet.KindUnreachable, packet.KindTooBig, packet.KindParameterProblem:
		return true
	}
	return false
}

// Counts is what a run saw and did not take for an answer.
type Counts struct {
	Sent       int // probes that left
	Late       int // answers after the wait
	Duplicates int // second and further answers to one probe
	// notices beyond the first few of a probe, which are handed to nobody; the late and second ones count there too
	Repeats     int
	NearMisses  int // right addresses and ports, wrong sequence or acknowledgement number: forged, or rewritten on the way
	BadChecksum int // fitting answers whose checksum was wrong
	OwnAddress  int // ICMP errors about our probes from our own address, which is no hop; among the unrelated ones too
	ShortQuotes int // ICMP errors that quote our ports, and too little to prove more; among the unrelated ones too
	Unrelated   int // everything else that was no answer of ours
	Malformed   int // packets that could not be read
	LostHere    int // packets that this host lost because they were not read in time, see LossCounter
	Failed      int // probes that could not be sent, or not over the first link

	left int // answers and lost probes: they show that probes left this host
}

// NothingSent reports whether probes failed and nothing shows that any other left this host.
func (c Counts) NothingSent() bool { return c.Failed > 0 && c.left == 0 }

// NearMissAlarm is how many near misses make it likely that somebody forges answers, or that a device on the path
// rewrites sequence numbers; a single one may be a stray packet.
const NearMissAlarm = 16

// Verdict says what the matcher made of a received packet.
type Verdict uint8

const (
	Believed Verdict = iota
	IsLate
	IsDuplicate
	IsShared
	TagRewritten
	FromElsewhere
	NearMiss
	BadChecksum
	OwnAddress
	ShortQuote
	Unrelated
	Malformed
)

func (v Verdict) String() string {
	return [...]string{
		"believed", "late", "duplicate", "fits several probes", "names no probe of its flow",
		"answers a probe to another address",
		"wrong sequence or acknowledgement number", "bad checksum", "comes from our own address",
		"quotes too little of a probe", "not an answer to us",
		"malformed",
	}[v]
}

// An Event is what an observer sees: a probe sent (Reply nil) or a packet received (Reply set), with what was made of
// it. Reply and Packet are valid only during the call.
type Event struct {
	Time    time.Time     // when the packet left or came in, by the best clock there is
	Probe   *packet.Probe // sent, or the one that the received packet answers; nil where there is none
	N       int           // of Probe: see Result
	Sent    time.Time     // when Probe left; zero where it didn't
	Reply   *packet.Reply
	Packet  []byte // received, from its IP header on
	Verdict Verdict
	Repeat  bool  // one of the many answers to one probe that no Result tells of (Counts.Repeats)
	Err     error // sending failed, or the packet could not be read
}

// Authentic reports whether the packet can only be from somebody who has seen a probe of ours: it answers one, be it
// late, again, or one that can't be told.
func (v Verdict) Authentic() bool { return v.outcome() != Pending }

// fate is what a packet so judged means for the probe that it names; Pending where it means nothing.
func (v Verdict) outcome() Outcome {
	switch v {
	case Believed:
		return Answered
	case IsLate:
		return Late
	case IsDuplicate:
		return Duplicate
	case IsShared:
		return Shared
	case TagRewritten:
		return Rewritten
	case FromElsewhere:
		return Elsewhere
	}
	return Pending
}
