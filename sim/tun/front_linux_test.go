package tun

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

func TestMain(m *testing.M) { lab.Main(m) }

// host is a host whose device is its only way out.
type host struct {
	*lab.Host
	tun *os.File
	dev *lab.Interface
}

// newHost makes a host with a device, to whose other end all packets go.
func newHost(t testing.TB, l *lab.Lab, name string, addrs ...netip.Addr) host {
	t.Helper()
	h := host{Host: l.Host(t, name)}
	h.tun, h.dev = h.Uplink(t, "tun0", addrs...)
	return h
}

var (
	host4 = sim.InternetHosts4.Addr().Next()
	host6 = sim.InternetHosts6.Addr().Next()
)

// start runs a model behind a host's device until t ends.
func start(t testing.TB, h host, s sim.Scenario, o Options) *Front {
	t.Helper()
	s.NoHostRST = true
	m, err := sim.New(s)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Start(h.tun, m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Stop() })
	return f
}

func stop(t testing.TB, f *Front) *Record {
	t.Helper()
	r, err := f.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sender sends whole packets by the host's own stack.
type sender struct{ fd4, fd6 int }

func (h host) sender(t testing.TB) *sender {
	t.Helper()
	s := &sender{}
	h.Do(t, func() {
		var err error
		if s.fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			t.Fatal(err)
		}
		if s.fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { unix.Close(s.fd4); unix.Close(s.fd6) })
	return s
}

func (s *sender) send(b []byte) error {
	if b[0]>>4 == 4 {
		return unix.Sendto(s.fd4, b, 0, &unix.SockaddrInet4{Addr: [4]byte(b[16:20])})
	}
	return unix.Sendto(s.fd6, b, 0, &unix.SockaddrInet6{Addr: [16]byte(b[24:40])})
}

// probe is a SYN on a path of an Internet.
func probe(s *sim.Scenario, path int, srcPort uint16, ttl uint8, seq uint32) []byte {
	dst, src := s.Paths[path].Target.Addr, host6
	if dst.Is4() {
		src = host4
	}
	b, err := packet.Probe{
		Src: netip.AddrPortFrom(src, srcPort), Dst: netip.AddrPortFrom(dst, sim.InternetPort),
		TTL: ttl, Seq: seq, ID: uint16(ttl) + 1, Flags: packet.SYN,
	}.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

var packets = flag.Int("packets", 100000, "how many packets TestSameAnswersAsInMemory sends")

// What a program receives from behind the device is what the model in memory answers to the same packets at the same
// instants, byte for byte and in the same order; with a slack too.
func TestSameAnswersAsInMemory(t *testing.T) {
	for _, slack := range []time.Duration{0, 200 * time.Microsecond} {
		t.Run(fmt.Sprint("slack=", slack), func(t *testing.T) { sameAnswersAsInMemory(t, slack) })
	}
}

func sameAnswersAsInMemory(t *testing.T, slack time.Duration) {
	h := newHost(t, lab.New(t), "h", host4, host6)
	s := sim.Internet(1, 200, sim.InternetOptions{})
	capture := h.dev.Capture(t)
	f := start(t, h, s, Options{Slack: slack})
	send := h.sender(t)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range *packets {
		path := random.IntN(len(s.Paths))
		if err := send.send(probe(&s, path, uint16(40000+random.IntN(1000)), uint8(1+random.IntN(28)), random.Uint32())); err != nil {
			t.Fatal(err)
		}
		for arrived := uint64(0); n%1000 == 999 && arrived+2000 < uint64(n); runtime.Gosched() { // the device's queue holds a few
			f.Do(func(m *sim.Model) { arrived = m.Injected() })
		}
	}
	eventually(t, func() bool { // all that were sent, and the resets of the host's kernel, are answered
		idle := false
		f.Do(func(m *sim.Model) {
			due, ok := m.Next()
			idle = m.Injected() >= uint64(*packets) && (!ok || due > f.Now()+500*time.Millisecond)
		})
		return idle
	})
	record := stop(t, f)
	seen := capture.Stop(t)

	s = sim.Internet(1, 200, sim.InternetOptions{})
	s.NoHostRST = true
	m, err := sim.New(s)
	if err != nil {
		t.Fatal(err)
	}
	var want []Received
	buf := make([]byte, largest)
	drain := func(until time.Duration) {
		for {
			r, ok := m.ReceiveOne(until, buf)
			if !ok {
				return
			}
			want = append(want, Received{Due: r.Due, Number: r.Probe, Packet: bytes.Clone(buf[:r.N])})
		}
	}
	strangers := 0
	for _, p := range record.Sent {
		drain(p.At)
		if err := m.Inject(p.At, p.Packet); err != nil {
			strangers++
		}
	}
	if len(record.Received) == 0 {
		t.Fatal("nothing was received")
	}
	drain(record.Received[len(record.Received)-1].Due)
	i := 0
	for _, p := range seen {
		if p.Out {
			continue
		}
		if i >= len(want) || !bytes.Equal(p.Data, want[i].Packet) {
			t.Fatalf("the host's packet %d of %d is not that of the model in memory, of %d", i, len(seen), len(want))
		}
		if r := record.Received[i]; !bytes.Equal(r.Packet, p.Data) || r.Due != want[i].Due || r.Number != want[i].Number || r.Err != nil {
			t.Fatalf("packet %d: due at %v to %d, in memory at %v to %d; written with error %v", i, r.Due, r.Number, want[i].Due, want[i].Number, r.Err)
		}
		i++
	}
	if i != len(want) || len(record.Sent)-strangers < *packets || i < *packets/2 {
		t.Errorf("%d sent, %d received; in memory %d", len(record.Sent)-strangers, i, len(want))
	}
	t.Logf("%d packets of programs and %d of the kernel (%d strangers), %d answers, all the same; %+v too late", *packets, len(record.Sent)-strangers-*packets, strangers, i, record.Late())
}

// BenchmarkFront finds packets of all TTLs for 200 paths waiting in the device's queue, 8000 each time, so that it never waits
// for more. The figure is packets taken and answered for each second of the thread's CPU time, which depends less on what else
// the machine does than the time on the wall. The host's kernel takes an answer in on the thread that writes it, and so that
// is in the figure. Delays are a hundredth of the usual, so that waiting for the last answers isn't.
func BenchmarkFront(b *testing.B) {
	const waiting = 8000
	h := newHost(b, lab.New(b), "h", host4, host6)
	s := sim.Internet(1, 200, sim.InternetOptions{})
	for i := range s.Paths {
		p := &s.Paths[i]
		p.Target.Delay /= 100
		for j := range p.Routers {
			r := &p.Routers[j]
			r.Link.Delay /= 100
			r.Slow, r.Late = 0, sim.Held{}
		}
	}
	send, random := h.sender(b), rand.New(rand.NewPCG(1, 2))
	var probes [waiting][]byte
	for i := range probes {
		probes[i] = probe(&s, random.IntN(len(s.Paths)), uint16(40000+random.IntN(1000)), uint8(1+random.IntN(16)), random.Uint32())
	}
	f := start(b, h, s, Options{Forgetful: true})
	sent := uint64(0)
	for b.Loop() {
		f.Do(func(*sim.Model) { // it stands still meanwhile
			for _, p := range probes {
				if err := send.send(p); err != nil {
					b.Fatal(err)
				}
			}
		})
		sent += waiting
		eventually(b, func() bool {
			done := false
			f.Do(func(m *sim.Model) { done = m.Injected() >= sent })
			return done
		})
	}
	taken := uint64(0)
	f.Do(func(m *sim.Model) { taken = m.Injected() })
	b.ReportMetric(float64(taken)/stop(b, f).CPU.Seconds(), "packets/CPU-s")
	b.ReportMetric(0, "ns/op") // sending, which is in it, is no matter
}

// eventually waits for what nothing announces.
func eventually(t testing.TB, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}

// A SYN crosses the model to a host behind the second device, a Linux kernel answers, the answer crosses back, and the reset
// of the first host's kernel ends what the SYN began.
func TestRealTarget(t *testing.T) {
	for _, c := range []struct {
		name, target, text string
		src                netip.Addr
		far                string // what the target is called there
		port               uint16
		left               uint8 // TTL of the answer, of a Linux with 64
		flags              packet.Flags
	}{
		{"open", "198.19.0.1", "router 10.0.0.1 delay=1ms\nrouter 10.0.0.2 delay=9ms\n", host4, "198.19.0.1", 80, 62, packet.SYN | packet.ACK},
		{"closed", "198.19.0.1", "router 10.0.0.1 delay=1ms\nrouter 10.0.0.2 delay=9ms\n", host4, "198.19.0.1", 81, 62, packet.RST | packet.ACK},
		{"IPv6", "2001:db8:2::1", "router 2001:db8:1::1 delay=10ms\n", host6, "2001:db8:2::1", 80, 63, packet.SYN | packet.ACK},
		{"translated", "198.19.0.1", "router 10.0.0.1 delay=5ms snat=10.9.9.9:2000 dnat=10.1.1.1\nrouter 10.0.0.2 delay=5ms\n", host4, "10.1.1.1", 80, 62, packet.SYN | packet.ACK},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			far := newHost(t, l, "far", netip.MustParseAddr(c.far))
			far.Listen(t, 80)
			near := newHost(t, l, "near", c.src)
			s, err := sim.Parse(c.text + "target " + c.target + " real delay=15ms")
			if err != nil {
				t.Fatal(err)
			}
			capture := near.dev.Capture(t)
			f := start(t, near, s, Options{Far: far.tun})
			p := packet.Probe{
				Src: netip.AddrPortFrom(c.src, 40000), Dst: netip.AddrPortFrom(s.Paths[0].Target.Addr, c.port),
				TTL: 9, Seq: 1000, ID: 7, Flags: packet.SYN,
			}
			b, err := p.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := near.sender(t).send(b); err != nil {
				t.Fatal(err)
			}
			var reply packet.Reply
			eventually(t, func() bool {
				for _, p := range capture.Packets() {
					if !p.Out && packet.Parse(p.Data, &reply) == nil && reply.Kind == packet.KindTCP {
						return true
					}
				}
				return false
			})
			if reply.From() != p.Dst.Addr() || reply.TCP.SrcPort != c.port || reply.TCP.DstPort != 40000 || reply.Checksum != packet.CheckGood ||
				reply.TCP.Flags&(packet.SYN|packet.ACK|packet.RST) != c.flags || reply.TCP.Ack != 1001 || reply.IP.TTL != c.left {
				t.Errorf("answered by %+v", reply)
			}
			if c.flags.Has(packet.SYN) { // the real host is told that nobody wants it
				eventually(t, func() bool { return far.Counters(t)["TcpEstabResets"]+far.Counters(t)["TcpAttemptFails"] > 0 })
			}
			r := stop(t, f)
			if len(r.ToReal) == 0 || len(r.FromReal) == 0 || r.Received[0].At-r.Sent[0].At < 50*time.Millisecond {
				t.Errorf("%d packets to the real host, %d from it, %v there and back", len(r.ToReal), len(r.FromReal), r.Received[0].At-r.Sent[0].At)
			}
		})
	}
}

