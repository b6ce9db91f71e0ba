package trace_test

import (
	"context"
	"flag"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var copies = flag.Int("copies", 1_000_000, "how many copies of an answer TestCopies sends")

// copyingConn gets, behind each answer, many that may be its copies: what change makes of them.
type copyingConn struct {
	*sim.Conn
	change func(n int, b []byte)
	total  int
	burst  int
	sent   int
	left   int // of this burst
	last   []byte
	at     time.Time
}

// Recv implements trace.Conn.
func (c *copyingConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	if c.left > 0 && c.sent < c.total && ctx.Err() == nil {
		c.left--
		c.sent++
		n := copy(buf, c.last)
		c.change(c.sent, buf[:n])
		return n, c.at.Add(time.Duration(c.burst - c.left)), nil // no packet is seen twice at one instant
	}
	n, at, err := c.Conn.Recv(ctx, buf)
	if err == nil {
		c.last, c.at, c.left = append(c.last[:0], buf[:n]...), at, c.burst
	}
	return n, at, err
}

// TestCopies: whoever answers probes a million times, or nearly answers them, costs no memory. All are counted, and of each probe
// the first few are told.
func TestCopies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(n int, b []byte)
		count  func(c trace.Counts) int
		most   int // notices of a probe
	}{
		{"copies", func(int, []byte) {}, func(c trace.Counts) int { return c.Duplicates }, 3},
		{"copies from anywhere", func(n int, b []byte) { readdress(b, uint16(n)) },
			func(c trace.Counts) int { return c.Duplicates + c.Unrelated + c.NearMisses }, 16},
		{"damaged", func(_ int, b []byte) { b[len(b)-1] ^= 1 }, func(c trace.Counts) int {
			return c.Duplicates + c.NearMisses + c.BadChecksum + c.Unrelated
		}, 3},
		{"malformed", func(_ int, b []byte) { b[0] = 0x1f }, func(c trace.Counts) int { return c.Malformed }, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			total := *copies / 4
			s := newSetup(chain(false, 6, 5*time.Millisecond))
			s.conn = func(c *sim.Conn) trace.Conn {
				return &copyingConn{Conn: c, change: tt.change, total: total, burst: total / 8}
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			o := s.trace(t)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
				t.Errorf("%d bytes more on the heap", grown)
			}
			runtime.KeepAlive(o)
			o.wantHops(t, 3, route(false, 6)...)
			if n := tt.count(o.counts); n < total {
				t.Errorf("%d of %d are counted: %+v", n, total, o.counts)
			}
			told := make(map[int]int)
			for _, r := range o.results {
				if !r.Outcome.Final() {
					told[r.N]++
				}
			}
			for n, notices := range told {
				if notices > tt.most {
					t.Errorf("%d notices of probe %d", notices, n)
				}
			}
			if tt.name != "malformed" && tt.name != "damaged" && len(told) == 0 {
				t.Error("nobody is told of any")
			}
			if all := o.counts.Duplicates + o.counts.Late; len(told) > 0 && o.counts.Repeats == 0 && all > 1000 {
				t.Errorf("%d repeats of %d", o.counts.Repeats, all)
			}
		})
	}
}

// readdress gives a packet another sender, with a checksum that fits.
func readdress(b []byte, n uint16) {
	b[12], b[13], b[14], b[15] = 198, 19, byte(n>>8), byte(n)
	b[10], b[11] = 0, 0
	sum := packet.Checksum(b[:20])
	b[10], b[11] = byte(sum>>8), byte(sum)
}

// TestEveryKindOfNoticeIsTold: copies of one answer don't hide another one.
func TestEveryKindOfNoticeIsTold(t *testing.T) {
	s := newSetup(chain(false, 6, 5*time.Millisecond))
	s.conn = func(c *sim.Conn) trace.Conn {
		return &copyingConn{Conn: c, total: 1000, burst: 100, change: func(n int, b []byte) {
			if n%100 == 99 {
				readdress(b, 7)
			}
		}}
	}
	o := s.trace(t)
	if !slices.ContainsFunc(o.results, func(r trace.Result) bool {
		return r.Outcome == trace.Duplicate && r.Reply.IP.Src.String() == "198.19.0.7"
	}) {
		t.Error("the answer of another router, behind many copies of the first, is told to nobody")
	}
}

// TestManyProbes: of very many probes not even the first few copies are all told.
func TestManyProbes(t *testing.T) {
	s := newSetup(chain(false, 6, 5*time.Millisecond))
	s.path.Queries = 255
	s.conn = func(c *sim.Conn) trace.Conn {
		return &copyingConn{Conn: c, change: func(int, []byte) {}, total: 1 << 20, burst: 10}
	}
	o := s.trace(t)
	told := 0
	for _, r := range o.results {
		if !r.Outcome.Final() {
			told++
		}
	}
	most := 2048 * (1 + int(o.took/(15*time.Second))) // so long a probe is remembered
	if probes := len(o.results) - told; probes < 1500 || told > most || told < 2000 {
		t.Errorf("%d notices of %d probes, in %v", told, probes, o.took)
	}
}
