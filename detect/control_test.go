package detect_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
)

// askHost asks for an ordinary connection, and says how packets leave this host.
func (r *run) askHost(e *detect.Evidence) {
	if r.path.Protocol != packet.ProtoTCP || r.connections {
		return
	}
	meant := detect.Leaving{Src: r.path.Source, Dst: r.path.Target, Interfaces: []string{"eth0"}}
	probes := meant
	e.Host = &detect.Host{Meant: meant, Probes: &probes}
	switch r.own {
	case "nat":
		probes.Src = netip.MustParseAddrPort("203.0.113.1:2000")
		e.Host.Changed = "the probes left from 203.0.113.1:2000, not from 192.0.2.1:40000"
	case "clamp":
		e.Host.Changed = "the probes left with MSS 1200, not with MSS 1460"
		e.Host.Rewrites = []packet.Change{{Field: packet.FieldMSS, Option: packet.OptionMSS, Sent: 1460, Seen: 1200}}
	case "ttl":
		e.Host.SetsTTL, e.Host.Changed = true, "the probes left with TTL 64, not with TTL 1"
	case "deaf":
		e.Host.Probes = nil
	case "service":
		probes.Dst = netip.MustParseAddrPort("10.9.9.9:8443")
		e.Host.Changed = "the probes left to 10.9.9.9:8443, not to the target"
	case "redirect":
		probes.Dst, probes.Loopback, probes.Interfaces = netip.MustParseAddrPort("127.0.0.1:3128"), true, []string{"lo"}
	}
	e.Host.Controls = []detect.Control{r.control(0)}
}

// control is the n-th ordinary connection, as far as this host lets it be one:
//
//	drop-in (the answers) drop-in-once (only one was seen) signed (answers come with what kernels refuse) odd (with what
//	their firewalls may refuse) damaged (and those to probes are too: nobody hears them) drop-out no-neighbour (a SYN waits for a next hop that doesn't answer) deaf (as drop-out, and copies of
//	what leaves aren't heard) reset-out (SYNs) elsewhere (by another uplink, where all is well)
//	elsewhere-dead (where nobody answers) shared (by one of several ways that this host shares its connections out over,
//	masqueraded) shared-dead (the same, and nobody answers there) home (a program on this host answers) redirect (the same, probes too) nat
//	service (this host itself translates the target's address, and has not translated some answers back)
//	short-lived (its TTL is 2) first-lost (nothing comes of the first) unfollowed (nothing is known of its packets, and it gets no answer)
func (r *run) control(n int) detect.Control {
	c := r.connect(n)
	left := detect.Leaving{
		Src: c.Source, Dst: r.path.Target, Interfaces: []string{"eth0"}, TTL: r.ttl(), Options: linuxSYN(r.tb),
	}
	c.Followed, c.Left = true, &left
	silent := func() {
		c.Outcome, c.SYNs, c.Waited = detect.Silent, 3, 2900*time.Millisecond
	}
	switch r.own {
	case "drop-in":
		silent()
		c.Accepted, c.Reset = 2*c.Accepted, 2*c.Reset
	case "drop-in-once":
		silent()
	case "signed", "odd":
		silent()
		c.Flawed, c.Flaw = 2*(c.Accepted+c.Reset), detect.Flaw{What: "with an option", Refused: r.own == "signed"}
		c.Accepted, c.Reset = 0, 0
	case "damaged": // probes are answered so, too
		silent()
		c.Flawed, c.Flaw = 3, detect.Flaw{What: "with a wrong checksum", Refused: true}
	case "drop-out", "deaf", "no-neighbour":
		silent()
		c.Left, c.Accepted, c.Reset = nil, 0, 0
		if r.own == "no-neighbour" {
			c.SYNs = 1
		}
	case "reset-out":
		c.Outcome, c.Left, c.Accepted, c.Reset = detect.Refused, nil, 0, 0
	case "elsewhere":
		c.Outcome, left.Interfaces, left.Mark = detect.Opened, []string{"eth1"}, 7
	case "elsewhere-dead", "shared-dead":
		silent()
		left.Interfaces, c.Accepted, c.Reset = []string{"eth1"}, 0, 0
		c.ByPort = r.own == "shared-dead"
	case "shared":
		left.Src, left.Interfaces, c.ByPort = netip.MustParseAddrPort("203.0.113.2:2001"), []string{"eth1"}, true
	case "home", "redirect":
		c.Outcome, c.Home = detect.Opened, true
		left.Dst, left.Loopback, left.Interfaces = netip.MustParseAddrPort("127.0.0.1:3128"), true, []string{"lo"}
	case "service":
		c.Outcome, left.Dst = detect.Opened, netip.MustParseAddrPort("10.9.9.9:8443")
	case "nat":
		left.Src = netip.MustParseAddrPort("203.0.113.1:2001")
	case "first-lost":
		if n == 0 {
			silent()
			c.Accepted, c.Reset = 0, 0
		}
	case "unfollowed":
		silent()
		c.Followed, c.Left, c.Accepted, c.Reset = false, nil, 0, 0
	}
	return c
}

