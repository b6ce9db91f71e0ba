package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// An Action is one decision of a plan. The zero Action waits until something is learned; a plan that has nothing in
// flight and returns it has come to its end.
type Action struct {
	Do    Verb
	Probe packet.Probe  // to be sent
	Role  Role          // of Probe
	Wait  time.Duration // how long Probe may be answered; 0: DefaultWait
	Trust Trust         // what is believed of answers to Probe
	Note  any           // comes back in every Result of Probe; the engine does not look at it
	Key   packet.Key    // of the probe that GiveUp, Withdraw, Pass, Extend or EndFlow is about
	Until time.Time     // of Wait and Extend
}

// A Verb says what an Action does.
type Verb uint8

const (
	DoWait     Verb = iota // ask again at Until, or when something is learned; zero: only then
	DoSend                 // send Probe now
	DoGiveUp               // end the wait for the probe: it is lost, and an answer that still comes is late
	DoWithdraw             // take the probe back: whether it was answered can't be known, or no longer matters
	DoPass                 // stop attributing answers that name only the flow to the probe
	DoExtend               // let the probe wait until Until, longer than others
	DoEndFlow              // nothing is sent any more with the flow of the probe
)

// A Role says what a probe is for. A fold needs to know: only probes to a hop show what stands at their TTL.
type Role uint8

const (
	RoleHop      Role = iota // asks the hop at its TTL
	RoleDistance             // has the highest TTL and a flow of its own: the target's answer says how far the target is
	RoleControl              // asks by a flow of its own whether the target is at a hop, or before it
)

func (r Role) String() string { return [...]string{"hop", "distance", "control"}[r] }

// Trust says what is believed of the answers to a probe, beyond what they prove themselves. The plan knows more than an
// answer says.
type Trust uint8

const (
	// TrustAlone: the network rewrites the tags of probes, and this flow never has two probes in flight. From now on an
	// ICMP error that names the flow and no probe counts for the only probe in flight.
	TrustAlone Trust = 1 << iota

	// TrustFirst: the target may answer this probe, and the plan has made sure by other probes that the target does not
	// answer those of the flow that were sent before with lower TTLs. So an answer that is too late for them, and in time
	// for this one, is this one's.
	TrustFirst

	// TrustAside: as far as the plan knows the target does not answer this probe. An answer of the target that names only
	// the flow belongs to another probe.
	TrustAside

	// TrustSlow: the probe leaves long after all others of its flow. An answer that comes as soon as the target always
	// answers is this one's, and not that of a probe that was given up before.
	TrustSlow

	// TrustStrict: an ICMP error is believed only if it quotes the very addresses and destination port that were sent.
	// Else answers from behind NAT count too. It holds for all probes of a flow.
	TrustStrict

	// TrustLoose: an ICMP error is believed with another sequence number too, if ports and tag fit the only probe in
	// flight: for firewalls that randomise sequence numbers. Such answers are Unverified. It holds for all probes of a
	// flow.
	TrustLoose
)

// DefaultWait is how long a probe may be answered if the plan does not say.
const DefaultWait = 3 * time.Second

// ends reports whether the plan does this because no answer came.
func (a Action) ends() bool { return a.Do == DoGiveUp || a.Do == DoWithdraw || a.Do == DoPass }

// Send asks the engine to send p now.
func Send(p packet.Probe) Action { return Action{Do: DoSend, Probe: p} }

// WaitUntil asks to be asked again at t, or when something is learned.
func WaitUntil(t time.Time) Action { return Action{Until: t} }

// GiveUp ends the wait for a probe: it is lost, and an answer that still comes is late.
func GiveUp(k packet.Key) Action { return Action{Do: DoGiveUp, Key: k} }

// Withdraw takes a probe back: whether it was answered can't be known, or no longer matters. It is not counted as lost.
func Withdraw(k packet.Key) Action { return Action{Do: DoWithdraw, Key: k} }

// Pass says that an answer which names only the flow is no longer this probe's: it has waited too long for that. An
// answer that names the probe itself still counts for it.
func Pass(k packet.Key) Action { return Action{Do: DoPass, Key: k} }

// Extend lets a probe wait longer, until t: an answer that comes until then is in time.
func Extend(k packet.Key, t time.Time) Action { return Action{Do: DoExtend, Key: k, Until: t} }

// EndFlow says that nothing is sent any more with the flow of a probe, and that nobody waits for an answer: the engine
// soon forgets the probes of this flow.
func EndFlow(k packet.Key) Action { return Action{Do: DoEndFlow, Key: k} }
