package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// NFT makes an nftables table of the inet family with the given content, until t ends. It may hold chains, sets and
// maps, written as in nft(8):
//
//	h.NFT(t, `chain c { type filter hook forward priority 0; tcp dport 25 drop; }`)
func (h *Host) NFT(t testing.TB, content string) {
	t.Helper()
	name := fmt.Sprintf("lab%d", h.lab.tables.Add(1))
	h.run(t, fmt.Sprintf("table inet %s {\n%s\n}\n", name, content), "nft", "-f", "-")
	t.Cleanup(func() { h.run(t, "delete table inet "+name+"\n", "nft", "-f", "-") })
}

// Filter adds rules to a hook: prerouting, input, forward, output or postrouting. Rules for the forward hook see only
// packets that the host sends on, so not those whose TTL ends there.
func (h *Host) Filter(t testing.TB, hook string, rules ...string) {
	t.Helper()
	h.NFT(t, chain("filter", hook, "filter", rules))
}

// Mangle adds rules for packets as they come in, before connection tracking and before their TTL is looked at.
// What they change by "set" is changed for good, without any memory, and so are the packets that this host quotes:
// "ip id set 7", "tcp option timestamp reset", "ip daddr set numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }".
// Checksums are kept right.
func (h *Host) Mangle(t testing.TB, rules ...string) {
	t.Helper()
	h.NFT(t, chain("filter", "prerouting", "raw", rules))
}

func chain(kind, hook, priority string, rules []string) string {
	return fmt.Sprintf("chain %s {\ntype %s hook %s priority %s\n%s\n}\n", hook, kind, hook, priority,
		strings.Join(rules, "\n"))
}

// Silent makes the host a router that never says that a packet's time to live was exceeded.
func (h *Host) Silent(t testing.TB) {
	t.Helper()
	h.Filter(t, "output", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")
}

// Drop makes the host swallow the packets to be sent on that match: "tcp dport 25".
func (h *Host) Drop(t testing.TB, match string) {
	t.Helper()
	h.Filter(t, "forward", match+" drop")
}

// Reset makes the host answer the matching TCP packets to be sent on by a reset in the target's name.
func (h *Host) Reset(t testing.TB, match string) {
	t.Helper()
	h.Filter(t, "forward", match+" reject with tcp reset")
}

// Reject makes the host answer the matching packets to be sent on by an ICMP destination unreachable: with code4 in
// IPv4 (RFC 1812, section 5.2.7.1) and code6 in IPv6 (RFC 4443, section 3.1). While it lasts, all its unreachables
// have these codes.
func (h *Host) Reject(t testing.TB, match string, code4, code6 uint8) {
	t.Helper()
	// The kernel can reject with some codes only; it doesn't mind which ones leave.
	h.NFT(t, chain("filter", "forward", "filter", []string{match + " reject with icmpx type no-route"})+
		chain("filter", "output", "filter", []string{
			fmt.Sprintf("icmp type destination-unreachable icmp code set %d", code4),
			fmt.Sprintf("icmpv6 type destination-unreachable icmpv6 code set %d", code6),
		}))
}

// DNAT sends connections to one address and port to another, as a firewall of today does: with connection tracking,
// which translates the packet quoted in an ICMP error back. Port 0 of to keeps the port.
func (h *Host) DNAT(t testing.TB, from, to netip.AddrPort) {
	t.Helper()
	rule := fmt.Sprintf("%s daddr %s tcp dport %d dnat %s to ", family(from.Addr()), from.Addr(), from.Port(),
		family(to.Addr()))
	if to.Port() == 0 {
		rule += to.Addr().String()
	} else {
		rule += to.String()
	}
	h.NFT(t, chain("nat", "prerouting", "dstnat", []string{rule}))
}

// Redirect does the same as [Host.DNAT] as the translators of old did, packet by packet: what an ICMP error quotes
// stays translated, and shows it.
func (h *Host) Redirect(t testing.TB, from, to netip.AddrPort) {
	t.Helper()
	port := to.Port()
	if port == 0 {
		port = from.Port()
	}
	f := family(from.Addr())
	there := fmt.Sprintf("%s daddr %s tcp dport %d notrack", f, from.Addr(), from.Port())
	back := fmt.Sprintf("%s saddr %s tcp sport %d notrack", f, to.Addr(), port)
	if to.Addr() != from.Addr() {
		there += fmt.Sprintf(" %s daddr set %s", f, to.Addr())
		back += fmt.Sprintf(" %s saddr set %s", f, from.Addr())
	}
	if port != from.Port() {
		there += fmt.Sprintf(" tcp dport set %d", port)
		back += fmt.Sprintf(" tcp sport set %d", from.Port())
	}
	h.Mangle(t, there, back)
}

// Masquerade replaces a source address by another in what the host sends on, packet by packet: what an ICMP error
// from further on quotes has the other one. Packets to the other one must find the way to the host: an unused address
// of the source's link does.
func (h *Host) Masquerade(t testing.TB, source, as netip.Addr) {
	t.Helper()
	f := family(source)
	h.NFT(t, chain("filter", "prerouting", "raw", []string{
		fmt.Sprintf("%s saddr %s notrack", f, source),
		fmt.Sprintf("%s daddr %s notrack %s daddr set %s", f, as, f, source),
	})+chain("filter", "postrouting", "srcnat", []string{
		fmt.Sprintf("%s saddr %s %s saddr set %s", f, source, f, as),
	}))
}

// AnswerFrom makes the host send its ICMP errors from the addresses in turn, all of one family, as if several routers
// stood in its place.
func (h *Host) AnswerFrom(t testing.TB, addrs ...netip.Addr) {
	t.Helper()
	turns := make([]string, len(addrs))
	for i, a := range addrs {
		turns[i] = fmt.Sprintf("%d : %s", i, a)
	}
	errors := "icmp type { time-exceeded, destination-unreachable }"
	if addrs[0].Is6() {
		errors = "icmpv6 type { time-exceeded, destination-unreachable }"
	}
	h.Filter(t, "output", fmt.Sprintf("%s %s saddr set numgen inc mod %d map { %s }",
		errors, family(addrs[0]), len(addrs), strings.Join(turns, ", ")))
}

// family is nft's word for the address's family.
func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}