// ttl is that of this host's ordinary connections.
func (r *run) ttl() uint8 {
	if r.own == "short-lived" {
		return 2
	}
	return 64
}

// connect sends a SYN as kernels do, and twice more, a second apart, and says what came of it.
func (r *run) connect(n int) detect.Control {
	port := r.path.Source.Port() + 3000 + uint16(n)
	p := packet.Probe{
		Src: netip.AddrPortFrom(r.path.Source.Addr(), port), Dst: r.path.Target, TTL: r.ttl(), TOS: uint8(r.path.TOS &^ 3),
		DontFragment: true, Flags: packet.SYN, Seq: 77, Options: linuxSYN(r.tb),
	}
	c := detect.Control{Source: p.Src}
	begun := time.Now()
	most, pause := 3, 970*time.Millisecond
	if !r.heard { // it is given up before the kernel repeats its SYN
		most, pause = 1, 800*time.Millisecond
	}
	for c.SYNs < most {
		c.SYNs++
		p.ID = uint16(c.SYNs)
		if _, err := r.conn.Send(p); err != nil && r.own != "drop-out" && !errors.Is(err, syscall.ENOBUFS) {
			r.tb.Fatal(err)
		}
		if r.answered(&c, begun.Add(time.Duration(c.SYNs)*pause)) {
			break
		}
	}
	c.Waited = time.Since(begun)
	return c
}

// answered waits for the answer to a control.
func (r *run) answered(c *detect.Control, until time.Time) bool {
	ctx, cancel := context.WithDeadline(r.tb.Context(), until)
	defer cancel()
	var buf [2048]byte
	for {
		n, _, err := r.conn.Recv(ctx, buf[:])
		if err != nil {
			return false
		}
		var a packet.Reply
		if packet.Parse(buf[:n], &a) != nil {
			continue
		}
		q := &a.Quote.TCP
		if a.Kind == packet.KindTCP && netip.AddrPortFrom(a.IP.Src, a.TCP.SrcPort) != r.path.Target {
			continue // a kernel has no connection with that address and port
		}
		switch {
		case a.Kind == packet.KindTCP && a.TCP.DstPort == c.Source.Port() && a.TCP.Ack == 78 && a.TCP.Flags.Has(packet.RST):
			c.Outcome, c.Reset = detect.Refused, 1
			return true
		case a.Kind == packet.KindTCP && a.TCP.DstPort == c.Source.Port() && a.TCP.Ack == 78 && a.TCP.Flags.Has(packet.SYN):
			c.Outcome, c.Accepted = detect.Opened, 1
			return true
		case (a.Kind == packet.KindUnreachable || a.Kind == packet.KindTimeExceeded) && q.HasSeq() && q.SrcPort == c.Source.Port() && q.Seq == 77:
			c.Outcome, c.From, c.Said = detect.Rejected, a.From(), detect.RejectionText(a.IP.Version == 4, a.Type, a.Code)
			return true
		}
	}
}

// A kernel reports every ICMP error by its type and code: a code alone says nothing. Whose packets expire was refused
// by nobody.
func TestRejectionText(t *testing.T) {
	for _, tt := range []struct {
		v4         bool
		kind, code uint8
		want       string
	}{
		{true, packet.ICMPv4Unreachable, 0, "network unreachable"},
		{true, packet.ICMPv4Unreachable, 13, "communication administratively prohibited"},
		{true, packet.ICMPv4TimeExceeded, 0, "time exceeded"},
		{true, packet.ICMPv4ParameterProblem, 0, "parameter problem"},
		{false, packet.ICMPv6Unreachable, 0, "no route to destination"},
		{false, packet.ICMPv6TooBig, 0, "packet too big"},
		{false, packet.ICMPv6TimeExceeded, 0, "time exceeded"},
		{false, packet.ICMPv6ParameterProblem, 1, "parameter problem"},
	} {
		got := detect.RejectionText(tt.v4, tt.kind, tt.code)
		if got != tt.want {
			t.Errorf("IPv4 %t, type %d, code %d: %s, want %s", tt.v4, tt.kind, tt.code, got, tt.want)
		}
		c := detect.Control{Outcome: detect.Rejected, From: netip.MustParseAddr("10.0.1.1"), Said: got}
		if rejected := strings.Contains(c.String(), "rejected"); rejected == (got == "time exceeded") {
			t.Errorf("%s: %s", got, &c)
		}
	}
}
