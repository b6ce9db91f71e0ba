package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.example/tcptraceroute/packet"
)

// Conn is the host's connection to the network: raw sockets, as it were. What it
// blocks on are channels and timers, and its clock is time.Now, so that inside a
// testing/synctest bubble its time is virtual. It starts no goroutine.
//
// Its methods may be called from several goroutines, Recv from one at a time.
// A Conn must be made in the bubble where it is used.
type Conn struct {
	mu     sync.Mutex
	model  *Model
	start  time.Time // the model's time 0
	sent   []Sent
	fail   func(n int, p packet.Probe) error
	buf    []byte
	closed bool
	taken  bool // Recv has taken a packet and was not called again

	reserved uint16 // how many source ports were given out

	timer *time.Timer   // of Recv
	wake  chan struct{} // holds a token when something may be due earlier than it was
	done  chan struct{} // closed by Close
}

// Sent is one call of Send.
type Sent struct {
	Probe packet.Probe
	At    time.Time
	Err   error // what Send returned; the probe was then not sent
}

// NewConn connects the host to a network that has not been used yet. From now on
// the model belongs to the Conn.
func NewConn(m *Model) *Conn {
	timer := time.NewTimer(never)
	timer.Stop()
	return &Conn{model: m, start: time.Now(), timer: timer, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Connect connects the host to a network in the text form of this package.
func Connect(network string) (*Conn, error) {
	scenario, err := Parse(network)
	if err != nil {
		return nil, err
	}
	m, err := New(scenario)
	if err != nil {
		return nil, err
	}
	return NewConn(m), nil
}

// FailSend makes Send return the errors that fail returns for the n-th call of
// Send, counted from 0, of this probe; where that is nil, it is sent. A nil fail
// lets all pass again. It must not call the Conn.
func (c *Conn) FailSend(fail func(n int, p packet.Probe) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

// Send sends a probe now, and returns that instant. Errors: those of FailSend, of
// packet.Probe.AppendBinary, [ErrNoRoute], [net.ErrClosed].
func (c *Conn) Send(p packet.Probe) (sent time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return time.Time{}, fmt.Errorf("sim: send: %w", net.ErrClosed)
	}
	now := time.Now()
	err = c.send(p, now)
	c.sent = append(c.sent, Sent{p, now, err})
	return now, err
}

func (c *Conn) send(p packet.Probe, now time.Time) (err error) {
	if c.fail != nil {
		if err := c.fail(len(c.sent), p); err != nil {
			return err
		}
	}
	if c.buf, err = p.AppendBinary(c.buf[:0]); err != nil {
		return fmt.Errorf("sim: send: %w", err)
	}
	if err := c.model.Inject(now.Sub(c.start), c.buf); err != nil {
		return err
	}
	c.signal()
	return nil
}

// Forge lets the host receive a packet at an instant, or now where that has
// passed. Nobody on the path has sent it. It starts with its IP header.
func (c *Conn) Forge(at time.Time, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Since(c.start)
	c.model.run(now)
	c.model.Forge(max(now, at.Sub(c.start)), b)
	c.signal()
}

// signal lets Recv look again when the next packet is due.
func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Recv waits for the next packet and copies it into buf, cut to buf's length.
// received is the instant of its arrival, also where Recv is called later than
// that. What has arrived comes before the end of ctx, at the same instant too.
// Errors: that of ctx, [net.ErrClosed].
func (c *Conn) Recv(ctx context.Context, buf []byte) (n int, received time.Time, err error) {
	defer c.timer.Stop()
	c.untake()
	for {
		ended := ctx.Err() // before the look at what has arrived: that comes first
		n, due, wait, err := c.poll(buf)
		switch {
		case err == nil:
			return n, c.start.Add(due), nil
		case err != errNothing:
			return 0, time.Time{}, err
		case ended != nil:
			return 0, time.Time{}, ended
		case wait < never:
			c.timer.Reset(wait)
		}
		select {
		case <-c.timer.C:
		case <-c.wake:
		case <-ctx.Done():
		case <-c.done:
		}
	}
}

// Poll is Recv that doesn't wait: n is 0 where nothing has arrived, or Recv has
// taken a packet and was not called again. It may be called beside Recv.
func (c *Conn) Poll(buf []byte) (n int, received time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.taken {
		return 0, time.Time{}
	}
	n, due, ok := c.model.Receive(time.Since(c.start), buf)
	if !ok {
		return 0, time.Time{}
	}
	return n, c.start.Add(due)
}

const never = time.Duration(math.MaxInt64)

// errNothing says that nothing has arrived yet.
var errNothing = errors.New("nothing yet")

// poll takes a packet that has arrived, or tells how long it is until something
// happens.
func (c *Conn) poll(buf []byte) (n int, due, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, 0, 0, fmt.Errorf("sim: receive: %w", net.ErrClosed)
	}
	now := time.Since(c.start)
	if n, due, ok := c.model.Receive(now, buf); ok {
		c.taken = true
		return n, due, 0, nil
	}
	if next, ok := c.model.Next(); ok {
		return 0, 0, next - now, errNothing
	}
	return 0, 0, never, errNothing
}

// untake takes it that the packet that Recv has returned last is where it is read.
func (c *Conn) untake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = false
}

// Waiting reports whether a packet has arrived that Recv has not returned yet, or
// has returned last: it may be on the way still to where it is read.
func (c *Conn) Waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model.run(time.Since(c.start))
	return c.taken || c.model.ready.head != nil
}

// Sent returns all calls of Send so far, those that failed too.
func (c *Conn) Sent() []Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// Truth is [Model.Truth] at this instant.
func (c *Conn) Truth(path int) Truth {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model.run(time.Since(c.start))
	return c.model.Truth(path)
}

// Reserve gives out source ports, from 40001 on; a port that is asked for by its
// number is given. A simulated host has as many as are asked for.
func (c *Conn) Reserve(src netip.AddrPort) (uint16, error) {
	if src.Port() != 0 {
		return src.Port(), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved++
	return firstPort + c.reserved, nil
}

const firstPort = 40000

// Close makes Recv and Send return [net.ErrClosed]. It may be called again.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.done)
	}
	return nil
}
