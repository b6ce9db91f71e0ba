package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"tcptraceroute/lab"
	"tcptraceroute/packet"
	"tcptraceroute/sim"
)

// stage is a network and the host in it on which tools run, one at a time.
type stage interface {
	host() *lab.Host
	// begin puts the network into its first state and records what passes, until end.
	begin(tb testing.TB) error
	end(tb testing.TB) evidence
}

// internet is a stage in front of a simulated Internet: its packets leave by a TUN device.
type internet struct {
	source *lab.Host
	link   *lab.Interface
	device *os.File

	scenario func() sim.Scenario // of one path; made anew for each run
	capture  *lab.Capture

	mu     sync.Mutex
	model  *sim.Model // nil: nobody is there
	start  time.Time
	record []seen
	syns   int
	wake   chan struct{} // something may be due earlier than it was
	done   chan struct{}
}

const device = "tun0"

func newInternet(tb testing.TB, l *lab.Lab, name string) *internet {
	n := &internet{source: l.Host(tb, name), wake: make(chan struct{}, 1), done: make(chan struct{})}
	n.device = n.source.TUN(tb, device)
	hosts4, hosts6 := sim.InternetHosts4.Addr().Next(), sim.InternetHosts6.Addr().Next()
	n.source.IP(tb, fmt.Sprintf("addr add %v/32 dev %s", hosts4, device))
	n.source.IP(tb, fmt.Sprintf("-6 addr add %v/128 dev %s nodad", hosts6, device))
	n.source.IP(tb, "route add default dev "+device)
	n.source.IP(tb, "-6 route add default dev "+device)
	n.source.Do(tb, func() {
		i, err := net.InterfaceByName(device)
		if err != nil {
			tb.Fatalf("%v", err)
		}
		n.link = &lab.Interface{Host: n.source, Name: device, Index: i.Index}
	})
	var both sync.WaitGroup
	both.Go(n.fromHost)
	both.Go(n.toHost)
	tb.Cleanup(func() { // before the device's own
		close(n.done)
		n.device.Close()
		both.Wait()
	})
	return n
}

func (n *internet) host() *lab.Host { return n.source }

func (n *internet) begin(tb testing.TB) error {
	model, err := sim.New(n.scenario())
	if err != nil {
		return err
	}
	n.capture = n.link.Capture(tb)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.model, n.start, n.record, n.syns = model, time.Now(), nil, 0
	model.Watch = func(a sim.Arrival) {
		var r packet.Reply
		if a.Target && packet.Parse(a.Packet, &r) == nil && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN) {
			n.syns++
		}
	}
	return nil
}

func (n *internet) end(tb testing.TB) evidence {
	n.mu.Lock()
	e := evidence{model: n.record, targetSYNs: n.syns}
	n.model, n.record = nil, nil
	n.mu.Unlock()
	e.wire = captured(n.capture.Stop(tb))
	e.way = func(b []byte) way {
		fresh, err := sim.New(n.scenario()) // no flow of the run has left anything in it
		if err != nil {
			return way{}
		}
		x, err := fresh.Expect(b)
		if err != nil {
			return way{}
		}
		return wayOf(x)
	}
	return e
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
		all[i] = seen{p.Time, p.Out, p.Data}
	}
	return all
}

// fromHost takes what the host sends, until the device is closed.
func (n *internet) fromHost() {
	buf := make([]byte, 1<<16)
	for {
		size, err := n.device.Read(buf)
		if err != nil {
			return // closed
		}
		n.inject(time.Now(), buf[:size])
		n.signal()
	}
}

func (n *internet) inject(now time.Time, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.model == nil {
		return
	}
	if n.model.Inject(now.Sub(n.start), b) == nil { // what has no path is the host's own multicast
		n.record = append(n.record, seen{now, true, append([]byte(nil), b...)})
	}
}

// toHost gives the host what is due, until the device is closed.
func (n *internet) toHost() {
	buf := make([]byte, 1<<16)
	for {
		size, wait := n.receive(buf)
		if size > 0 {
			n.device.Write(buf[:size]) // an error: closed
			continue
		}
		select {
		case <-time.After(wait):
		case <-n.wake:
		case <-n.done:
			return
		}
	}
}

func (n *internet) receive(buf []byte) (size int, wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.model == nil {
		return 0, time.Hour
	}
	now := time.Since(n.start)
	if size, due, ok := n.model.Receive(now, buf); ok {
		n.record = append(n.record, seen{n.start.Add(due), false, append([]byte(nil), buf[:size]...)})
		return size, 0
	}
	if next, ok := n.model.Next(); ok {
		return 0, next - now
	}
	return 0, time.Hour
}

func (n *internet) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
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

func (n *routers) end(tb testing.TB) evidence {
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
	return e
}
