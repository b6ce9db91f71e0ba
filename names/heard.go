package names

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// heard is what the name servers said to the questions of one look-up. Package net says "no such host" both of a name
// that doesn't exist and of one without addresses, so the replies are looked at as they come in. A nil heard hears
// nothing.
type heard struct {
	mu      sync.Mutex
	replies int
	exists  bool // one of the names that were tried is there
	missing bool // a server said that there is no such name
	err     error
}

const (
	rcodeSuccess   = 0 // RFC 1035 section 4.1.1
	rcodeNameError = 3
)

// failed notes that a server could not be asked.
func (h *heard) failed(err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// message notes a reply, or the beginning of one.
func (h *heard) message(b []byte) {
	if len(b) < 4 || b[2]&0x80 == 0 {
		return // no reply
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replies++
	switch rcode := b[3] & 0xf; {
	case b[2]&0x02 != 0: // truncated: the whole reply comes over TCP
	case rcode == rcodeSuccess:
		h.exists = true
	case rcode == rcodeNameError:
		h.missing = true
	}
}

// explain adds to the error of a look-up what the replies said.
func (h *heard) explain(err error) error {
	if errors.As(err, new(*net.AddrError)) { // what the name has is of the other family, or an IPv4-mapped IPv6 address
		return fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case dns.IsNotFound && h.exists:
		return fmt.Errorf("%w: %w", ErrNoAddress, err)
	case dns.IsNotFound && h.missing:
		return fmt.Errorf("%w: %w", ErrNoName, err)
	case !dns.IsNotFound && h.replies == 0 && errors.As(h.err, new(syscall.Errno)):
		return fmt.Errorf("%w: %w: %w", ErrNoServer, err, h.err)
	case !dns.IsNotFound && h.replies == 0:
		return fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	return err
}

// listen returns the connection to a server, overheard.
func (h *heard) listen(c net.Conn) net.Conn {
	if h == nil {
		return c
	}
	if p, ok := c.(packetConn); ok {
		return &overheardPackets{p, h}
	}
	return &overheardStream{Conn: c, h: h}
}

type overheardPackets struct {
	packetConn
	h *heard
}

func (c *overheardPackets) Read(b []byte) (int, error) {
	n, err := c.packetConn.Read(b)
	if err != nil {
		c.h.failed(err)
	} else {
		c.h.message(b[:n])
	}
	return n, err
}

// overheardStream is a connection on which a length precedes each message (RFC 1035 section 4.2.2). It is good for one.
type overheardStream struct {
	net.Conn
	h     *heard
	begun []byte
}

func (c *overheardStream) Read(b []byte) (int, error) {
	const head = 2 + 4 // the length, and the message up to its RCODE
	n, err := c.Conn.Read(b)
	if missing := head - len(c.begun); missing > 0 {
		c.begun = append(c.begun, b[:min(n, missing)]...)
		if len(c.begun) == head && binary.BigEndian.Uint16(c.begun) >= 12 {
			c.h.message(c.begun[2:])
		}
	}
	return n, err
}
