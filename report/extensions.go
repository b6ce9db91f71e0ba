package report

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"go.example/tcptraceroute/packet"
)

// How much of the extensions of one answer is shown. Routers send one or two objects, and stacks of up to ten labels.
const (
	mostObjects = 8
	mostLabels  = 16
	mostBytes   = 32 // of an object that is none of these
)

// Extensions are the RFC 4884 objects of an ICMP error as text, each in angle brackets; "" where there are none. A
// label stack stands as traceroute -e writes it, label, traffic class, bottom of stack and TTL, the top first:
//
//	<MPLS:L=24001,E=0,S=0,T=1/L=16,E=0,S=1,T=1> <IF:in,name=xe-0/0/1,index=5,addr=192.0.2.1,mtu=1500>
//	<NODE:name=core1,addr=192.0.2.9>
//
// It is plain ASCII, whatever came.
func Extensions(r *packet.Reply) string {
	e := &r.Extensions
	if e.Checksum == packet.CheckBad {
		return "<extensions with a wrong checksum>" // RFC 4884 7: not to be believed
	}
	var all []string
	for o := range e.Objects() {
		if len(all) == mostObjects {
			all = append(all, "<...>")
			break
		}
		all = append(all, "<"+object(o)+">")
	}
	return strings.Join(all, " ")
}

func object(o packet.Object) string {
	switch {
	case o.Class == packet.ClassMPLS && o.Type == 1:
		return labelStack(o)
	case o.Class == packet.ClassInterface:
		if i, err := o.Interface(); err == nil {
			return interfaceInfo(i)
		}
	case o.Class == packet.ClassNode:
		if n, err := o.Node(); err == nil && (len(n.Name) > 0 || n.Addr.IsValid()) {
			return nodeInfo(n)
		}
	}
	data, more := o.Data, ""
	if len(data) > mostBytes {
		data, more = data[:mostBytes], "..."
	}
	return fmt.Sprintf("%d/%d:%s%s", o.Class, o.Type, hex.EncodeToString(data), more)
}

func labelStack(o packet.Object) string {
	var all []string
	for l := range o.MPLS() {
		if len(all) == mostLabels {
			all = append(all, "...")
			break
		}
		bottom := 0
		if l.Bottom {
			bottom = 1
		}
		all = append(all, fmt.Sprintf("L=%d,E=%d,S=%d,T=%d", l.Label, l.TC, bottom, l.TTL))
	}
	return "MPLS:" + strings.Join(all, "/")
}

// interfaceInfo is what a router says of one of its interfaces (RFC 5837).
func interfaceInfo(i packet.Interface) string {
	all := []string{"IF:" + [...]string{"in", "sub-in", "out", "next-hop"}[i.Role&3]}
	if len(i.Name) > 0 {
		all = append(all, "name="+asWord(string(i.Name)))
	}
	if i.Index != 0 {
		all = append(all, fmt.Sprintf("index=%d", i.Index))
	}
	if i.Addr.IsValid() {
		all = append(all, "addr="+i.Addr.String())
	}
	if i.MTU != 0 {
		all = append(all, fmt.Sprintf("mtu=%d", i.MTU))
	}
	return strings.Join(all, ",")
}

// nodeInfo is what a router says of itself (draft-ietf-intarea-extended-icmp-nodeid).
func nodeInfo(n packet.Node) string {
	var all []string
	if len(n.Name) > 0 {
		all = append(all, "name="+asWord(string(n.Name)))
	}
	if n.Addr.IsValid() {
		all = append(all, "addr="+n.Addr.String())
	}
	return "NODE:" + strings.Join(all, ",")
}

// asWord is a text from the network that stands among others: quoted where it isn't plain, so that it can't pass for
// what stands around it.
func asWord(s string) string {
	for _, c := range []byte(s) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@+", rune(c)) {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}

// NextHopMTU is the MTU that a fragmentation needed or a packet too big tells; 0: none.
func NextHopMTU(r *packet.Reply) uint32 {
	if r.Kind == packet.KindTooBig || r.Kind == packet.KindUnreachable && r.IP.Version == 4 && r.Code == 4 {
		return r.MTU
	}
	return 0
}
