package trace_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// deafConn loses refusals of probes with some TTLs, as a limit on ICMP errors does that others have used up.
type deafConn struct {
	*sim.Conn
	lost map[uint8]bool
	ttls *sync.Map // of probes by IP ID; one goroutine sends, another receives
}

// Send implements trace.Conn.
func (c deafConn) Send(p packet.Probe) (time.Time, error) {
	c.ttls.Store(p.ID, p.TTL)
	return c.Conn.Send(p)
}

// Recv implements trace.Conn.
func (c deafConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := c.Conn.Recv(ctx, buf)
		var r packet.Reply
		if err != nil || packet.Parse(buf[:n], &r) != nil || r.Kind != packet.KindUnreachable {
			return n, at, err
		}
		if ttl, known := c.ttls.Load(r.Quote.IP.ID); !known || !c.lost[ttl.(uint8)] {
			return n, at, err
		}
	}
}

// TestRefusalByQuote: how far away a refusal is tells its quote, where the refusals of nearer probes are missing. A quote that
// can't be right, or that contradicts another or a router, tells nothing.
func TestRefusalByQuote(t *testing.T) {
	t.Parallel()
	const refuses = 5 // the first TTL that is refused, by the router before
	for _, tt := range []struct {
		name   string
		quoted uint8 // in every quote; 0: as it was
		lost   []uint8
		spare  bool
		want   int
	}{
		{name: "all there", want: 5},
		{name: "first missing", lost: []uint8{5}, want: 5},
		{name: "two missing", lost: []uint8{5, 6}, want: 5},
		{name: "all near ones missing", lost: []uint8{5, 6, 7, 8, 9, 10, 11, 12}, want: 5},
		{name: "only scouts there", lost: []uint8{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, spare: true, want: 5},
		{name: "quotes 1", quoted: 1, lost: []uint8{5}, want: 6},
		{name: "quotes 255", quoted: 255, lost: []uint8{5}, want: 6},
		{name: "quotes always 2", quoted: 2, lost: []uint8{5}, want: 6},
		{name: "quotes always 4", quoted: 4, lost: []uint8{5, 6}, want: 7},
		{name: "quotes 1, all there", quoted: 1, want: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := chain(false, 9, 2*time.Millisecond)
			p.Routers[refuses-2].Rules = []sim.Rule{{Action: sim.Reject, Code: 13}}
			if tt.quoted > 0 {
				p.Routers[refuses-2].QuoteAs.TTL = &tt.quoted
			}
			s := newSetup(p)
			s.path.MaxTTL = 15
			if tt.spare {
				s.path.ProbePorts = []uint16{60000, 60001, 60002, 60003}
			}
			c := deafConn{ttls: new(sync.Map), lost: make(map[uint8]bool)}
			for _, ttl := range tt.lost {
				c.lost[ttl] = true
			}
			s.conn = func(conn *sim.Conn) trace.Conn {
				c.Conn = conn
				return c
			}
			if tt.spare { // those of distance probes, which have the highest TTL too, are heard
				s.conn = func(conn *sim.Conn) trace.Conn {
					c.Conn = conn
					return sparing{c}
				}
			}
			o := s.trace(t)
			if o.trace.Last() != tt.want || !o.trace.Reached() {
				t.Fatalf("the last hop is %d, want %d", o.trace.Last(), tt.want)
			}
			end := o.trace.Hop(tt.want)
			refused := 0
			for _, r := range end.Probes {
				if r.Refused() {
					refused++
				}
			}
			if refused == 0 || len(end.Probes) > 3 {
				t.Errorf("hop %d: %d probes, %d refused", tt.want, len(end.Probes), refused)
			}
			for ttl := 1; ttl < refuses; ttl++ {
				for _, r := range o.trace.Hop(ttl).Probes {
					if r.From() != address(false, ttl) {
						t.Errorf("hop %d: %v", ttl, r.From())
					}
				}
			}
		})
	}
}

// sparing hears the refusals of probes by other ports.
type sparing struct{ deafConn }

// Send implements trace.Conn.
func (c sparing) Send(p packet.Probe) (time.Time, error) {
	sent, err := c.deafConn.Send(p)
	if p.Src.Port() != source4.Port() {
		c.ttls.Delete(p.ID)
	}
	return sent, err
}

// TestRefusalInRounds: where the quotes tell that it is nearer, the rounds end there, and the figures too.
func TestRefusalInRounds(t *testing.T) {
	t.Parallel()
	p := chain(false, 9, 2*time.Millisecond)
	p.Routers[3].Rules = []sim.Rule{{Action: sim.Reject, Code: 13}}
	p.Routers[3].Rate = sim.Rate{Every: time.Second, Burst: 2}
	w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 10, nil)
	if w.stats.Last() != 5 || w.stats.Hop(5).State == nil {
		t.Errorf("the last hop is %d", w.stats.Last())
	}
	if from := w.stats.Hop(5).Responder(); from != address(false, 4) {
		t.Errorf("hop 5 is %v", from)
	}
	for _, r := range w.results {
		if r.Probe.TTL > 5 && r.N > 40 {
			t.Errorf("probe %d has TTL %d", r.N, r.Probe.TTL)
		}
	}
}
