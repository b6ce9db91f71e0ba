package packet

import "net/netip"

// Kind is what a received packet is to a traceroute by TCP or ICMP echo.
type Kind uint8

const (
	// KindOther is well-formed, but nothing that answers a probe: another protocol,
	// an ICMP message that is neither an error about TCP or an echo request, nor an
	// echo reply, reassembly time exceeded, a fragment that is not the first.
	KindOther            Kind = iota
	KindTCP                   // a TCP segment
	KindTimeExceeded          // ICMP time to live exceeded in transit: v4 11/0, v6 3/0
	KindUnreachable           // ICMP destination unreachable, any code: v4 3, v6 1
	KindTooBig                // ICMPv6 packet too big: v6 2. (v4 3/4 is KindUnreachable, with MTU)
	KindParameterProblem      // ICMP parameter problem: v4 12, v6 4
	KindEcho                  // ICMP echo reply: v4 0, v6 129
)

func (k Kind) String() string {
	switch k {
	case KindTCP:
		return "tcp"
	case KindTimeExceeded:
		return "time exceeded"
	case KindUnreachable:
		return "unreachable"
	case KindTooBig:
		return "too big"
	case KindParameterProblem:
		return "parameter problem"
	case KindEcho:
		return "echo reply"
	}
	return "other"
}

// Reply is one received packet, decoded. Its slices point into the input: what
// outlives that needs Clone.
type Reply struct {
	Kind       Kind
	IP         IP
	Type, Code uint8      // of an ICMP message, KindOther too
	MTU        uint32     // next-hop MTU in bytes (RFC 1191 4, RFC 4443 3.2); 0: not given
	Pointer    uint32     // parameter problem: the byte of the quoted packet that is wrong
	TCP        TCP        // KindTCP
	Echo       Echo       // KindEcho
	Quote      Quote      // of an ICMP error
	Extensions Extensions // of an ICMP error
	// Checksum of the ICMP message or the TCP segment; CheckUnknown for a fragment.
	// A packet socket sees segments of the same machine (another namespace, a
	// container) with a checksum that offload left unfinished: CheckBad, unless
	// CompleteTCPChecksum is called first.
	Checksum Check
	// Zone is that of the sender's address. No packet says it: who receives one may fill it in.
	Zone string
}

// From is who sent the packet, as far as it says.
func (r *Reply) From() netip.Addr { return r.IP.Src.WithZone(r.Zone) }

// HostUnreachable reports whether the packet says host unreachable (RFC 792 code 1) or address unreachable (RFC 4443
// 3.1 code 3): the last hop's neighbour did not resolve.
func (r *Reply) HostUnreachable() bool {
	code := uint8(1)
	if r.IP.Src.Is6() {
		code = 3
	}
	return r.Kind == KindUnreachable && r.Code == code
}

// Parse reads a received packet. b starts at its IP header, and must hold all of
// it; what stands behind the end that the IP header tells (link-layer padding) is
// ignored. All of *r is overwritten, on an error too: then Kind is KindOther, and
// the rest is what had been read. It allocates nothing.
//
// Errors, to be tested with [errors.Is]: [ErrTruncated], [ErrVersion],
// [ErrHeader], [ErrExtensionHeaders], [ErrTCPHeader]; with [ErrQuote] where it
// is the quoted packet of an ICMP error that can't be read.
func Parse(b []byte, r *Reply) error {
	*r = Reply{}
	if err := r.IP.parse(b); err != nil {
		return err
	}
	if r.IP.TotalLength < r.IP.HeaderLength {
		return ErrHeader
	}
	if r.IP.TotalLength > len(b) {
		return ErrTruncated
	}
	if r.IP.FragmentOffset != 0 {
		return nil
	}
	payload := b[r.IP.HeaderLength:r.IP.TotalLength:r.IP.TotalLength]
	whole := !r.IP.MoreFragments
	switch {
	case r.IP.Protocol == protocolTCP:
		return r.parseTCP(b, payload, whole)
	case r.IP.Protocol == icmpProtocol(r.IP.Version == 4):
		return r.parseICMP(b, payload, whole)
	}
	return nil
}

func (r *Reply) parseTCP(header, b []byte, whole bool) error {
	if len(b) < tcpHeaderLen {
		return ErrTruncated
	}
	r.TCP.parse(b)
	if r.TCP.DataOffset < tcpHeaderLen || r.TCP.DataOffset > len(b) {
		return ErrTCPHeader
	}
	if whole {
		r.TCP.verify(header, &r.IP, b)
		r.Checksum = r.TCP.Checksum
	}
	r.Kind = KindTCP
	return nil
}

// Clone returns a copy that shares no bytes with the input of Parse.
func (r *Reply) Clone() *Reply {
	c := *r
	slices := [...]*[]byte{&c.IP.Options, &c.TCP.Payload, &c.Echo.Data, &c.Quote.IP.Options, &c.Quote.TCP.Payload,
		&c.Quote.Echo.Data, &c.Extensions.b}
	n := 0
	for _, s := range slices {
		n += len(*s)
	}
	if n == 0 {
		return &c
	}
	all := make([]byte, 0, n)
	for _, s := range slices {
		if len(*s) > 0 {
			start := len(all)
			all = append(all, *s...)
			*s = all[start:len(all):len(all)]
		}
	}
	return &c
}