// BenchmarkLate sends some hundred packets a second for some seconds, as traces do, and tells how late answers were written and
// how late the host's kernel took them in, by its own stamps. On a busy machine the latter shows whether the front end keeps the
// kernel from its work.
func BenchmarkLate(b *testing.B) {
	h := newHost(b, lab.New(b), "h", host4, host6)
	s := sim.Internet(1, 200, sim.InternetOptions{})
	capture := h.dev.Capture(b)
	f := start(b, h, s, Options{})
	send, random := h.sender(b), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		for range 2000 {
			p := probe(&s, random.IntN(len(s.Paths)), uint16(40000+random.IntN(1000)), uint8(1+random.IntN(16)), random.Uint32())
			if err := send.send(p); err != nil {
				b.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	time.Sleep(time.Second) // for the last answers
	record := stop(b, f)
	var taken []time.Duration
	i := 0
	for _, p := range capture.Stop(b) {
		if p.Out || i >= len(record.Received) {
			continue
		}
		taken = append(taken, p.Time.Sub(record.Start.Add(record.Received[i].At)))
		i++
	}
	if i == 0 {
		b.Fatal("nothing was received")
	}
	slices.Sort(taken)
	late := record.Late()
	for _, m := range []struct {
		name string
		of   time.Duration
	}{
		{"written-p50", late.P50}, {"written-p99", late.P99}, {"written-max", late.Max},
		{"taken-p50", taken[len(taken)/2]}, {"taken-p99", taken[len(taken)*99/100]}, {"taken-max", taken[len(taken)-1]},
	} {
		b.ReportMetric(float64(m.of.Microseconds()), "µs-"+m.name)
	}
	b.ReportMetric(100*record.CPU.Seconds()/b.Elapsed().Seconds(), "%CPU")
	b.ReportMetric(0, "ns/op")
}

// The thread doesn't keep its priority while it has much to do.
func TestYields(t *testing.T) {
	h := newHost(t, lab.New(t), "h", host4, host6)
	s := sim.Internet(1, 200, sim.InternetOptions{})
	f := start(t, h, s, Options{Forgetful: true})
	send := h.sender(t)
	const waiting = 400     // packets; the device's queue holds 500
	f.Do(func(*sim.Model) { // it stands still meanwhile
		for n := range waiting {
			if err := send.send(probe(&s, n%len(s.Paths), 40000, uint8(1+n%16), uint32(n))); err != nil {
				t.Fatal(err)
			}
		}
	})
	eventually(t, func() bool {
		done := false
		f.Do(func(m *sim.Model) { done = m.Injected() >= waiting })
		return done
	})
	for range 10_000 { // it may have been quick
		if err := send.send(probe(&s, 0, 40000, 1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if r := stop(t, f); r.Yielded == 0 {
		t.Error("the thread was busy, and has kept its priority")
	}
}
