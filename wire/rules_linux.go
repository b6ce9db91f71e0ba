package wire

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// RouteRule names the rule by which the kernel routes a packet that left with these addresses and this mark, "" where
// it is none that looks at the packet, or the kernel doesn't tell.
func (c *Conn) RouteRule(l *Leaving) string { return c.route.rule(l) }

func (r *router) rule(l *Leaving) string {
	f := flow{dst: l.Ends.Dst, src: l.Ends.Src, tos: l.TOS, mark: l.Mark, tabled: true}
	h, err := r.lookup(f, true)
	if err != nil || h.table == 0 {
		return ""
	}
	family := byte(unix.AF_INET)
	if f.dst.Addr().Is6() {
		family = unix.AF_INET6
	}
	answers, err := r.ask(unix.RTM_GETRULE, netlink.Dump, append([]byte{family}, make([]byte, sizeofRuleHeader-1)...))
	if err != nil {
		return ""
	}
	var found *routeRule
	for _, a := range answers {
		rule, ok := parseRule(a.Data)
		if ok && rule.chooses(l.Ends, l.Mark, h.table, os.Geteuid()) && (found == nil || rule.priority < found.priority) {
			found = &rule
		}
	}
	if found == nil {
		return ""
	}
	return found.String()
}

// RoutedBy names the interface by which the kernel routes a packet with these addresses and ports and this mark; "":
// the kernel doesn't tell.
func (c *Conn) RoutedBy(l *Leaving) string {
	h, err := c.route.lookup(flow{dst: l.Ends.Dst, src: l.Ends.Src, tos: l.TOS, mark: l.Mark}, true)
	if err != nil {
		return ""
	}
	via, err := c.route.link(h.index)
	if err != nil {
		return ""
	}
	return via.name
}

// From linux/fib_rules.h.
const (
	sizeofRuleHeader = 12
	ruleInverted     = 2 // FIB_RULE_INVERT
)

// parseRule reads a struct fib_rule_hdr and the attributes behind it. ok is false where it doesn't choose a table.
func parseRule(b []byte) (r routeRule, ok bool) {
	if len(b) < sizeofRuleHeader || b[7] != unix.FR_ACT_TO_TBL {
		return r, false
	}
	r.tos, r.table, r.not = b[3], uint32(b[4]), binary.NativeEndian.Uint32(b[8:])&ruleInverted != 0
	ad, err := netlink.NewAttributeDecoder(b[sizeofRuleHeader:])
	if err != nil {
		return r, false
	}
	prefix := func(bits byte) netip.Prefix {
		a, _ := netip.AddrFromSlice(ad.Bytes())
		return netip.PrefixFrom(a, int(bits))
	}
	ports := func() (p [2]uint16) {
		if v := ad.Bytes(); len(v) >= 4 {
			p = [2]uint16{binary.NativeEndian.Uint16(v), binary.NativeEndian.Uint16(v[2:])}
		}
		return p
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.FRA_DST:
			r.to = prefix(b[1])
		case unix.FRA_SRC:
			r.from = prefix(b[2])
		case unix.FRA_PRIORITY:
			r.priority = ad.Uint32()
		case unix.FRA_FWMARK:
			r.mark = ad.Uint32()
		case unix.FRA_FWMASK:
			r.mask = ad.Uint32()
		case unix.FRA_TABLE:
			r.table = ad.Uint32()
		case unix.FRA_OIFNAME:
			r.out = ad.String()
		case unix.FRA_UID_RANGE:
			if v := ad.Bytes(); len(v) >= 8 {
				r.uids = [2]uint32{binary.NativeEndian.Uint32(v), binary.NativeEndian.Uint32(v[4:])}
				r.hasUIDs = r.uids[1] != ^uint32(0)
			}
		case unix.FRA_IP_PROTO:
			r.protocol = ad.Uint8()
		case unix.FRA_SPORT_RANGE:
			r.sports = ports()
		case unix.FRA_DPORT_RANGE:
			r.dports = ports()
		}
	}
	return r, ad.Err() == nil
}

// Chains are those of nftables, and of iptables that stands on it, that have rules or drop what no rule accepts.
// There are none where this program was not allowed to ask: that takes CAP_NET_ADMIN, and Options.Chains.
func (c *Conn) Chains() (all []Chain) {
	for _, b := range c.chains {
		if chain, ok := parseChain(b); ok && !slices.Contains(all, chain) {
			all = append(all, chain)
		}
	}
	return all
}

// From linux/netfilter/nfnetlink.h and nf_tables.h.
const (
	nfMessageGetChain = 10<<8 | 4
	sizeofNfMessage   = 4 // struct nfgenmsg

	nfFamilyInet = 1
	nfFamilyIPv4 = 2
	nfFamilyIPv6 = 10

	nfChainTable  = 1
	nfChainName   = 3
	nfChainHook   = 4
	nfChainPolicy = 5
	nfChainUse    = 6
	nfHookNumber  = 1
)

// askChains asks for all chains. The kernel wants the privilege when it is asked, and the program parses nothing
// before it has given it up: so what it answers is only kept.
func askChains() (all [][]byte) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil
	}
	defer conn.Close()
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: nfMessageGetChain, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, sizeofNfMessage),
	})
	if err != nil {
		return nil
	}
	for _, a := range answers {
		all = append(all, a.Data)
	}
	return all
}

// parseChain reads a struct nfgenmsg and the attributes behind it. ok is false where packets don't come to the chain
// by themselves, or it does nothing.
func parseChain(b []byte) (c Chain, ok bool) {
	if len(b) < sizeofNfMessage {
		return c, false
	}
	c.V4, c.V6 = b[0] == nfFamilyInet || b[0] == nfFamilyIPv4, b[0] == nfFamilyInet || b[0] == nfFamilyIPv6
	name := map[byte]string{nfFamilyInet: "inet ", nfFamilyIPv4: "ip ", nfFamilyIPv6: "ip6 "}[b[0]]
	ad, err := netlink.NewAttributeDecoder(b[sizeofNfMessage:])
	if err != nil {
		return c, false
	}
	ad.ByteOrder = binary.BigEndian
	hooked, used := false, false
	for ad.Next() {
		switch ad.Type() {
		case nfChainTable:
			c.Table = name + ad.String()
		case nfChainName:
			c.Name = ad.String()
		case nfChainPolicy:
			c.Drops = ad.Uint32() == 0
		case nfChainUse:
			used = ad.Uint32() > 0
		case nfChainHook:
			ad.Nested(func(hook *netlink.AttributeDecoder) error {
				for hook.Next() {
					if hook.Type() == nfHookNumber {
						hooked, c.Hook = true, Hook(hook.Uint32())
					}
				}
				return nil
			})
		}
	}
	return c, ad.Err() == nil && hooked && (used || c.Drops) && (c.V4 || c.V6)
}
