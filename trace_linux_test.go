package tcptraceroute_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute"
	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/wire"
)

func TestMain(m *testing.M) { lab.Main(m) }

// The front door leads through a network of real routers, over IPv4 and IPv6, to a port that is open and one that is
// not.
func TestTrace(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 443)
	p.Source.Add(t, "route", "unreachable 198.18.99.0/24")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p.Source.Do(t, func() {
		for _, tt := range []struct {
			host string
			port uint16
			hops []netip.Addr
		}{
			{p.Target.V4().String(), 443, []netip.Addr{p.Hop(1).V4(), p.Hop(2).V4(), p.Hop(3).V4()}},
			{p.Target.V6().String(), 0, []netip.Addr{p.Hop(1).V6(), p.Hop(2).V6(), p.Hop(3).V6()}},
		} {
			found, err := tcptraceroute.Trace(ctx, tt.host, tcptraceroute.Options{Port: tt.port})
			if err != nil {
				t.Errorf("%s: %v", tt.host, err)
				continue
			}
			var hops []netip.Addr
			for hop := range found.Hops() {
				hops = append(hops, hop.Probes[0].From())
			}
			if !found.Reached() || !slices.Equal(hops, tt.hops) {
				t.Errorf("%s: hops %v, want %v", tt.host, hops, tt.hops)
			}
		}
		for _, tt := range []struct {
			host string
			want error
		}{
			{"198.18.99.1", syscall.EHOSTUNREACH},
			{"fe80::1%nowhere", syscall.ENODEV},
		} {
			if found, err := tcptraceroute.Trace(ctx, tt.host, tcptraceroute.Options{}); found != nil ||
				!errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.host, err, tt.want)
			}
		}
		none := tcptraceroute.Options{Wire: wire.Options{Interface: "nowhere"}}
		if found, err := tcptraceroute.Trace(ctx, "198.18.3.2", none); found != nil || err == nil {
			t.Errorf("by an interface that is none: %v", err)
		}
	})
}
