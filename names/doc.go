// Package names finds what the network itself doesn't say: the name of a hop
// by reverse DNS, the address of a host, the name of a TCP service, the AS and
// the country that an address belongs to.
//
// The rule of this room: a name is a comfort, never a reason to wait. Look-ups
// run in the background, a bounded number side by side, each address once; all
// the waiting for them together has one budget; and Close ends them, every
// goroutine included. A name comes from whoever runs the reverse zone: it is
// returned as it came, bounded in length, and made safe where it is printed.
//
// The package prints nothing, keeps no global state and touches nothing before
// it is asked. It works with no privilege at all, and in a sandbox that allows
//
//   - reading /etc/resolv.conf, /etc/nsswitch.conf, /etc/hosts and
//     /etc/services. Each may be missing, and the first is often a symbolic
//     link. /etc/gai.conf isn't read;
//   - reading the MMDB files that the caller opens, which are mapped;
//   - sockets of AF_INET and AF_INET6, SOCK_DGRAM and SOCK_STREAM (the latter
//     for answers too long for a datagram), and connect, but neither bind nor
//     listen. A datagram socket is also connected to each address of a host that
//     has several, to sort them (RFC 6724): that sends nothing.
//
// DNS is spoken by Go's own resolver, in process, as those files say. One thing
// it asks for beyond this list: a name server written with a zone
// (nameserver fe80::1%eth0) takes a netlink socket to find the interface.
package names
