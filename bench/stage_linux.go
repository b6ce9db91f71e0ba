package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/sim/tun"
)

// stage is a network and the host in it on which tools run, one at a time.
type stage interface {
	host() *lab.Host
	// begin puts the network into its first state and records what passes, until end.
	begin(tb testing.TB) error
	end(tb testing.TB) (evidence, error)
}

// internet is a stage in front of a simulated Internet: its packets leave by a TUN device.
type internet struct {
	source *lab.Host
	link   *lab.Interface
	device *os.File

	scenario func() sim.Scenario // of one path; made anew for each run
	capture  *lab.Capture
	model    *sim.Model
	front    *tun.Front
	syns     int // that reached the target; the front end's, until it is stopped
}

const device = "tun0"

func newInternet(tb testing.TB, l *lab.Lab, name string) *internet {
	n := &internet{source: l.Host(tb, name)}
	n.device = n.source.TUN(tb, device)
	n.source.IP(tb, "link set down dev "+device)
	if err := setLinkType(n.device, unix.ARPHRD_SIT); err != nil {
		tb.Fatalf("link type: %v", err)
	}
	n.source.IP(tb, "link set up dev "+device)
	hosts4, hosts6 := sim.InternetHosts4.Addr().Next(), sim.InternetHosts6.Addr().Next()
	n.source.IP(tb, fmt.Sprintf("addr add %v/32 dev %s", hosts4, device))
	n.source.IP(tb, fmt.Sprintf("-6 addr add %v/128 dev %s nodad", hosts6, device))
	// By a gateway, as routes are where targets are far away: nmap takes the others for neighbours.
	n.source.IP(tb, fmt.Sprintf("route add default via %v dev %s onlink", hosts4.Next(), device))
	n.source.IP(tb, fmt.Sprintf("-6 route add default via %v dev %s onlink", hosts6.Next(), device))
	n.source.Do(tb, func() {
		i, err := net.InterfaceByName(device)
		if err != nil {
			tb.Fatalf("%v", err)
		}
		n.link = &lab.Interface{Host: n.source, Name: device, Index: i.Index}
	})
	return n
}

// setLinkType makes the device, which is down, one of another type without link headers: scamper doesn't know that a
// TUN device's has none.
func setLinkType(device *os.File, link int) error {
	raw, err := device.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = unix.IoctlSetInt(int(fd), unix.TUNSETLINK, link) })
	return errors.Join(err, inner)
}

func (n *internet) host() *lab.Host { return n.source }

func (n *internet) begin(tb testing.TB) error {
	var err error
	if n.model, err = sim.New(n.scenario()); err != nil {
		return err
	}
	n.syns = 0
	n.model.Watch = func(a sim.Arrival) {
		var r packet.Reply
		if a.Target && packet.Parse(a.Packet, &r) == nil && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN) {
			n.syns++
		}
	}
	n.capture = n.link.Capture(tb)
	n.front, err = tun.Start(n.device, n.model, tun.Options{})
	return err
}

func (n *internet) end(tb testing.TB) (evidence, error) {
	record, err := n.front.Stop()
	packets := n.capture.Stop(tb)
	if err != nil {
		return evidence{}, err
	}
	e := evidence{model: recorded(record), targetSYNs: n.syns}
	e.wire = numbered(captured(packets), e.model)
	model := n.model // whose translators know the flows of the run
	e.way = func(b []byte) way {
		x, err := model.Expect(b)
		if err != nil {
			return way{}
		}
		return wayOf(x)
	}
	return e, nil
}

// recorded is what passed the front end, first what the host sent, then what it got.
func recorded(r *tun.Record) (all []seen) {
	for _, s := range r.Sent {
		all = append(all, seen{at: r.Start.Add(s.At), out: true, data: s.Packet, number: s.Number})
	}
	for _, s := range r.Received {
		all = append(all, seen{at: r.Start.Add(s.At), data: s.Packet, number: s.Number})
	}
	return all
}

// numbered gives captured packets the numbers that the front end knows them by: it saw the same packets, in the same
// order.
func numbered(wire, model []seen) []seen {
	next := map[bool][]seen{}
	for _, s := range model {
		next[s.out] = append(next[s.out], s)
	}
	for i := range wire {
		w := &wire[i]
		rest := next[w.out]
		if k := slices.IndexFunc(rest, func(s seen) bool { return bytes.Equal(s.data, w.data) }); k >= 0 {
			w.number = rest[k].number
			next[w.out] = rest[k+1:]
		}
	}
	return wire
}

// wayOf is the truth in the words of this program.
func wayOf(x sim.Expected) way {
	var w way
	for i, h := range x.Hops {
		addrs := h.Addrs
		if h.Loss >= 1 {
			addrs = nil
		}
		w.hops = append(w.hops, addrs)
		if len(addrs) > 0 && h.Kind != packet.KindTimeExceeded && w.distance == 0 {
			w.distance = i + 1
		}
	}
	return w
}

func captured(packets []lab.Packet) []seen {
	all := make([]seen, len(packets))
	for i, p := range packets {
		all[i] = seen{at: p.Time, out: p.Out, data: p.Data}
	}
	return all
}

// routers is a stage of real Linux routers in a row, one of them silent.
type routers struct {
	path     *lab.Path
	silent   int
	out, in  *lab.Capture
	targetIs netip.Addr
}

func (n *routers) host() *lab.Host { return n.path.Source }

func (n *routers) begin(tb testing.TB) error {
	n.out = n.path.Links[0].A.Capture(tb)
	n.in = n.path.Target.Interfaces[0].Capture(tb)
	return nil
}

func (n *routers) end(tb testing.TB) (evidence, error) {
	e := evidence{wire: captured(n.out.Stop(tb))}
	for _, p := range n.in.Stop(tb) {
		var r packet.Reply
		if !p.Out && packet.Parse(p.Data, &r) == nil && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN) {
			e.targetSYNs++
		}
	}
	var w way
	for ttl := 1; ttl <= len(n.path.Links); ttl++ {
		h := n.path.Hop(ttl)
		addr := h.V4()
		if n.targetIs.Is6() {
			addr = h.V6()
		}
		if ttl == n.silent {
			w.hops = append(w.hops, nil)
		} else {
			w.hops = append(w.hops, []netip.Addr{addr})
		}
	}
	w.distance = len(w.hops)
	e.way = func([]byte) way { return w }
	return e, nil
}
