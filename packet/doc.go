// Package packet turns bytes into values and values into bytes: IPv4, IPv6, TCP
// and its options, ICMP echo and the ICMP errors of both families, the packet
// that such an error quotes, and the extensions of RFC 4884 behind it.
//
// The rule of this room: bytes are evidence. A decoder takes any bytes, never
// panics, never allocates, looks at each byte a bounded number of times, and
// reports what it saw rather than what it would have liked to see: a wrong
// checksum is a value ([CheckBad]), not an error; a field that was not there is
// told from one that was zero by how much was there ([TCP.Have]); what cannot be
// read at all is an error. Slices in a result point into the input.
// An encoder makes packets that are right in every field, or says why it can't.
//
// The package does no I/O, reads no clock and keeps no state: it imports
// neither sockets nor os, time or log.
//
// A probe is a [Probe] value; its bytes are [Probe.AppendBinary]. What comes
// back goes through [Parse] into a [Reply]. What ties the two together is the
// [Key]: that of the probe sent, and that of the [Quote] in an ICMP error.
// [AppendTCP] and [AppendICMP] are the other direction: answers, as a router or
// a host would send them.
package packet
