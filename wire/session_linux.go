package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// Session is an open connection of the kernel's, and the way to send segments inside it: a Conn whose packets from
// the target are only those that can answer such a segment. What the target sends of its own accord is the kernel's
// business.
type Session struct {
	*Conn
	SessionState
	src, dst netip.AddrPort
	fd       int
	filter   *SessionFilter
	ttl      uint8 // of the target's answer to the SYN
}

// SessionState is how the connection stands. We never send anything in it, so it stays so on our side.
type SessionState struct {
	Next         uint32 // the sequence number that would be sent next
	Ack          uint32 // the target's, that is expected next
	Timestamps   bool   // both ends send them
	TSval, TSecr uint32 // of probes: older than those of the connection
	SACK         bool
}

// A SessionError says why there is no connection, or no longer.
type SessionError struct {
	From netip.Addr // who said so
	Why  string
}

func (e *SessionError) Error() string {
	if e.From.IsValid() {
		return fmt.Sprintf("%s, says %v", e.Why, e.From)
	}
	return e.Why
}

// SessionOptions say what connection is wanted.
type SessionOptions struct {
	Source    netip.AddrPort // on this host, a link-local address with its zone; port 0: of the kernel's choice
	Target    netip.AddrPort
	Interface string // connect by it only; "": where the route says
	TOS       uint8
	Wait      time.Duration // for the connection
}

// OpenSession connects. What comes in for the connection's port is received from now on. The error is a
// [SessionError] where the network has none to give. It must not be called beside Recv.
func (c *Conn) OpenSession(ctx context.Context, o SessionOptions) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	fd, port, err := bind(o.Source, false)
	if err != nil {
		return nil, opError("port of", o.Source.Addr(), err)
	}
	s := &Session{Conn: c, fd: fd, src: netip.AddrPortFrom(o.Source.Addr().WithZone(""), port), dst: o.Target}
	s.filter = NewSessionFilter(s.src, s.dst, 0, 0)
	err = s.connect(ctx, o)
	if err != nil {
		unix.Close(fd)
		if lerr := s.setOpening(false); lerr != nil { // or what comes in from now on would be heard twice
			return nil, lerr
		}
		if ctx.Err() != nil && !errors.As(err, new(*SessionError)) {
			return nil, &SessionError{Why: "no answer"}
		}
		return nil, err
	}
	return s, nil
}

// Source is the address and port that the connection is from.
func (s *Session) Source() netip.AddrPort { return s.src }

