package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// What the tests share that disturb the program while it runs, or answer it themselves:
//
//	family, families     the same test for IPv4 and IPv6
//	live, launch         a run that is watched and disturbed while it goes on
//	hop, masked          the text that is expected, and the one that came, with times masked
//	sideBySide           many runs wait at the same time
//	truth                what the routers really answered, by a capture
//	injector             puts packets on a link as a router
//	respond              a network made by the test, at the other end of a TUN device

// family is an IP version.
type family int

const (
	ip4 family = 4
	ip6 family = 6
)

// families runs a test for IPv4 and for IPv6, side by side.
func families(t *testing.T, f func(t *testing.T, v family)) {
	t.Parallel()
	for _, v := range []family{ip4, ip6} {
		t.Run(fmt.Sprintf("IPv%d", v), func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

// of is a host's address.
func (v family) of(h *lab.Host) netip.Addr {
	if v == ip4 {
		return h.V4()
	}
	return h.V6()
}

// at is an interface's address.
func (v family) at(i *lab.Interface) netip.Addr {
	if v == ip4 {
		return i.V4
	}
	return i.V6
}

// pick chooses what differs.
func pick[T any](v family, four, six T) T {
	if v == ip4 {
		return four
	}
	return six
}

// ip runs ip(8) for the family.
func (v family) ip(t testing.TB, h *lab.Host, args string) {
	t.Helper()
	h.IP(t, fmt.Sprintf("-%d %s", v, args))
}

// live is a run of the program that is watched while it goes on.
type live struct {
	*lab.Cmd
	stdout, stderr output
	done           chan struct{} // closed when it has ended
}

// launch starts the program in a host; the arguments are split at blanks.
func launch(t testing.TB, h *lab.Host, args string) *live {
	t.Helper()
	l := prepare(t, h, program(t), args)
	l.begin(t)
	return l
}

// prepare makes a run of the binary at a path, for changes before it begins.
func prepare(t testing.TB, h *lab.Host, path, args string) *live {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	l := &live{Cmd: h.Command(ctx, path, strings.Fields(args)...), done: make(chan struct{})}
	t.Cleanup(cancel)
	l.stdout.ended, l.stderr.ended = l.done, l.done
	l.Stdout, l.Stderr = &l.stdout, &l.stderr
	return l
}

// begin starts a run. It is over when t ends.
func (l *live) begin(t testing.TB) {
	t.Helper()
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		l.Wait() // an error: its exit code tells
	}()
	t.Cleanup(func() {
		l.Cancel() // an error: it has ended
		<-l.done
	})
}

// outcome waits for the end.
func (l *live) outcome() outcome {
	<-l.done
	return outcome{l.stdout.String(), l.stderr.String(), l.ProcessState.ExitCode()}
}

// signal sends a signal to the program.
func (l *live) signal(t testing.TB, s unix.Signal) {
	t.Helper()
	if err := l.Process.Signal(s); err != nil {
		t.Fatalf("%v: %v\n%v", s, err, l.outcome())
	}
}

// port waits until the program tells its source port, and returns it.
func (l *live) port(t testing.TB) uint16 {
	t.Helper()
	var port uint16
	text := l.stderr.await(t, `, port \d+ for outgoing packets\n`, 1)
	if _, err := fmt.Sscanf(text, ", port %d", &port); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return port
}

// output is what a running program has written so far.
type output struct {
	mu    sync.Mutex
	b     []byte
	more  chan struct{} // closed at the next write; nil: nobody waits
	ended <-chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b = append(o.b, b...)
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b)
}

// await waits until the expression matches n times, and returns the n-th match.
func (o *output) await(t testing.TB, expression string, n int) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	for last := false; ; {
		o.mu.Lock()
		found := re.FindAll(o.b, n)
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.mu.Unlock()
		switch {
		case len(found) == n:
			return string(found[n-1])
		case last:
			t.Fatalf("the program ended and had not written %d times %q:\n%s", n, expression, lines(o.String()))
		}
		select {
		case <-more:
		case <-o.ended:
			last = true
		}
	}
}

// sideBySide has many runs wait at the same time that have little else to do than to wait.
type sideBySide []started

