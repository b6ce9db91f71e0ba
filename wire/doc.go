// Package wire puts probes on real links and takes answers off them.
//
// The rule of this room: it decides nothing about probes. It opens sockets, tells the source address and interface
// that the kernel would choose, reserves ports, sends what it is given, hands up what comes in with the kernel's own
// times, and gives privileges away. What needs a privilege is done by [Open] alone, so that all privileges can be
// dropped right after it, before a name is looked up or an answer is read.
//
// A [Conn] is what package trace wants of a network: see the example. It serves one run of traces at a time, of any
// number of paths (trace.Group); programs that run several open several. Recv returns soon after its context ends,
// and Close may be called when no run is under way.
//
// On platforms other than Linux everything compiles, and Open fails with [ErrUnsupported].
package wire