func (s *Session) connect(ctx context.Context, o SessionOptions) error {
	var err error
	if o.Target.Addr().Is4() {
		err = unix.SetsockoptInt(s.fd, unix.SOL_IP, unix.IP_TOS, int(o.TOS))
	} else {
		err = errors.Join(unix.SetsockoptInt(s.fd, unix.SOL_IPV6, unix.IPV6_TCLASS, int(o.TOS)),
			unix.SetsockoptInt(s.fd, unix.SOL_IPV6, unix.IPV6_AUTOFLOWLABEL, flowLabel))
	}
	if err == nil && o.Interface != "" {
		err = unix.BindToDevice(s.fd, o.Interface)
	}
	if err == nil {
		err = errors.Join(s.Use(s.src.Port()), s.setOpening(true))
	}
	if s.Conn.flows.mark != 0 && err == nil {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_MARK, int(s.Conn.flows.mark)) != nil {
			return &SessionError{Why: "a connection can't be marked without privileges"}
		}
	}
	to, aerr := sockaddr(o.Target.Addr(), o.Target.Port())
	if err = errors.Join(err, aerr); err != nil {
		return opError("connecting to", o.Target, err)
	}
	if err := unix.Connect(s.fd, to); err != nil && err != unix.EINPROGRESS && err != unix.ECONNREFUSED {
		return opError("connecting to", o.Target, err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	// What was heard behind the host's NAT goes on being heard there: the connection's own segments aren't followed.
	if !s.in.behind {
		if err := s.setOpening(false); err != nil {
			return err
		}
	}
	return s.established(ctx)
}

// setOpening lets those ears hear that are there for connections, or no longer.
func (s *Session) setOpening(now bool) error {
	s.flows.mu.Lock()
	s.flows.opening, s.flows.changed = now, true
	s.flows.mu.Unlock()
	return s.listen()
}

// begin waits for the target's answer, which says all that there is to know of the connection.
func (s *Session) begin(ctx context.Context) error {
	buf := make([]byte, 2048)
	for {
		n, _, err := s.Conn.Recv(ctx, buf)
		if err != nil {
			return err
		}
		var r packet.Reply
		if packet.Parse(buf[:n], &r) != nil {
			continue
		}
		q := &r.Quote.TCP
		switch {
		case s.filter.Ours(&r) && r.TCP.Flags.Has(packet.RST):
			return &SessionError{r.From(), "refused"}
		case s.filter.Ours(&r) && r.TCP.Flags.Has(packet.SYN|packet.ACK):
			s.SessionState, s.ttl = answered(&r.TCP), r.IP.TTL
			s.filter = NewSessionFilter(s.src, s.dst, s.Next, s.Ack)
			return nil
		case r.Kind != packet.KindTCP && r.Kind != packet.KindOther && q.SrcPort == s.src.Port() && q.DstPort == s.dst.Port():
			return &SessionError{r.From(), fmt.Sprintf("%v (code %d)", r.Kind, r.Code)}
		}
	}
}

// answered is how a connection stands after this SYN+ACK.
func answered(t *packet.TCP) SessionState {
	s := SessionState{Next: t.Ack, Ack: t.Seq + 1, SACK: t.Options.SACKPermitted()}
	if val, ecr, ok := t.Options.Timestamps(); ok {
		s.Timestamps, s.TSecr, s.TSval = true, val, ecr-older
	}
	return s
}

// older is how far behind the kernel's the timestamps of probes begin. Later ones would make the target take the
// kernel's own segments for old (PAWS, RFC 7323 5.3); an old one is answered all the same, and changes nothing.
const older = 1 << 16

// established waits until the kernel holds the connection to be open.
func (s *Session) established(ctx context.Context) error {
	for {
		info, err := unix.GetsockoptTCPInfo(s.fd, unix.SOL_TCP, unix.TCP_INFO)
		switch {
		case err != nil:
			return opError("connection", nil, err)
		case info.State == tcpClose:
			return &SessionError{s.dst.Addr().WithZone(""), "reset"}
		case info.State != tcpSynSent && info.State != tcpSynRecv:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		wait := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		step := unix.NsecToTimespec(int64(10 * time.Millisecond)) // the local firewall may keep the answer from the kernel
		if _, err := unix.Ppoll(wait, &step, nil); err != nil && err != unix.EINTR {
			return opError("connection", nil, err)
		}
	}
}

// Recv is that of [Conn.Recv], without what the target sends of its own accord. When the connection is reset, the
// error is a [SessionError]: what is sent in it from then on would be answered by resets.
func (s *Session) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := s.Conn.Recv(ctx, buf)
		if err != nil {
			return n, at, err
		}
		switch s.filter.Judge(buf[:n]) {
		case SessionAnswer:
			return n, at, nil
		case SessionReset:
			return 0, time.Time{}, &SessionError{s.dst.Addr().WithZone(""), "reset"}
		}
	}
}

// Closed reports whether the target has closed its side of the connection. It must not be called beside Recv.
func (s *Session) Closed() bool { return s.filter.Closed() }

// TTL is the TTL of the target's answer to the SYN.
func (s *Session) TTL() uint8 { return s.ttl }

// Send is that of [Conn.Send].
func (s *Session) Send(p packet.Probe) (sent time.Time, err error) {
	s.filter.Sent(p)
	return s.Conn.Send(p)
}

// Close ends the connection as programs do. The Conn that it belongs to stays open.
func (s *Session) Close() error {
	// What was not read would make the kernel reset it.
	var b [4096]byte
	for {
		n, err := unix.Read(s.fd, b[:])
		if err == unix.EINTR || n > 0 {
			continue
		}
		break
	}
	err := opError("closing", nil, unix.Close(s.fd))
	return errors.Join(err, s.setOpening(false)) // or answers to probes of other flows would be heard twice
}
