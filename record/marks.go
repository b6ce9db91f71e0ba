package record

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// State is what a TCP answer says of the port, in the classic words: open, closed, or unknown and the flags.
func State(f packet.Flags) string {
	switch {
	case f.Has(packet.RST):
		return "closed"
	case f.Has(packet.SYN|packet.ACK) && f.Has(packet.ECE):
		return "open, ecn"
	case f.Has(packet.SYN | packet.ACK):
		return "open"
	}
	return unknown(f)
}

// unknown is an answer that doesn't say whether the port is open.
func unknown(f packet.Flags) string {
	var names []string
	for _, x := range []struct {
		flag packet.Flags
		name string
	}{
		{packet.RST, "RST"}, {packet.SYN, "SYN"}, {packet.ACK, "ACK"}, {packet.PSH, "PSH"},
		{packet.FIN, "FIN"}, {packet.URG, "URG"}, {packet.CWR, "CWR"}, {packet.ECE, "ECN"},
	} {
		if f.Has(x.flag) {
			names = append(names, x.name)
		}
	}
	if len(names) == 0 {
		names = []string{"no flags"}
	}
	return "unknown, " + strings.Join(names, " ")
}

// StateOf is what a target's answer says of the port. Inside a session the bare ACK of a repeated segment says that the
// connection is open. A reset without ACK says nothing to who sent a SYN.
func StateOf(r trace.Result) string {
	switch {
	case r.Connected():
		return "open"
	case r.Bare():
		return unknown(r.Reply.TCP.Flags)
	}
	return State(r.Reply.TCP.Flags)
}

// Mark is the classic mark of an ICMP error that ends a path, "" for any other reply.
func Mark(r *packet.Reply) string {
	marks := marks4
	switch r.Kind {
	case packet.KindUnreachable:
		if r.IP.Version == 6 {
			marks = marks6
		}
		if m := marks[r.Code]; m != "" {
			return m
		}
		return fmt.Sprintf("!<%d>", r.Code)
	case packet.KindTooBig:
		return "!F"
	case packet.KindParameterProblem:
		return fmt.Sprintf("!<%d/%d>", r.Type, r.Code)
	}
	return ""
}

// Destination unreachable codes (RFC 792, 1122 3.2.2.1, 1812 5.2.7.1).
var marks4 = map[uint8]string{
	0: "!N", 1: "!H", 2: "!P", 3: "!p", 4: "!F", 5: "!S", 6: "!U", 7: "!U", 8: "!I",
	9: "!A", 10: "!C", 11: "!T", 12: "!T", 13: "!A",
}

// RFC 4443 3.1: no route, prohibited, (2: beyond scope), address, port, and the two finer sorts of prohibited.
var marks6 = map[uint8]string{0: "!N", 1: "!A", 3: "!H", 4: "!p", 5: "!A", 6: "!A"}

// LocalMark is the mark of a probe that never left this host: the system's name of the error in angle brackets.
func LocalMark(err error) string {
	if errors.Is(err, trace.ErrNextHop) || errors.Is(err, trace.ErrUnreachable) {
		err = syscall.EHOSTUNREACH
	}
	for _, e := range localErrors {
		if errors.Is(err, e.err) {
			return "<" + e.name + ">"
		}
	}
	return "<local error>"
}

var localErrors = []struct {
	err  error
	name string
}{
	{syscall.EPERM, "EPERM"}, {syscall.EACCES, "EACCES"}, {syscall.ENOBUFS, "ENOBUFS"}, {syscall.EMSGSIZE, "EMSGSIZE"},
	{syscall.ENETUNREACH, "ENETUNREACH"}, {syscall.EHOSTUNREACH, "EHOSTUNREACH"}, {syscall.ENETDOWN, "ENETDOWN"},
	{syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {syscall.EINVAL, "EINVAL"}, {syscall.EAGAIN, "EAGAIN"},
	{syscall.ENODEV, "ENODEV"}, {syscall.ENXIO, "ENXIO"}, {syscall.EAFNOSUPPORT, "EAFNOSUPPORT"},
}

// localError is the error that has this mark; nil: none that is known.
func localError(mark string) error {
	for _, e := range localErrors {
		if mark == "<"+e.name+">" {
			return e.err
		}
	}
	return nil
}
