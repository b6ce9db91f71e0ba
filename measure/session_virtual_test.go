package measure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// insideSim is a connection to a simulated target, as wire.Session has one to a real one.
type insideSim struct {
	*sim.Conn
	filter *wire.SessionFilter
}

func (c *insideSim) Send(p packet.Probe) (time.Time, error) {
	c.filter.Sent(p)
	return c.Conn.Send(p)
}

func (c *insideSim) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := c.Conn.Recv(ctx, buf)
		if err != nil {
			return n, at, err
		}
		switch c.filter.Judge(buf[:n]) {
		case wire.SessionAnswer:
			return n, at, nil
		case wire.SessionReset:
			return 0, time.Time{}, &wire.SessionError{Why: "reset"}
		}
	}
}

// openSim opens the connection.
func openSim(t *testing.T, conn *sim.Conn, from, to netip.AddrPort) (s trace.Session, ttl uint8) {
	t.Helper()
	syn := packet.Probe{Src: from, Dst: to, TTL: 64, ID: 1, Seq: 1000, Flags: packet.SYN, Window: 65000}
	if _, err := conn.Send(syn); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, _, err := conn.Recv(t.Context(), buf)
	var r packet.Reply
	if err = errors.Join(err, packet.Parse(buf[:n], &r)); err != nil || !r.TCP.Flags.Has(packet.SYN|packet.ACK) {
		t.Fatalf("%v: %+v", err, r)
	}
	ack := packet.Probe{Src: from, Dst: to, TTL: 64, ID: 2, Seq: 1001, Ack: r.TCP.Seq + 1, Flags: packet.ACK, Window: 65000}
	if _, err := conn.Send(ack); err != nil {
		t.Fatal(err)
	}
	return trace.Session{Next: 1001, Ack: r.TCP.Seq + 1}, r.IP.TTL
}

// TestSessionsEnd: a connection may be closed, reset or swallowed at any instant of a trace inside it. The target is never shown
// where it isn't, nor with another state, and what isn't shown is known to be missing.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	kept, left := 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		p := sim.Path{Target: sim.Target{Addr: netip.MustParseAddr("203.0.113.5")}}
		p.Target.Delay = time.Millisecond
		for hop := range rng.IntN(12) {
			r := sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(hop + 1)})}}
			r.Delay = time.Duration(rng.IntN(20_000)) * time.Microsecond
			r.Jitter = r.Delay / 4
			if rng.IntN(6) == 0 {
				r.Silent = 1
			}
			p.Routers = append(p.Routers, r)
		}
		far := 2 * p.Target.Delay
		for _, r := range p.Routers {
			far += 2 * (r.Delay + r.Jitter)
		}
		after := 1 + time.Duration(rng.Int64N(int64(4*far)))
		what := ""
		switch seed % 4 {
		case 0:
			p.Target.Closes, what = after, "closes"
		case 1:
			p.Target.Resets, what = after, "resets"
		case 2:
			silent := append([]sim.Router(nil), p.Routers...)
			if len(silent) > 0 {
				what = "is swallowed"
				silent[rng.IntN(len(silent))].Rules = []sim.Rule{{Action: sim.Drop, Hi: 65535}}
				p.Changes = []sim.Change{{Time: far + after, Routers: silent}}
			}
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				model, err := sim.New(sim.Scenario{Seed: seed, NoHostRST: true, Paths: []sim.Path{p}})
				if err != nil {
					t.Fatal(err)
				}
				conn := sim.NewConn(model)
				defer conn.Close()
				from, to := netip.MustParseAddrPort("192.0.2.250:40000"), netip.AddrPortFrom(p.Target.Addr, 80)
				session, ttl := openSim(t, conn, from, to)
				o := trace.PathOptions{Source: from, Target: to, Session: &session, Rand: rng}
				plan, err := trace.NewPath(o)
				if err != nil {
					t.Fatal(err)
				}
				in := &insideSim{conn, wire.NewSessionFilter(from, to, session.Next, session.Ack)}
				folded := trace.NewTrace(o)
				_, err = trace.Run(t.Context(), in, plan, trace.Options{}, folded.Add)
				folded.Finish()
				if err == nil {
					err = trace.CheckSession(folded, in.filter.Closed(), ttl)
				} else if lostSession(err) == nil {
					t.Fatal(err)
				}
				if err != nil {
					if left++; what == "" || what == "closes" {
						t.Errorf("left: %v", err)
					}
					return
				}
				kept++
				at := len(p.Routers) + 1
				for h := range folded.Hops() {
					for _, r := range h.Probes {
						if r.FromTarget() && (h.TTL != at || !r.Connected()) {
							t.Errorf("the target at hop %d, state %v", h.TTL, r.Reply.TCP.Flags)
						}
					}
				}
				if folded.Last() != at {
					t.Errorf("the last hop is %d", folded.Last())
				}
			})
			if t.Failed() {
				t.Logf("target at hop %d, up to %v away: %s after %v", len(p.Routers)+1, far, what, after)
			}
		})
	}
	if kept < 100 || left < 30 {
		t.Errorf("%d traces were kept, %d were left", kept, left)
	}
}
