package lab

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is one packet as tcpdump would have seen it.
type Packet struct {
	Time time.Time // the kernel's, when it came in or went out
	Out  bool      // the host sent it
	Data []byte    // from the IP header on. A checksum that the link has no use for may be unfinished
}

// Capture records the IP packets that pass an interface, both ways: also those of the kernel's own, such as reports
// of multicast listeners.
type Capture struct {
	f       *os.File
	done    chan struct{} // closed when the reader has ended
	stopped sync.Once
	mu      sync.Mutex
	packets []Packet
	err     error
}

// Capture records from the moment it returns until Stop, at the latest until t ends. Packets that the kernel had no
// room for fail t.
func (i *Interface) Capture(t testing.TB) *Capture {
	t.Helper()
	c := &Capture{done: make(chan struct{})}
	err := within(i.Host.ns, func() error {
		var err error
		c.f, err = packetSocket(i.Index)
		return err
	})
	if err != nil {
		t.Fatalf("lab: capture on %s of %s: %v", i.Name, i.Host.Name, err)
	}
	go c.read()
	t.Cleanup(func() { c.Stop(t) })
	return c
}

// packetSocket opens a packet socket (packet(7)) without link headers that is already recording.
func packetSocket(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network byte order
	const room = 64 << 20
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room)
	if errors.Is(err, unix.EPERM) { // root of a user namespace has as much as anyone
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
	err = errors.Join(err,
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

// read records until the deadline that Stop sets, and then what has come by then.
func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.f.SyscallConn()
	buf := make([]byte, 1<<16)
	drain := func(fd uintptr) bool {
		for err == nil {
			err = c.receive(int(fd), buf)
		}
		again := errors.Is(err, unix.EAGAIN)
		if again {
			err = nil
		}
		return !again
	}
	if err == nil {
		rerr := raw.Read(drain)
		if errors.Is(rerr, os.ErrDeadlineExceeded) {
			rerr = raw.Control(func(fd uintptr) { drain(fd) })
		}
		err = errors.Join(err, rerr)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *Capture) receive(fd int, buf []byte) error {
	var oob [64]byte
	n, oobn, _, from, err := unix.Recvmsg(fd, buf, oob[:], 0)
	if err != nil {
		return err
	}
	link, ok := from.(*unix.SockaddrLinklayer)
	if !ok {
		return errors.New("a packet from no link")
	}
	var proto [2]byte
	binary.NativeEndian.PutUint16(proto[:], link.Protocol)
	if p := binary.BigEndian.Uint16(proto[:]); p != unix.ETH_P_IP && p != unix.ETH_P_IPV6 {
		return nil
	}
	at, err := timestamp(oob[:oobn])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, Packet{Time: at, Out: link.Pkttype == unix.PACKET_OUTGOING, Data: slices.Clone(buf[:n])})
	return nil
}

func timestamp(oob []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS {
			continue
		}
		switch len(m.Data) { // of a struct timespec, as wide as the machine's words
		case 16:
			return time.Unix(
				int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])),
			), nil
		case 8:
			return time.Unix(int64(binary.NativeEndian.Uint32(m.Data)), int64(binary.NativeEndian.Uint32(m.Data[4:]))), nil
		}
	}
	return time.Time{}, errors.New("a packet without a timestamp")
}

// Packets are those recorded so far, in order.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Stop ends the recording and returns all of it. What had passed the interface before is in it.
func (c *Capture) Stop(t testing.TB) []Packet {
	t.Helper()
	c.stopped.Do(func() {
		err := c.f.SetReadDeadline(time.Now())
		<-c.done
		if err := errors.Join(err, c.err, c.lost(), c.f.Close()); err != nil {
			t.Errorf("lab: capture: %v", err)
		}
	})
	return c.Packets()
}

func (c *Capture) lost() error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		var s *unix.TpacketStats
		if s, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil && s.Drops > 0 {
			err = errors.New("packets lost for want of room")
		}
	})
	return errors.Join(cerr, err)
}