type started struct {
	name string
	rest func(t *testing.T)
}

// begin begins something, and keeps what it returns for finish.
func (s *sideBySide) begin(t *testing.T, name string, f func(t *testing.T) (rest func(t *testing.T))) {
	t.Helper()
	*s = append(*s, started{name, f(t)})
}

// finish waits for all, and looks at what came of them, as subtests.
func (s sideBySide) finish(t *testing.T) {
	for _, x := range s {
		t.Run(x.name, x.rest)
	}
}

var someTime = regexp.MustCompile(`\d+\.\d{3} ms`)

// masked is a text with T for every time.
func masked(s string) string { return someTime.ReplaceAllString(s, "T") }

// hop is the text of a hop at which one responder answered all probes: "198.18.1.2", "198.18.4.2 [open]". The mark stands
// behind each time, " !X" or "".
func hop(ttl int, responder any, probes int, mark string) string {
	return fmt.Sprintf("%2d  %v%s\n", ttl, responder, strings.Repeat("  T"+mark, probes))
}

// routers is the text of the first hops of a chain.
func routers(p *lab.Path, v family, last, probes int) string {
	var b strings.Builder
	for ttl := 1; ttl <= last; ttl++ {
		b.WriteString(hop(ttl, v.of(p.Hop(ttl)), probes, ""))
	}
	return b.String()
}

// expect compares a run that has ended with what it should have printed, times masked. Of stderr it wants what comes after
// the two header lines.
func (o outcome) expect(t testing.TB, stdout, stderr string, code int) {
	t.Helper()
	_, rest, _ := strings.Cut(o.stderr, " hops max")
	_, rest, _ = strings.Cut(rest, "\n")
	if masked(o.stdout) != stdout || rest != stderr || o.code != code {
		t.Errorf("%v\nwant stdout:\n%s\nstderr, after its header:\n%s\nexit code %d", o, lines(stdout), lines(stderr), code)
	}
}

// fates are a hop's probes as they were printed, in order, without their times: an address, a mark as "<EPERM>", or "*".
func fates(t testing.TB, stdout string, ttl int) []string {
	t.Helper()
	var all []string
	var at int
	var responder string
	for line := range strings.Lines(masked(stdout)) {
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "    ") {
			if _, err := fmt.Sscan(words[0], &at); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			words = words[1:]
		}
		for _, w := range words {
			switch {
			case w == "T":
				w = responder
			case w[0] == '[' || w[0] == '!':
				continue
			case w != "*" && w[0] != '<':
				responder = w
				continue
			}
			if at == ttl {
				all = append(all, w)
			}
		}
	}
	return all
}

// count is how many there are of each.
func count(all []string) map[string]int {
	n := make(map[string]int)
	for _, s := range all {
		n[s]++
	}
	return n
}

// probesTo are the TCP packets that a capture at the source saw leave for a port, in order.
func probesTo(packets []lab.Packet, port uint16) []packet.Reply {
	var all []packet.Reply
	for _, p := range packets {
		var r packet.Reply
		if p.Out && packet.Parse(p.Data, &r) == nil && r.Kind == packet.KindTCP && r.TCP.DstPort == port && r.TCP.Flags.Has(packet.SYN) {
			all = append(all, r)
		}
	}
	return all
}

// key is what tells a probe from others: the IP ID, or in IPv6 the time stamp.
func key(ip *packet.IP, tcp *packet.TCP) uint32 {
	if ip.Version == 4 {
		return uint32(ip.ID)
	}
	stamp, _, _ := tcp.Options.Timestamps()
	return stamp
}

// truth tells who answered the probes to a port, by a capture at the source: for each TTL and in order of sending, the
// router that said that the time to live was exceeded, "*" where none did.
func truth(packets []lab.Packet, port uint16) map[int][]string {
	from := make(map[uint32]string)
	for _, p := range packets {
		var r packet.Reply
		if !p.Out && packet.Parse(p.Data, &r) == nil && r.Kind == packet.KindTimeExceeded {
			k := key(&r.Quote.IP, &r.Quote.TCP)
			if from[k] == "" {
				from[k] = r.From().String()
			}
		}
	}
	all := make(map[int][]string)
	for _, r := range probesTo(packets, port) {
		who := from[key(&r.IP, &r.TCP)]
		if who == "" {
			who = "*"
		}
		all[int(r.IP.TTL)] = append(all[int(r.IP.TTL)], who)
	}
	return all
}

