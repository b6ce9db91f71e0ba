package packet

import "fmt"

// What can be wrong with a quoted packet, made once so that Parse allocates nothing.
var (
	errQuoteTruncated        = fmt.Errorf("%w: %w", ErrQuote, ErrTruncated)
	errQuoteVersion          = fmt.Errorf("%w: %w", ErrQuote, ErrVersion)
	errQuoteHeader           = fmt.Errorf("%w: %w", ErrQuote, ErrHeader)
	errQuoteExtensionHeaders = fmt.Errorf("%w: %w", ErrQuote, ErrExtensionHeaders)
)

func quoteError(err error) error {
	switch err {
	case ErrTruncated:
		return errQuoteTruncated
	case ErrVersion:
		return errQuoteVersion
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
// brought up to date, and the total length may be in host byte order or lack
// the header's length.
type Quote struct {
	IP  IP
	TCP TCP // only where IP.Protocol is TCP and IP.FragmentOffset 0
	// Bytes that were quoted and belong to the packet. Padding in front of
	// extensions (RFC 4884 5.1) is left out as far as IP.TotalLength tells.
	Bytes int
}

// Key names the probe that was quoted, by the rule of [Probe.Key]. It means
// something only where HasKey.
func (q *Quote) Key() Key {
	return Key{q.TCP.SrcPort, q.TCP.Seq, tag(q.IP.Version == 4, q.IP.ID, &q.TCP.Options, q.TCP.Window)}
}

// HasKey reports whether enough was quoted for Key: source port and sequence
// number, and in IPv6 the window and all TCP options.
func (q *Quote) HasKey() bool {
	if q.IP.Version == 4 {
		return q.TCP.HasSeq()
	}
	return q.TCP.HasOptions()
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
	if q.IP.Protocol != protocolTCP || q.IP.FragmentOffset != 0 {
		if n := q.IP.TotalLength; n >= q.IP.HeaderLength {
			q.Bytes = min(q.Bytes, n)
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
	q.Bytes = q.IP.HeaderLength + len(seg)
	q.TCP.parse(seg)
	if n == len(seg) && !q.IP.MoreFragments {
		q.TCP.verify(region, &q.IP, seg)
	}
	return nil
}
