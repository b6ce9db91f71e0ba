package names

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// system is Go's own resolver with the system's settings, made to obey contexts.
type system struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (s system) lookupAddr(ctx context.Context, addr string) ([]string, error) {
	return s.resolver(ctx, nil).LookupAddr(ctx, addr)
}

func (s system) lookupTXT(ctx context.Context, name string) ([]string, error) {
	return s.resolver(ctx, nil).LookupTXT(ctx, name)
}

// lookupNetIP is net.Resolver.LookupNetIP, but nothing of it is left running
// when it returns: net's own look-up goes on in a goroutine if its context ends
// early, so it gets one that doesn't, and fails for want of connections instead.
// No address is IPv4-mapped. What the servers say is noted in h.
func (s system) lookupNetIP(ctx context.Context, h *heard, network, host string) ([]netip.Addr, error) {
	addrs, err := s.resolver(ctx, h).LookupNetIP(context.WithoutCancel(ctx), network, host)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap() // net hands IPv4 out in either form
	}
	return addrs, err
}

// resolver returns a resolver whose connections live no longer than ctx. By
// itself net.Resolver looks at the context only between two exchanges, and waits
// out the time limit of resolv.conf, 5 s by default, for a server that is silent.
// h hears what comes; nil: nobody listens.
func (s system) resolver(ctx context.Context, h *heard) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(exchange context.Context, network, address string) (net.Conn, error) {
			dialing := ctx
			if deadline, ok := exchange.Deadline(); ok {
				var cancel context.CancelFunc
				dialing, cancel = context.WithDeadline(ctx, deadline)
				defer cancel()
			}
			c, err := s.dial(dialing, network, address)
			if err != nil {
				h.failed(err)
				return nil, err
			}
			return closeWhenDone(ctx, h.listen(c)), nil
		},
	}
}

// packetConn is what net.Resolver takes for a datagram connection: on any other
// it puts a length before each message (RFC 1035 section 4.2.2).
type packetConn interface {
	net.Conn
	net.PacketConn
}

type boundConn struct {
	net.Conn
	close func() error
}

func (c boundConn) Close() error { return c.close() }

type boundPacketConn struct {
	packetConn
	close func() error
}

func (c boundPacketConn) Close() error { return c.close() }

// closeWhenDone returns c, which is closed when ctx is done if it wasn't before.
func closeWhenDone(ctx context.Context, c net.Conn) net.Conn {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.Close()
		close(ended)
	})
	closeOnce := sync.OnceValue(func() error {
		if !stop() {
			<-ended // what ctx started must not outlive the connection either
		}
		return c.Close()
	})
	if p, ok := c.(packetConn); ok {
		return boundPacketConn{p, closeOnce}
	}
	return boundConn{c, closeOnce}
}