// injector returns a function that puts packets on a link in the name of the host at this end of it. It may be called from
// any goroutine.
func injector(t testing.TB, i *lab.Interface) func(b []byte) {
	t.Helper()
	var fd int
	var err error
	i.Host.Do(t, func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) }) // packet(7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(b []byte) {
		to := unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6, Protocol: htons(unix.ETH_P_IP)}
		copy(to.Addr[:], i.Peer.MAC)
		if len(b) > 0 && b[0]>>4 == 6 {
			to.Protocol = htons(unix.ETH_P_IPV6)
		}
		if err := unix.Sendto(fd, b, 0, &to); err != nil {
			t.Errorf("injecting: %v", err)
		}
	}
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// Addresses on the TUN device: the host's own, and beyond it any in 198.19.0.0/16 and 2001:db8:ff::/48.
var (
	tunOwn  = map[family]netip.Addr{ip4: netip.MustParseAddr("198.19.0.1"), ip6: netip.MustParseAddr("2001:db8:ff::1")}
	tunFar  = map[family]netip.Addr{ip4: netip.MustParseAddr("198.19.9.9"), ip6: netip.MustParseAddr("2001:db8:ff:9::9")}
	tunPath = map[family]string{ip4: "198.19.%d.2", ip6: "2001:db8:ff:%d::2"}
)

// tunRouter is the address of the router at a TTL.
func tunRouter(v family, ttl int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(tunPath[v], ttl))
}

// respond gives a new host a TUN device with a network behind it. answer is called with each probe that comes, and its
// bytes; what it returns is sent back. It runs until t ends.
func respond(t testing.TB, v family, answer func(probe *packet.Reply, data []byte) [][]byte) *lab.Host {
	t.Helper()
	h := lab.New(t).Host(t, "source")
	tun := h.TUN(t, "tun0")
	v.ip(t, h, pick(v, "addr add 198.19.0.1/16 dev tun0", "addr add 2001:db8:ff::1/48 dev tun0 nodad"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, err := tun.Read(buf)
			if err != nil {
				return // closed: t ends
			}
			var r packet.Reply
			if packet.Parse(buf[:n], &r) != nil || r.Kind != packet.KindTCP || r.TCP.Flags&(packet.SYN|packet.ACK) != packet.SYN {
				continue
			}
			for _, b := range answer(&r, buf[:n]) {
				if _, err := tun.Write(b); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { tun.Close(); <-done })
	return h
}

// exceeded says in a router's name that a probe's time to live was exceeded, quoting these bytes.
func exceeded(v family, from netip.Addr, probe *packet.Reply, quote []byte) []byte {
	b, err := packet.AppendICMP(nil, &packet.ICMPError{
		Src: from, Dst: probe.IP.Src, TTL: 64, Type: pick[uint8](v, 11, 3), Quote: quote,
	})
	if err != nil {
		panic(err) // the test's own mistake
	}
	return b
}

// synAck answers a probe as an open port does.
func synAck(probe *packet.Reply) []byte {
	b, err := packet.AppendTCP(nil, &packet.Segment{
		Src:   netip.AddrPortFrom(probe.IP.Dst, probe.TCP.DstPort),
		Dst:   netip.AddrPortFrom(probe.IP.Src, probe.TCP.SrcPort),
		TTL:   64,
		Seq:   0x5eed0000 + key(&probe.IP, &probe.TCP), // a new one for each, as after a reset
		Ack:   probe.TCP.Seq + 1,
		Flags: packet.SYN | packet.ACK,
	})
	if err != nil {
		panic(err)
	}
	return b
}

// edit is a copy of a packet with another sequence number.
func withSeq(data []byte, probe *packet.Reply, seq uint32) []byte {
	b := slices.Clone(data)
	at := probe.IP.HeaderLength + 4
	b[at], b[at+1], b[at+2], b[at+3] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
	packet.CompleteTCPChecksum(b)
	return b
}
