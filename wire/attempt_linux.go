package wire

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// maxCame is how many answers to an attempt are told of.
const maxCame = 8

// Attempt asks the kernel for an ordinary connection, without letting the target's program know, as [Unprivileged]
// does. The error says why it could not be asked. It may be called beside Send and Recv, and needs Options.Attempts
// to follow the connection.
func (c *Conn) Attempt(ctx context.Context, o AttemptOptions) (Attempt, error) {
	var prepared []int
	if c.flows.mark != 0 {
		if prepared = c.takeMarked(o.Target.Addr().Is4()); prepared == nil {
			return Attempt{}, opError("connecting with mark", c.flows.mark, ErrPrivilege)
		}
	}
	u := &Unprivileged{clock: newClock(), iface: o.Interface, zones: make(map[uint16]netip.Addr), wake: -1, wait: o.Wait,
		prepared: prepared, ordinary: true}
	defer u.Close()
	var err error
	if u.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return Attempt{}, opError("eventfd", nil, err)
	}
	port, err := u.evenPort(o.Source)
	if err != nil {
		return Attempt{}, err
	}
	followed := c.aside != nil && c.followBeginnings() == nil
	a := Attempt{Source: netip.AddrPortFrom(o.Source.WithZone(""), port), Target: o.Target, SYNs: 1}
	a.connect(ctx, u, o)
	u.Close() // no more comes of it
	a.SYNs += u.Repeated()
	if ctx.Err() != nil {
		return Attempt{}, ctx.Err()
	}
	if !followed {
		return a, nil
	}
	if all, whole := c.heardAside(make([]byte, 2048)); whole {
		a.took(all, c.flows.sent, c.route.named)
	}
	return a, nil
}

// evenPort reserves an even source port, if there is one. The kernel chooses even ports for connections (connect(2)),
// and odd ones for sockets that are bound, as those of the probes are: a router or a filter that looks at the lowest
// bit treats them differently, and the connection shall show what others meet.
func (u *Unprivileged) evenPort(src netip.Addr) (uint16, error) {
	port, err := u.Reserve(netip.AddrPortFrom(src, 0))
	if err != nil || port%2 == 0 {
		return port, err
	}
	if even, err := u.Reserve(netip.AddrPortFrom(src, port-1)); err == nil {
		return even, nil
	}
	return port, nil
}

// mostMarked is how many connections with a mark can be asked for in each family.
const mostMarked = 2

// markedSocket is a socket whose connection has the mark of the probes.
type markedSocket struct{ family, fd int }

// openMarked opens the sockets of connections with the mark of the probes, while there is the privilege that setting it
// takes. Where it can't, there will be none.
func (c *Conn) openMarked() {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for range mostMarked {
			fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return
			}
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(c.flows.mark)) != nil {
				unix.Close(fd)
				return
			}
			c.marked = append(c.marked, markedSocket{family, fd})
		}
	}
}

// takeMarked returns a marked socket that was not used yet; nil: there is none.
func (c *Conn) takeMarked(v4 bool) []int {
	family := unix.AF_INET6
	if v4 {
		family = unix.AF_INET
	}
	for i, s := range c.marked {
		if s.family == family {
			c.marked = slices.Delete(c.marked, i, i+1)
			return []int{s.fd}
		}
	}
	return nil
}

// connect waits for what comes of a connection.
func (a *Attempt) connect(ctx context.Context, u *Unprivileged, o AttemptOptions) {
	ctx, cancel := context.WithTimeout(ctx, o.Wait)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-o.Enough:
			cancel()
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel()
	p := packet.Probe{Src: a.Source, Dst: o.Target, TOS: o.TOS, Flags: packet.SYN} // the rest is the kernel's
	begun := time.Now()
	sent, err := u.Send(p)
	if err != nil {
		a.State, a.Err = AttemptFailed, bare(err)
		return
	}
	var buf [2048]byte
	var r packet.Reply
	n, at, err := u.Recv(ctx, buf[:])
	if err != nil || packet.Parse(buf[:n], &r) != nil {
		if a.Waited = o.Wait; ctx.Err() != context.DeadlineExceeded {
			a.Waited = min(o.Wait, time.Since(begun))
		}
		return
	}
	a.Waited, a.From = max(0, at.Sub(sent)), r.From()
	switch {
	case r.Kind != packet.KindTCP:
		a.State, a.Type, a.Code = AttemptRejected, r.Type, r.Code
	case r.TCP.Flags.Has(packet.RST):
		a.State = AttemptRefused
	default:
		a.State = AttemptOpened
	}
}

// followBeginnings hears connections begin, from now on.
func (c *Conn) followBeginnings() error {
	code, err := beginnings()
	if err != nil {
		return err
	}
	return c.listenAside(code)
}

