package names

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestReverse(t *testing.T) {
	const first = "1.0.18.198.in-addr.arpa."
	ok := dnsmessage.Header{}
	for _, tt := range []struct {
		what    string
		addr    string // 198.18.0.1 if not given
		asked   string // first if not given
		header  dnsmessage.Header
		answers []rr
		want    string
	}{
		{what: "a name", answers: []rr{domain("gw", "example")}, want: "gw.example"},
		{what: "several", answers: []rr{domain("b", "example"), domain("a", "example")}, want: "b.example"},
		{
			what: "IPv6", addr: "2001:db8::1",
			asked:   "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
			answers: []rr{domain("six", "example")}, want: "six.example",
		},
		{
			what: "link-local with a zone", addr: "fe80::1%eth0",
			asked:   "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa.",
			answers: []rr{domain("near", "example")}, want: "near.example",
		},
		{what: "IPv4-mapped", addr: "::ffff:198.18.0.1", answers: []rr{domain("gw", "example")}, want: "gw.example"},
		{what: "NXDOMAIN", header: dnsmessage.Header{RCode: dnsmessage.RCodeNameError}},
		{what: "SERVFAIL", header: dnsmessage.Header{RCode: dnsmessage.RCodeServerFailure}},
		{what: "no record", header: ok},
		{what: "underscore and punycode", answers: []rr{domain("_x", "xn--bcher-kva", "example")}, want: "_x.xn--bcher-kva.example"},
		{what: "63 bytes of label", answers: []rr{domain(strings.Repeat("a", 63), "example")}, want: strings.Repeat("a", 63) + ".example"},

		// What no host is called doesn't even get here.
		{what: "escape sequence", answers: []rr{domain("\x1b[2J\x1b]0;owned\a", "example")}},
		{what: "C1 control", answers: []rr{domain("\u009b2J", "example")}},
		{what: "newline", answers: []rr{domain("a\n 9  bank", "example")}},
		{what: "NUL", answers: []rr{domain("a\x00b", "example")}},
		{what: "bidi", answers: []rr{domain("\u202eelpmaxe", "example")}},
		{what: "not UTF-8", answers: []rr{domain("\xff\xfe", "example")}},
		{what: "shell", answers: []rr{domain("$(id)", "example")}},
		{what: "markup", answers: []rr{domain("<script>", "example")}},
		{what: "formula", answers: []rr{domain("=cmd|", "example")}},
		{what: "a dot inside a label", answers: []rr{domain("www.bank", "example")}},
		{what: "an address for a name", answers: []rr{domain("192", "0", "2", "1")}},
		{what: "a zone for a name", answers: []rr{domain("eth0%", "example")}},
		{what: "the root", answers: []rr{domain()}},
		{what: "hostile, then fit", answers: []rr{domain("\x1b[2J"), domain("gw", "example")}, want: "gw.example"},
		{what: "4 KiB", answers: []rr{domain(slices.Repeat([]string{strings.Repeat("a", 63)}, 64)...)}},
		{what: "pointer to itself", answers: []rr{{0xc0, 12 + byte(len(first)) + 1 + 4 + 12}}},
		{what: "pointer beyond the end", answers: []rr{{0xff, 0xff}}},
		{what: "label cut short", answers: []rr{{63, 'a', 'b'}}},
		{what: "nothing at all", answers: []rr{{}}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if tt.addr == "" {
				tt.addr = "198.18.0.1"
			}
			if tt.asked == "" {
				tt.asked = first
			}
			s := newNameServer(t, func(id uint16, q dnsmessage.Question, _ bool) []byte {
				if q.Name.String() != tt.asked || q.Type != dnsmessage.TypePTR {
					t.Errorf("asked for %v %v, want PTR %v", q.Type, q.Name, tt.asked)
				}
				return reply(id, q, tt.header, tt.answers...)
			})
			// The budget is not what is tested here.
			r := New(Options{Policy: All, Budget: time.Minute, Dial: s.dial})
			defer r.Close()
			if got := r.Name(t.Context(), netip.MustParseAddr(tt.addr)); got != tt.want {
				t.Errorf("Name = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReverseOverTCP(t *testing.T) {
	s := newNameServer(t, func(id uint16, q dnsmessage.Question, tcp bool) []byte {
		if !tcp {
			return reply(id, q, dnsmessage.Header{Truncated: true})
		}
		return reply(id, q, dnsmessage.Header{}, domain("long", "example"))
	})
	r := New(Options{Budget: time.Minute, Dial: s.dial})
	defer r.Close()
	if got := r.Name(t.Context(), addr(1)); got != "long.example" {
		t.Errorf("Name = %q, want long.example", got)
	}
}

func TestNoNameServer(t *testing.T) {
	r := New(Options{Budget: time.Minute, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("operation not permitted")
	}})
	defer r.Close()
	if got := r.Name(t.Context(), addr(1)); got != "" {
		t.Errorf("Name = %q", got)
	}
	if r := New(Options{}); r.system.dial == nil || r.lookup == nil {
		t.Error("without options there is no way to look up")
	}
}

// stuck is a connection without a time limit: only its end makes a Read return.
// Its first Close waits for release.
type stuck struct {
	net.Conn
	closing chan<- struct{}
	release <-chan struct{}
	closed  *atomic.Bool
}

func (stuck) SetDeadline(time.Time) error { return nil }

func (c stuck) Close() error {
	first := !c.closed.Swap(true)
	err := c.Conn.Close()
	if first {
		c.closing <- struct{}{}
		<-c.release
	}
	return err
}

// stuckPacket is the same for datagrams.
type stuckPacket struct {
	stuck
	net.PacketConn
}

func (c stuckPacket) Close() error                       { return c.stuck.Close() }
func (c stuckPacket) LocalAddr() net.Addr                { return c.stuck.LocalAddr() }
func (c stuckPacket) SetDeadline(t time.Time) error      { return c.stuck.SetDeadline(t) }
func (c stuckPacket) SetReadDeadline(t time.Time) error  { return c.stuck.SetReadDeadline(t) }
func (c stuckPacket) SetWriteDeadline(t time.Time) error { return c.stuck.SetWriteDeadline(t) }

// testCancel lets a look-up run into silence, ends it, and checks that what runs
// it returns, but not before the last of its goroutines is through.
func testCancel(t *testing.T, run func(Options) (wait, cancel func())) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			asked := make(chan struct{}, 1)
			s := newNameServer(t, func(id uint16, q dnsmessage.Question, tcp bool) []byte {
				if network == "tcp" && !tcp {
					return reply(id, q, dnsmessage.Header{Truncated: true})
				}
				asked <- struct{}{}
				return nil
			})
			closing, release := make(chan struct{}), make(chan struct{})
			wait, cancel := run(Options{Dial: func(ctx context.Context, via, address string) (net.Conn, error) {
				c, err := s.dial(ctx, via, address)
				if err != nil || via != network {
					return c, err
				}
				st := stuck{c, closing, release, new(atomic.Bool)}
				if u, ok := c.(*net.UDPConn); ok {
					return stuckPacket{st, u}, nil
				}
				return st, nil
			}})
			done := make(chan struct{})
			<-asked
			go cancel()
			go func() {
				defer close(done)
				wait()
			}()
			select {
			case <-closing:
			case <-time.After(30 * time.Second): // not a measurement: it would be never
				t.Fatal("the connection stays open")
			}
			for range 1000 {
				runtime.Gosched()
			}
			select {
			case <-done:
				t.Error("returned while a goroutine was still there")
			default:
			}
			close(release)
			<-done
		})
	}
}

