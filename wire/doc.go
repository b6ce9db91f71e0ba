// Package wire puts probes on real links and takes answers off them.
//
// The rule of this room: it decides nothing about probes. It opens sockets, tells the source address and interface that
// the kernel would choose, reserves ports, sends what it is given, hands up what comes in with the kernel's own times, and
// gives privileges away. What needs a privilege is done by [Open] alone, so that all privileges can be dropped right
// after it, before a name is looked up or an answer is read.
package wire
