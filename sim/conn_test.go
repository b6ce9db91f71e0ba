package sim

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
)

// network is what programs above expect of a Conn.
type network interface {
	Send(p packet.Probe) (sent time.Time, err error)
	Recv(ctx context.Context, buf []byte) (n int, received time.Time, err error)
}

var _ network = (*Conn)(nil)

func TestConn(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		synctest.Test(t, func(t *testing.T) {
			c := NewConn(f.network(t, "router $1 delay=10ms\nrouter $2 delay=3s\ntarget $T"))
			defer c.Close()
			time.Sleep(time.Minute)
			far, err := c.Send(f.syn(2))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(ms(5))
			near, err := c.Send(f.syn(1))
			if err != nil || !near.Equal(time.Now()) || near.Sub(far) != ms(5) {
				t.Fatalf("sent %v after the other: %v", near.Sub(far), err)
			}
			buf := make([]byte, 1500)
			for _, want := range []struct {
				from string
				rtt  time.Duration
				sent time.Time
			}{{"$1", ms(20), near}, {"$2", ms(6020), far}} {
				n, received, err := c.Recv(t.Context(), buf)
				if err != nil {
					t.Fatal(err)
				}
				var r packet.Reply
				if err := packet.Parse(buf[:n], &r); err != nil {
					t.Fatal(err)
				}
				if r.From() != f.addr(want.from) || received.Sub(want.sent) != want.rtt || !received.Equal(time.Now()) {
					t.Errorf("from %v, %v after it was sent, %v ago", r.From(), received.Sub(want.sent), time.Since(received))
				}
			}
			if truth := c.Truth(0); truth.Sent != 2 {
				t.Errorf("truth %+v", truth)
			}
		})
	})
}

// A packet that has waited for Recv still has the time of its arrival.
func TestConnRecvLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1 delay=10ms\ntarget $T delay=20ms"))
		defer c.Close()
		sent, _ := c.Send(f.syn(2))
		time.Sleep(time.Second)
		_, received, err := c.Recv(t.Context(), make([]byte, 1500))
		if err != nil || received.Sub(sent) != ms(60) {
			t.Errorf("received after %v: %v", received.Sub(sent), err)
		}
		// Meanwhile the host's kernel has reset the connection, at its own time.
		if truth := c.Truth(0).Target; truth.RST != 1 || truth.Retransmitted != 0 {
			t.Errorf("truth %+v", truth)
		}
	})
}

func TestConnSendWakesRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1 delay=1ms\nrouter $2 delay=1s\ntarget $T"))
		defer c.Close()
		start := time.Now()
		if _, err := c.Send(f.syn(2)); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(ms(10))
			if _, err := c.Send(f.syn(1)); err != nil {
				t.Error(err)
			}
		}()
		_, received, err := c.Recv(t.Context(), make([]byte, 1500))
		if err != nil || received.Sub(start) != ms(12) || !received.Equal(time.Now()) {
			t.Errorf("received at %v, now it is %v: %v", received.Sub(start), time.Since(start), err)
		}
	})
}

func TestConnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1 delay=1ms\ntarget $T"))
		defer c.Close()
		buf := make([]byte, 1500)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), ms(50))
		defer cancel()
		if _, _, err := c.Recv(ctx, buf); err != context.DeadlineExceeded || time.Since(start) != ms(50) {
			t.Errorf("idle: %v after %v", err, time.Since(start))
		}
		// What arrives at the very end of the context is received.
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), ms(2))
			if _, err := c.Send(f.syn(1)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Recv(ctx, buf); err != nil {
				t.Fatalf("at the end: %v", err)
			}
			if _, _, err := c.Recv(ctx, buf); err != context.DeadlineExceeded {
				t.Fatalf("after the end: %v", err)
			}
			cancel()
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(ms(1), cancel)
		if _, _, err := c.Recv(ctx, buf); err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestConnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1\ntarget $T"))
		time.AfterFunc(ms(1), func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		buf := make([]byte, 1500)
		if _, _, err := c.Recv(t.Context(), buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("waiting: %v", err)
		}
		if _, _, err := c.Recv(t.Context(), buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if _, err := c.Send(f.syn(1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if n := len(c.Sent()); n != 0 {
			t.Errorf("%d sent", n)
		}
	})
}

func TestConnFailSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1\ntarget $T"))
		defer c.Close()
		c.FailSend(func(n int, p packet.Probe) error {
			switch {
			case n == 1:
				return syscall.EPERM
			case p.TTL == 7:
				return syscall.ENOBUFS
			}
			return nil
		})
		four6 := f.syn(1)
		four6.Dst = netip.MustParseAddrPort("[2001:db8::1]:80")
		elsewhere := f.syn(1)
		elsewhere.Dst = netip.MustParseAddrPort("192.0.2.99:80")
		probes := []packet.Probe{f.syn(1), f.syn(1), f.syn(7), f.syn(1), four6, elsewhere}
		want := []error{nil, syscall.EPERM, syscall.ENOBUFS, nil, packet.ErrAddress, ErrNoRoute}
		for i, p := range probes {
			time.Sleep(ms(1))
			at, err := c.Send(p)
			if !errors.Is(err, want[i]) || !at.Equal(time.Now()) {
				t.Errorf("send %d: %v", i, err)
			}
		}
		c.FailSend(nil)
		if _, err := c.Send(f.syn(7)); err != nil {
			t.Error(err)
		}
		if truth := c.Truth(0); truth.Sent != 3 {
			t.Errorf("%d sent", truth.Sent)
		}
		for i, s := range c.Sent()[:6] {
			if s.Probe != probes[i] || !errors.Is(s.Err, want[i]) || time.Since(s.At) != ms(5-i) {
				t.Errorf("list of the sent, %d: %+v", i, s)
			}
		}
	})
}

func TestConnForge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "target $T"))
		defer c.Close()
		start := time.Now()
		b, _ := f.probeBytes(f.syn(33))
		time.AfterFunc(ms(1), func() {
			c.Forge(start.Add(ms(5)), b)
			c.Forge(start, b) // has passed: now
		})
		buf := make([]byte, 1500)
		for _, want := range []time.Duration{ms(1), ms(5)} {
			n, received, err := c.Recv(t.Context(), buf)
			if err != nil || string(buf[:n]) != string(b) || received.Sub(start) != want || time.Since(start) != want {
				t.Errorf("% x at %v: %v", buf[:n], received.Sub(start), err)
			}
		}
	})
}

// At one instant, what was caused first comes first, whether or not anybody has
// looked since.
func TestConnForgeKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := families[0]
		c := NewConn(f.network(t, "router $1 delay=5ms\ntarget $T"))
		defer c.Close()
		sent, _ := c.Send(f.syn(1))
		time.Sleep(ms(7))
		b, _ := f.probeBytes(f.syn(33))
		c.Forge(sent.Add(ms(10)), b)
		buf := make([]byte, 1500)
		if n, _, err := c.Recv(t.Context(), buf); err != nil || string(buf[:n]) == string(b) {
			t.Errorf("the forged one came first: %v", err)
		}
	})
}

// The same outside of a bubble, with the real clock.
func TestConnRealTime(t *testing.T) {
	f := families[0]
	c := NewConn(f.network(t, "router $1 delay=1ms\ntarget $T"))
	buf := make([]byte, 1500)
	sent, err := c.Send(f.syn(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, received, err := c.Recv(t.Context(), buf); err != nil || received.Sub(sent) != ms(2) || time.Since(sent) < ms(2) {
		t.Errorf("received %v after it was sent: %v", received.Sub(sent), err)
	}
	time.AfterFunc(ms(1), func() { c.Close() })
	if _, _, err := c.Recv(t.Context(), buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
