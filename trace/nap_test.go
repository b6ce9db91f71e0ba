package trace

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// napping is a connection that is read by the engine too.
type napping struct {
	*sim.Conn
	naps, read int
	broken     error
}

func (c *napping) Nap(d time.Duration) {
	c.naps++
	time.Sleep(d)
}

func (c *napping) TryRecv(buf []byte) (int, time.Time, error) {
	if c.broken != nil {
		return 0, time.Time{}, c.broken
	}
	n, at := c.Poll(buf)
	if n > 0 {
		c.read++
	}
	return n, at, nil
}

// runMany traces so many targets with a pace.
func runMany(t *testing.T, net *many, targets int, run Options) error {
	t.Helper()
	g := NewGroup()
	folds := make([]*Trace, targets)
	for i := range folds {
		var plan *Path
		plan, folds[i] = net.path(i)
		g.Add(plan)
	}
	_, err := Run(t.Context(), net.conn, g, run, func(r Result) {
		i, r := g.Of(r)
		folds[i].Add(r)
	})
	if err == nil {
		for i, f := range folds {
			net.check(i, f)
		}
	}
	return err
}

// TestNaps: with many targets the engine looks now and then what there is to be read and to be sent, instead of waking for
// each packet, and sees the same.
func TestNaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMany(t, 100)
		defer net.conn.Close()
		conn := &napping{Conn: net.conn}
		if err := runMany(t, net, 100, Options{Pace: NewPace(4000, 16), Napper: conn}); err != nil {
			t.Fatal(err)
		}
		sent := net.conn.Sent()
		checkPace(t, sent, 4000, 16)
		instants := 1
		for i := range sent[1:] {
			if sent[i+1].At.After(sent[i].At) {
				instants++
			}
		}
		if conn.naps == 0 || conn.read == 0 || instants > len(sent)/3 {
			t.Errorf("%d packets left at %d instants; %d naps, %d packets read by the engine", len(sent), instants, conn.naps,
				conn.read)
		}
	})
}

// TestNapEndsWithTheConnection: an error that the engine meets itself ends the run.
func TestNapEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMany(t, 10)
		defer net.conn.Close()
		broken := errors.New("reset")
		conn := &napping{Conn: net.conn, broken: broken}
		if err := runMany(t, net, 10, Options{Pace: NewPace(4000, 16), Napper: conn}); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

// TestSentTogether: of several probes that are to leave together, those behind one that can't be sent wait as all do.
func TestSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMany(t, 50)
		defer net.conn.Close()
		const failing = 7
		net.conn.FailSend(func(n int, _ packet.Probe) error {
			if n == failing {
				return errors.New("no buffer space")
			}
			return nil
		})
		if err := runMany(t, net, 50, Options{Pace: NewPace(4000, 16)}); err != nil {
			t.Fatal(err)
		}
		sent := net.conn.Sent()
		if sent[failing].Err == nil || sent[failing-1].At.Before(sent[failing].At) {
			t.Fatalf("%+v and %+v did not leave together", sent[failing-1], sent[failing])
		}
		if pause := sent[failing+1].At.Sub(sent[failing].At); pause < sendErrorPause {
			t.Errorf("the next probe leaves %v later", pause)
		}
	})
}

// TestDecidedAfter: of two probes that were decided on one after the other, the second may be taken for a repetition of the
// first, however late the first left.
func TestDecidedAfter(t *testing.T) {
	target := netip.MustParseAddrPort("198.18.0.1:80")
	p, err := NewPath(PathOptions{Source: src4, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	p.controlled, p.learning = 9, &ask{ttl: 8, sent: sentAt}
	r := Result{Outcome: Answered, Probe: packet.Probe{Src: src4, Dst: target, TTL: 8},
		Sent: sentAt.Add(300 * time.Microsecond), Recv: sentAt.Add(20 * time.Millisecond)}
	for after, want := range map[time.Duration]bool{-time.Microsecond: false, 200 * time.Microsecond: true} {
		second := &ask{ttl: 5, sent: sentAt.Add(after), key: packet.Key{Port: src4.Port()}}
		if got := p.takenForResend(second, r); got != want {
			t.Errorf("decided on %v after the other: %v", after, got)
		}
	}
}
