package wire

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/trace"
)

// sourcer is what trace.Find wants of this host, by raw sockets or without.
type sourcer interface {
	trace.Conn
	trace.Faulter
	trace.Reserver
	trace.Timekeeper
	trace.Zoner
	Source(netip.AddrPort) (netip.AddrPort, error)
}

var _ trace.Connector = (*Unprivileged)(nil)

// What another program does that traces a path: open, ask for a source, find.
func TestSource(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 443)
	p.Source.Add(t, "route", "unreachable 198.18.99.0/24")
	open(t, p.Source, Options{}, func(c *Conn) { findBySource(t, p, c) })
	p.Source.Do(t, func() {
		c, err := OpenUnprivileged(Options{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		findBySource(t, p, c)
	})
}

func findBySource(t *testing.T, p *lab.Path, c sourcer) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, tt := range []struct {
		target netip.Addr
		hops   []netip.Addr
	}{
		{p.Target.V4(), []netip.Addr{p.Hop(1).V4(), p.Hop(2).V4(), p.Hop(3).V4()}},
		{p.Target.V6(), []netip.Addr{p.Hop(1).V6(), p.Hop(2).V6(), p.Hop(3).V6()}},
		{p.Links[0].B.LinkLocal.WithZone(p.Links[0].A.Name), []netip.Addr{p.Links[0].B.LinkLocal.WithZone(p.Links[0].A.Name)}},
	} {
		source, err := c.Source(port(tt.target, 443))
		if err != nil {
			t.Errorf("%v: %v", tt.target, err)
			continue
		}
		o := trace.PathOptions{Source: source, Target: port(tt.target, 443)}
		if _, connects := c.(trace.Connector); !connects && len(o.Prepare(c).ProbePorts) != trace.MostProbePorts {
			t.Errorf("%v: ports for distance probes: %v", tt.target, o.Prepare(c).ProbePorts)
		}
		if run := o.RunOptions(c); run.NewTimer() == nil || run.Fault == nil || run.Zone == "" {
			t.Errorf("%v: the engine lacks something: %+v", tt.target, run)
		}
		found, err := trace.Find(ctx, c, o)
		if err != nil {
			t.Errorf("%v: %v", tt.target, err)
			continue
		}
		var hops []netip.Addr
		for hop := range found.Hops() {
			for _, r := range hop.Probes {
				if !slices.Contains(hops, r.From()) {
					hops = append(hops, r.From())
				}
			}
		}
		if !slices.Equal(hops, tt.hops) || !found.Reached() {
			t.Errorf("%v: %v, want %v", tt.target, hops, tt.hops)
		}
	}
	if source, err := c.Source(port(netip.MustParseAddr("198.18.99.1"), 443)); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("%v, %v without a route", source, err)
	}
}