// listenAside hears what a filter lets through, from now on.
func (c *Conn) listenAside(code []bpf.RawInstruction) error {
	err := attach(c.aside.fd, code)
	if err == nil && !c.asideBound {
		err = unix.Bind(c.aside.fd, &unix.SockaddrLinklayer{Protocol: hton(unix.ETH_P_ALL)})
		c.asideBound = err == nil
	}
	c.aside.drain()
	unix.GetsockoptTpacketStats(c.aside.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // what was lost before doesn't matter
	return err
}

// aboutBeginning is a packet that begins a connection, or answers one that does.
type aboutBeginning struct {
	heard
	from, to netip.AddrPort
	packet.Reply
}

// heardAside are the packets since listenAside. ok is false if some may be missing. Those that are longer than buf are.
func (c *Conn) heardAside(buf []byte) (all []aboutBeginning, ok bool) {
	var oob [256]byte
	for {
		h, err := c.aside.read(buf, oob[:])
		if err == unix.EINTR || err == unix.ENETDOWN {
			continue
		}
		if err != nil {
			break
		}
		b := buf[:h.n]
		if h.unfinished {
			packet.CompleteTCPChecksum(b)
		}
		var r packet.Reply
		if packet.Parse(b, &r) != nil || r.Kind != packet.KindTCP {
			continue
		}
		r = *r.Clone()
		all = append(all, aboutBeginning{
			h, netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort), netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), r,
		})
	}
	s, err := unix.GetsockoptTpacketStats(c.aside.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	return all, err == nil && s.Drops == 0
}

// took takes in what was heard of an attempt. It is known by its source port until its first number is known. probe
// reports whether a number is that of a probe, and name names interfaces.
func (a *Attempt) took(all []aboutBeginning, probe func(seq uint32) bool, name func(index int) string) {
	next := uint32(0)
	others := map[uint32][]int64{} // when SYNs left that are somebody else's, or this one, translated to another port
	for _, p := range all {
		switch {
		case !p.outgoing || p.from.Addr().Is4() != a.Source.Addr().Is4() || probe(p.TCP.Seq):
			continue
		case p.from.Port() != a.Source.Port():
			if !slices.Contains(others[p.TCP.Seq], p.stamp) {
				others[p.TCP.Seq] = append(others[p.TCP.Seq], p.stamp)
			}
			continue
		case a.Left == nil:
			a.Left = &Leaving{
				Ends: packet.Ends{Src: p.from, Dst: p.to}, Mark: p.mark, TOS: p.IP.TOS, TTL: p.IP.TTL, Loopback: p.loopback,
				Options: p.TCP.Options,
			}
			next = p.TCP.Seq + 1
		}
		if val, _, ok := p.TCP.Options.Timestamps(); ok && !slices.Contains(a.Stamps, val) {
			a.Stamps = append(a.Stamps, val)
		}
		if by := name(p.index); !slices.Contains(a.Left.Interfaces, by) {
			a.Left.Interfaces = append(a.Left.Interfaces, by)
		}
	}
	if a.Left == nil {
		a.Followed = true
		for _, stamps := range others {
			if len(stamps) >= min(a.SYNs, 2) { // this one would have been repeated, too
				a.Followed = false
			}
		}
		return
	}
	a.Followed = true
	a.cameFor(all, next)
}

// cameFor counts the answers that acknowledge a number.
func (a *Attempt) cameFor(all []aboutBeginning, next uint32) {
	var stamps []int64 // of those told of: on a bond and on its member the same packet is heard twice
	for _, p := range all {
		// Only what the kernel has to take for an answer: from elsewhere, or without ACK, it is none. On loopback its
		// addresses have been translated back already, and on a bridge that of its receiver may have been.
		answers := !p.outgoing && p.TCP.Flags.Has(packet.ACK) && p.TCP.Ack == next &&
			(p.to == a.Left.Ends.Src || p.to == a.Source) &&
			(p.from == a.Left.Ends.Dst || p.loopback && p.from == a.Target)
		if answers && len(a.Came) < maxCame && !slices.Contains(stamps, p.stamp) {
			stamps = append(stamps, p.stamp)
			a.Came = append(a.Came, AttemptCame{p.Reply, p.loopback})
		}
	}
}

// sent reports whether a number is that of a flow of probes.
func (f *flows) sent(seq uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.followed, func(flow followed) bool { return flow.seq == seq })
}

// TCP's flags, as a filter sees them.
const (
	flagSYN    = 0x02
	flagRST    = 0x04
	flagACK    = 0x10
	flagOffset = 13
)

// beginnings is the filter for SYNs that leave, and for SYN+ACKs and resets that come in.
func beginnings() ([]bpf.RawInstruction, error) {
	var p program
	flags := func(mask uint32) { p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask}) }
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.when(etherIPv6, "v6")
	p.unless(etherIPv4, drop)
	p.add(bpf.LoadAbsolute{Off: 6, Size: 2})
	flags(0x1fff) // only a first fragment has ports
	p.unless(0, drop)
	p.add(bpf.LoadAbsolute{Off: 9, Size: 1})
	p.unless(protoTCP, drop)
	p.add(bpf.LoadMemShift{Off: 0})
	p.jump("tcp")
	p.label("v6")
	p.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	p.unless(protoTCP, drop)
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: header6Length})
	p.label("tcp")
	p.add(bpf.LoadExtension{Num: bpf.ExtType})
	p.when(packetOutgoing, "leaving")
	p.unless(packetHost, drop)
	p.add(bpf.LoadIndirect{Off: flagOffset, Size: 1})
	flags(flagSYN | flagRST | flagACK)
	p.when(flagSYN|flagACK, keep)
	flags(flagRST)
	p.unless(0, keep)
	p.jump(drop)
	p.label("leaving")
	p.add(bpf.LoadIndirect{Off: flagOffset, Size: 1})
	flags(flagSYN | flagRST | flagACK)
	p.when(flagSYN, keep)
	p.jump(drop)
	p.end()
	return p.assemble()
}