func TestCloseCancelsALookupUnderWay(t *testing.T) {
	testCancel(t, func(o Options) (wait, cancel func()) {
		r := New(o)
		r.Start(addr(1))
		return func() {
			r.Close()
			if got := r.Name(t.Context(), addr(1)); got != "" {
				t.Errorf("Name = %q", got)
			}
		}, func() {}
	})
}

func TestHostCancelled(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, family := range []Family{Any, IPv4} {
		testCancel(t, func(o Options) (wait, cancel func()) {
			r := New(o)
			ctx, stop := context.WithCancelCause(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				addrs, err := r.Host(ctx, "silent.test.", family)
				if addrs != nil || !errors.Is(err, interrupted) {
					t.Errorf("Host = %v, %v; want the cause of the context's end", addrs, err)
				}
			}()
			return func() { <-done }, func() { stop(interrupted) }
		})
	}
}

// A name server that can't even be connected to.
func TestHostCancelledWhileDialling(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	r := New(Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the time limit of resolv.conf is lost")
		}
		once.Do(cancel)
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("dialling ended with %v, not when the caller said so", ctx.Err())
		}
		return nil, ctx.Err()
	}})
	defer r.Close()
	if addrs, err := r.Host(ctx, "any.test.", Any); !errors.Is(err, context.Canceled) {
		t.Errorf("Host = %v, %v; want %v", addrs, err, context.Canceled)
	}
	// An address takes no look-up, so there is nothing to cancel.
	if addrs, err := r.Host(ctx, "192.0.2.1", Any); err != nil || len(addrs) != 1 {
		t.Errorf("Host = %v, %v", addrs, err)
	}
}

// /etc/hosts comes first, as the system has it.
func TestHostsFile(t *testing.T) {
	r := New(Options{Budget: time.Minute, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network")
	}})
	defer r.Close()
	addrs, err := r.Host(t.Context(), "localhost", IPv4)
	if err != nil {
		t.Skipf("this machine's /etc/hosts has no localhost: %v", err)
	}
	for _, a := range addrs {
		if !a.Is4() || !a.IsLoopback() {
			t.Errorf("localhost is %v", addrs)
		}
		if r.Name(t.Context(), a) == "" {
			t.Errorf("%v has no name, though /etc/hosts has it", a)
		}
	}
}

// A connection may be closed more than once, before and after its context ends.
func TestCloseTwice(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		here, there := net.Pipe()
		c := closeWhenDone(ctx, here)
		if cancelled {
			cancel()
		}
		c.Close()
		cancel()
		c.Close()
		if _, err := there.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still open")
		}
		there.Close()
	}
}
