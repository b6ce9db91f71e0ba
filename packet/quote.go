package packet

import "fmt"

// What can be wrong with a quoted packet, made once so that Parse allocates nothing.
var (
	errQuoteTruncated        = fmt.Errorf("%w: %w", ErrQuote, ErrTruncated)
	errQuoteVersion          = fmt.Errorf("%w: %w", ErrQuote, ErrVersion)
	errQuoteHeader           = fmt.Errorf("%w: %w", ErrQuote, ErrHeader)
	errQuoteExtensionHeaders = fmt.Errorf("%w: %w", ErrQuote, ErrExtensionHeaders)
)

// quoteError is what an error of IP.parse is where the packet is a quoted one of
// the right version.
func quoteError(err error) error {
	switch err {
	case ErrTruncated:
		return errQuoteTruncated
	case ErrHeader:
		return errQuoteHeader
	}
	return errQuoteExtensionHeaders
}

// Quote is the packet that an ICMP error is about, as the sender of the error
// saw it, or as much of it as was quoted.
//
// Its IP header is reported as it stands, with what routers are known to do to
// it: the TTL is what was left of it, the IPv4 checksum may not have been
// brought up to date, and on BSD stacks the total length may lack the header's
// length, and total length and fragment field be in host byte order.
type Quote struct {
	IP   IP
	TCP  TCP  // where it is a TCP packet, and not a fragment other than the first
	Echo Echo // the same, where it is an ICMP echo request
	// Bytes that were quoted and belong to the packet. Padding in front of
	// extensions (RFC 4884 5.1) is left out as far as IP.TotalLength tells, and
	// where it would make a TCP header that can't be.
	Bytes int
}

// Key names the probe that was quoted, by the rule of [Probe.Key]. It means
// something only where HasKey.
func (q *Quote) Key() Key {
	if q.Echo.Have > 0 {
		secret, _ := q.Echo.Secret()
		return Key{q.Echo.ID, secret, uint32(q.Echo.Seq)}
	}
	return Key{q.TCP.SrcPort, q.TCP.Seq, tag(q.IP.Version == 4, q.IP.ID, &q.TCP.Options, q.TCP.Window)}
}

// HasKey reports whether enough was quoted for Key: source port and sequence
// number, and in IPv6 the window and all TCP options; of an echo request the
// first four bytes of its data.
func (q *Quote) HasKey() bool {
	if q.Echo.Have > 0 {
		_, ok := q.Echo.Secret()
		return ok
	}
	if q.IP.Version == 4 {
		return q.TCP.HasSeq()
	}
	return q.TCP.HasOptions()
}

// isTCP reports whether there is a TCP header behind the IP header.
func (q *Quote) isTCP() bool { return q.IP.Protocol == protocolTCP && q.hasHeader() }

// isEcho reports whether an echo request was quoted.
func (q *Quote) isEcho() bool { return q.Echo.Have > 0 }

// hasHeader reports whether what stands behind the IP header is the start of its
// payload. A DF bit in host byte order looks like an offset of 512 bytes; as no
// router may report a fragment other than the first (RFC 1122 3.2.2), it can't be
// one.
func (q *Quote) hasHeader() bool {
	return q.IP.FragmentOffset == 0 || q.IP.Version == 4 &&
		q.IP.FragmentOffset == 512 && !q.IP.DontFragment && !q.IP.MoreFragments
}

// parse reads a quoted packet of the given IP version. region is where it
// stands, and may end with padding.
func (q *Quote) parse(version uint8, region []byte) error {
	if len(region) > 0 && region[0]>>4 != version {
		return errQuoteVersion
	}
	if err := q.IP.parse(region); err != nil {
		return quoteError(err)
	}
	q.Bytes = len(region)
	if !q.isTCP() {
		if n := q.IP.TotalLength; n >= q.IP.HeaderLength {
			q.Bytes = min(q.Bytes, n)
		}
		v4 := version == 4
		if msg := region[q.IP.HeaderLength:max(q.Bytes, q.IP.HeaderLength)]; q.IP.Protocol == icmpProtocol(v4) &&
			q.hasHeader() &&
			len(msg) >= icmpHeaderLen && msg[0] == echoRequest(v4) && msg[1] == 0 {
			q.Echo.parse(unpadEcho(msg))
		}
		return nil
	}
	seg := region[q.IP.HeaderLength:]
	// The total length tells packet from padding, unless it can't be true: less
	// than its own headers, as where the IP header's length was taken from it.
	least := 8
	if len(seg) >= 13 {
		least = max(tcpHeaderLen, int(seg[12]>>4)*4)
	}
	n := q.IP.TotalLength - q.IP.HeaderLength
	if n >= least {
		seg = seg[:min(n, len(seg))]
	}
	seg = unpad(seg)
	q.Bytes = q.IP.HeaderLength + len(seg)
	q.TCP.parse(seg)
	if n == len(seg) && !q.IP.MoreFragments {
		q.TCP.verify(region, &q.IP, seg)
	}
	return nil
}

// unpad cuts off a quoted segment the zeros of a router that quotes the 8 bytes
// of RFC 792, or 12, and pads them, for extensions to begin behind byte 128. A
// TCP header never holds a data offset of 0. Where the checksum would stand there
// may be something else: a NAT on the way back has updated what it took for one.
func unpad(seg []byte) []byte {
	if len(seg) <= 12 || seg[12]>>4 != 0 || !zeros(seg[12:min(16, len(seg))]) || !zeros(seg[min(18, len(seg)):]) {
		return seg
	}
	if zeros(seg[8:12]) {
		return seg[:8:8]
	}
	return seg[:12:12]
}

// unpadEcho is unpad for an echo request. What a probe of ours has there is never
// all zeros.
func unpadEcho(msg []byte) []byte {
	if zeros(msg[icmpHeaderLen:]) {
		return msg[:icmpHeaderLen:icmpHeaderLen]
	}
	return msg
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
