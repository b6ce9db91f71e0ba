package measure

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

func TestMain(m *testing.M) { lab.Main(m) }

// simulated joins a host to a simulated network by a TUN device, and counts the SYNs that the host sends, by source port;
// one that the kernel repeats counts once.
type simulated struct {
	tun   *os.File
	start time.Time
	wake  chan struct{}

	mu    sync.Mutex
	model *sim.Model
	syns  map[flow]int
	first map[synID]bool

	again int // SYNs that the kernel sent again, for on a busy machine an attempt may end too late to prevent it
	late  int // how many of those the connections know of
}

// flow is whose SYNs are counted: both families, and traces of two targets, may have one port at a time.
type flow struct {
	target netip.Addr
	port   uint16
}

// synID names a SYN of the kernel's.
type synID struct {
	flow
	seq uint32
	ttl uint8
}

func simulate(t *testing.T, h *lab.Host, scenario sim.Scenario) *simulated {
	t.Helper()
	scenario.NoHostRST = true // a real kernel does it
	model, err := sim.New(scenario)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{tun: h.TUN(t, "tun0"), start: time.Now(), wake: make(chan struct{}, 1), model: model, syns: map[flow]int{}, first: map[synID]bool{}}
	for _, at := range []netip.Prefix{sim.InternetHosts4, sim.InternetHosts6} {
		what := netip.PrefixFrom(at.Addr().Next(), at.Bits()).String() + " dev tun0"
		if at.Addr().Is6() {
			what += " nodad" // else it is nobody's for a moment, and ::1 sends
		}
		h.Add(t, "addr", what)
	}
	for _, to := range []string{"0.0.0.0/0", "::/0"} { // to the routers too: their answers must have a way back
		h.Add(t, map[bool]string{true: "-6 route", false: "route"}[to == "::/0"], to+" dev tun0")
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(s.in)
	wg.Go(func() { s.out(done) })
	t.Cleanup(func() {
		close(done)
		s.tun.SetDeadline(time.Unix(1, 0))
		wg.Wait()
	})
	return s
}

// in carries what the host sends.
func (s *simulated) in() {
	b := make([]byte, 65536)
	for {
		n, err := s.tun.Read(b)
		if err != nil {
			return
		}
		var r packet.Reply
		if packet.Parse(b[:n], &r) != nil || r.Kind != packet.KindTCP {
			continue
		}
		s.mu.Lock()
		if r.TCP.Flags.Has(packet.SYN) {
			s.syn(&r)
		}
		s.model.Inject(time.Since(s.start), b[:n])
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// syn counts one. Raw traces repeat theirs on purpose, with another IP ID or timestamp.
func (s *simulated) syn(r *packet.Reply) {
	of := flow{r.IP.Dst, r.TCP.SrcPort}
	id := synID{of, r.TCP.Seq, r.IP.TTL}
	if !s.first[id] {
		s.syns[of]++
	}
	if s.first[id] && r.TCP.Window != 0 { // a raw trace's is 0
		s.again++
	}
	s.first[id] = true
}

// counted is how many SYNs a flow had, asked when as many as are expected have had the time to be read.
func (s *simulated) counted(of flow, expected int) (n int) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n = s.syns[of]
		s.mu.Unlock()
		if n >= expected || time.Now().After(deadline) {
			return n
		}
	}
}

// out carries what the host receives, when it is due.
func (s *simulated) out(done chan struct{}) {
	b := make([]byte, 65536)
	for {
		s.mu.Lock()
		now := time.Since(s.start)
		n, _, ok := s.model.Receive(now, b)
		wait := time.Hour
		if next, more := s.model.Next(); more {
			wait = next - now
		}
		s.mu.Unlock()
		if ok {
			s.tun.Write(b[:n])
			continue
		}
		select {
		case <-done:
			return
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

// hops is what a trace found: for each TTL the different answers, with all that users are shown of them but the time.
type hops [][]string

func (h *hops) add(r trace.Result) {
	for len(*h) < int(r.Probe.TTL) {
		*h = append(*h, nil)
	}
	if r.Outcome != trace.Answered {
		return
	}
	p := r.Reply
	text := fmt.Sprintf("%v %v %d/%d", p.From(), p.Kind, p.Type, p.Code)
	if p.Kind == packet.KindTCP {
		text += fmt.Sprintf(" %v", p.TCP.Flags&(packet.SYN|packet.RST))
	} else {
		text += fmt.Sprintf(" ttl %d tos %d", p.IP.TTL, p.IP.TOS)
	}
	for o := range p.Extensions.Objects() {
		text += fmt.Sprintf(" %d/%d %x %v", o.Class, o.Type, o.Data, p.Extensions.Checksum)
	}
	answers := &(*h)[r.Probe.TTL-1]
	if !slices.Contains(*answers, text) {
		*answers = append(*answers, text)
		slices.Sort(*answers)
	}
}

// cut is what belongs to the path: nothing beyond the first hop with an answer that ends it, nor silence at its end.
func (h hops) cut() hops {
	for i, answers := range h {
		for _, a := range answers {
			if !strings.Contains(a, packet.KindTimeExceeded.String()) {
				return h[:i+1]
			}
		}
	}
	for len(h) > 0 && len(h[len(h)-1]) == 0 {
		h = h[:len(h)-1]
	}
	return h
}

// faulting is a connection that knows of errors of this host.
type faulting interface {
	trace.Conn
	Fault(packet.Probe, bool) error
}

// follow traces with a plan that open and plan make.
func follow(ctx context.Context, conn faulting, o trace.PathOptions, make func(trace.PathOptions) (plan, error)) (hops, int, error) {
	p, err := make(o)
	if err != nil {
		return nil, 0, err
	}
	var found hops
	counts, err := trace.Run(ctx, conn, p, trace.Options{Fault: conn.Fault}, found.add)
	return found.cut(), counts.Sent, err
}

// What connections tell is what raw sockets tell: hops, ICMP codes, their own TTL and TOS, MPLS labels, and the target's
// state, on forty simulated paths. And each probe is one SYN, or it is known that the kernel has sent another.
func TestUnprivilegedEqualsRaw(t *testing.T) {
	t.Parallel()
	lab.NeedTUN(t)
	host := lab.New(t).Host(t, "host")
	scenario := sim.Internet(13, 80, sim.InternetOptions{Calm: true})
	scenario.Paths = slices.DeleteFunc(scenario.Paths, func(p sim.Path) bool {
		return slices.ContainsFunc(p.Routers, func(r sim.Router) bool {
			// The kernel knows its connection neither by a quote that a translator has left as it was, nor behind a
			// firewall that minds that each attempt has a number of its own.
			return r.NAT.RawQuote || r.OneISN
		})
	})[:40]
	for _, p := range scenario.Paths {
		for i := range p.Routers {
			p.Routers[i].Quote = sim.QuoteFull // an IPv6 quote without the tag makes a raw trace slow
		}
	}
	var seen struct{ exceeded, labelled, refused, open, closed, silent int }
	s := simulate(t, host, scenario)
	var wg sync.WaitGroup
	var mu sync.Mutex
	compare := func(p sim.Path, finally bool) (done bool) {
		target := p.Target.Addr
		host.Do(t, func() {
			raw, told, err := both(t.Context(), s, target, len(p.Routers)+1)
			mu.Lock()
			defer mu.Unlock()
			if done = finally || err != nil || slices.EqualFunc(raw, told, slices.Equal); !done {
				return
			}
			switch {
			case err != nil:
				t.Errorf("%v: %v", target, err)
				return
			case !slices.EqualFunc(raw, told, slices.Equal):
				t.Errorf("%v: connections tell\n\t%s\nraw sockets\n\t%s", target, told, raw)
			}
			for _, answers := range told {
				text := strings.Join(answers, " ")
				for what, n := range map[string]*int{"time exceeded": &seen.exceeded, " 1/1 ": &seen.labelled,
					"unreachable": &seen.refused, "SYN": &seen.open, "RST": &seen.closed} {
					if strings.Contains(text, what) {
						*n++
					}
				}
				if len(answers) == 0 {
					seen.silent++
				}
			}
		})
		return done
	}
	late := make([]bool, len(scenario.Paths))
	for i, p := range scenario.Paths {
		wg.Go(func() { late[i] = !compare(p, false) })
	}
	wg.Wait()
	// The network is this process: on a busy machine its answers may be too late to be waited for, and the target's may be
	// seen only a hop farther on. Alone they are sooner.
	for i, p := range scenario.Paths {
		for tries := 0; late[i]; tries++ {
			late[i] = !compare(p, tries == 10)
		}
	}
	t.Logf("%d paths: %+v; %d SYNs were sent again", len(scenario.Paths), seen, s.again)
	if s.again > s.late {
		t.Errorf("%d SYNs were sent again, and %d were noticed", s.again, s.late)
	}
	if seen.exceeded == 0 || seen.labelled == 0 || seen.refused == 0 || seen.open == 0 || seen.closed == 0 || seen.silent == 0 {
		t.Errorf("too little was seen: %+v", seen)
	}
}

// both traces a path in both ways, from one port, so that both take the same turns.
func both(ctx context.Context, s *simulated, target netip.Addr, last int) (raw, told hops, err error) {
	open, err := wire.Open(wire.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer open.Close()
	o := trace.PathOptions{Target: netip.AddrPortFrom(target, sim.InternetPort), MaxTTL: last}
	route, err := open.Route(o.Target, netip.AddrPort{})
	if err != nil {
		return nil, nil, err
	}
	connect, err := wire.OpenUnprivileged(wire.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		connect.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.late += connect.Repeated()
	}()
	port, err := connect.Reserve(netip.AddrPortFrom(route.Source, 0))
	if err != nil {
		return nil, nil, err
	}
	of := flow{target, port}
	before := s.counted(of, 0) // the port may have been used before
	o.Source = netip.AddrPortFrom(route.Source, port)
	told, sent, err := follow(ctx, connect, o, func(o trace.PathOptions) (plan, error) {
		return trace.NewSerial(o, wire.ConnectWait)
	})
	if err != nil {
		return nil, nil, err
	}
	if n := s.counted(of, before+sent) - before; n != sent {
		return nil, nil, fmt.Errorf("%d SYNs for %d probes", n, sent)
	}
	if err := open.Use(port); err != nil {
		return nil, nil, err
	}
	raw, _, err = follow(ctx, open, o, func(o trace.PathOptions) (plan, error) { return trace.NewPath(o) })
	return raw, told, err
}
