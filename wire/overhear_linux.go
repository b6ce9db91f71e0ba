package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// Overhear listens to the packets of a connection of this host until it has heard one of each direction. Nothing is
// sent. It needs Options.Attempts, and must not be called beside Attempt. The error is a [SessionError] if none came in
// time.
func (c *Conn) Overhear(
	ctx context.Context, source, target netip.AddrPort, wait time.Duration,
) (o Overheard, err error) {
	if c.aside == nil {
		return o, opError("listening to", source, ErrNoPacketSocket)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, &SessionError{Why: "nothing"})
	defer cancel()
	code, err := segments(source.Port(), target.Port())
	if err == nil {
		err = c.listenAside(code)
	}
	if err != nil {
		return o, opError("listening to", source, err)
	}
	var left, came bool
	buf := make([]byte, longestSegment)
	for !left || !came {
		all, _ := c.heardAside(buf)
		for i := range all {
			p := &all[i]
			switch {
			case p.TCP.Flags.Has(packet.RST), p.TCP.Flags.Has(packet.SYN), !p.TCP.Flags.Has(packet.ACK):
			case p.outgoing && p.from == source && p.to == target:
				left = true
				o.take(p)
			case !p.outgoing && p.from == target && p.to == source && p.Checksum != packet.CheckBad:
				came = true
				o.take(p)
			}
		}
		if left && came {
			break
		}
		fds := []unix.PollFd{{Fd: int32(c.aside.fd), Events: unix.POLLIN}}
		step := unix.NsecToTimespec(int64(50 * time.Millisecond))
		if _, err := unix.Ppoll(fds, &step, nil); err != nil && err != unix.EINTR {
			return o, opError("listening to", source, err)
		}
		if ctx.Err() != nil {
			return o, silentFor(left, came, wait, context.Cause(ctx))
		}
	}
	return o, nil
}

// longestSegment is how long the copy of a segment may be that leaves: the interface cuts it into packets.
const longestSegment = 1 << 16

// take takes in a packet of the connection.
func (o *Overheard) take(p *aboutBeginning) {
	if !p.outgoing {
		o.Next, o.TTL = p.TCP.Ack, p.IP.TTL
		return
	}
	o.Ack, o.FlowLabel, o.TOS = p.TCP.Ack, p.IP.FlowLabel, p.IP.TOS
	if val, ecr, ok := p.TCP.Options.Timestamps(); ok {
		o.Timestamps, o.TSval, o.TSecr = true, val-older, ecr
	}
}

// silentFor is why a connection can't be overheard.
func silentFor(left, came bool, wait time.Duration, cause error) error {
	if !errors.As(cause, new(*SessionError)) {
		return cause // interrupted
	}
	what := "no packet of it was seen"
	switch {
	case left:
		what = "no packet of it came in"
	case came:
		what = "no packet of it left"
	}
	return &SessionError{Why: fmt.Sprintf("%s in %v", what, wait)}
}

// segments is the filter for the TCP segments between two ports, in both directions.
func segments(one, other uint16) ([]bpf.RawInstruction, error) {
	var p program
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.when(etherIPv6, "v6")
	p.unless(etherIPv4, drop)
	p.add(bpf.LoadAbsolute{Off: 6, Size: 2})
	p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff}) // only a first fragment has ports
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
	p.add(bpf.LoadIndirect{Off: 0, Size: 4})
	p.when(uint32(one)<<16|uint32(other), keep)
	p.when(uint32(other)<<16|uint32(one), keep)
	p.jump(drop)
	p.end()
	return p.assemble()
}

// Silent is a Conn that hears no TCP segments: they are the business of the kernel that holds the connection.
type Silent struct{ *Conn }

// Recv is that of [Conn.Recv], without TCP segments.
func (s Silent) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	for {
		n, at, err := s.Conn.Recv(ctx, buf)
		if err != nil {
			return n, at, err
		}
		var r packet.Reply
		if packet.Parse(buf[:n], &r) != nil || r.Kind != packet.KindTCP {
			return n, at, nil
		}
	}
}

// Connections are the open TCP connections of this host; with a process only those that it holds.
func Connections(process int) (all []Established, err error) {
	held, err := socketsOf(process)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			e, state, ok := parseConnection(lines.Text())
			if ok && state == tcpEstablished && (process == 0 || held[e.inode]) {
				all = append(all, e)
			}
		}
		f.Close() // of a file that is only read
	}
	return all, nil
}

// socketsOf are the sockets that a process holds, by inode; process 0: none is asked for.
func socketsOf(process int) (map[uint64]bool, error) {
	if process == 0 {
		return nil, nil
	}
	dir := fmt.Sprintf("/proc/%d/fd", process)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	held := make(map[uint64]bool)
	for _, f := range files {
		to, _ := os.Readlink(dir + "/" + f.Name()) // it may be closed by now
		if number, ok := strings.CutPrefix(to, "socket:["); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			held[n] = true
		}
	}
	return held, nil
}

// parseConnection reads a line of /proc/net/tcp, see proc(5).
func parseConnection(line string) (e Established, state uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return e, 0, false
	}
	var ok1, ok2 bool
	e.Source, ok1 = parseEnd(fields[1])
	e.Target, ok2 = parseEnd(fields[2])
	state, err := strconv.ParseUint(fields[3], 16, 8)
	uid, err2 := strconv.ParseUint(fields[7], 10, 32)
	inode, err3 := strconv.ParseUint(fields[9], 10, 64)
	e.UID, e.inode = uint32(uid), inode
	return e, state, ok1 && ok2 && errors.Join(err, err2, err3) == nil
}

// parseEnd reads an address and a port: the address in words of 4 bytes, in this host's order.
func parseEnd(s string) (a netip.AddrPort, ok bool) {
	text, port, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	b, err2 := hex.DecodeString(text)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return a, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
