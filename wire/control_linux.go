package wire

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

// The control messages that come with packets: the kernel's times and what it knows of the checksum.

const (
	statusChecksumNotReady = 1 << 3 // TP_STATUS_CSUMNOTREADY, linux/if_packet.h
	sizeofExtendedErr      = 16     // struct sock_extended_err, linux/errqueue.h
)

// messages walks control messages; what is malformed ends it.
func messages(oob []byte, each func(level, kind int32, data []byte)) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		each(h.Level, h.Type, data)
		oob = rest
	}
}

// parseReceived reads what came with a received packet: the kernel's time in ns since 1970 (0: none), whether the
// segment's checksum was left for a device to fill in that it never passed, and the mark.
func parseReceived(oob []byte) (h heard) {
	messages(oob, func(level, kind int32, data []byte) {
		switch {
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS:
			h.stamp = timespec(data)
		case level == unix.SOL_SOCKET && kind == unix.SO_MARK && len(data) >= 4:
			h.mark = binary.NativeEndian.Uint32(data)
		case level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA && len(data) >= 4:
			h.unfinished = binary.NativeEndian.Uint32(data)&statusChecksumNotReady != 0
		}
	})
	return h
}

// ipv6FlowInfo is IPV6_FLOWINFO of linux/in6.h.
const ipv6FlowInfo = 11

// header6 is what comes with a packet from a raw IPv6 socket, of the header that the kernel has taken off (ipv6(7)).
type header6 struct {
	dst   [16]byte
	hops  uint8
	class uint8
	label uint32
}

func parseHeader6(oob []byte) (h header6) {
	messages(oob, func(level, kind int32, data []byte) {
		switch {
		case level != unix.SOL_IPV6:
		case kind == unix.IPV6_PKTINFO && len(data) >= len(h.dst):
			copy(h.dst[:], data)
		case kind == unix.IPV6_HOPLIMIT:
			h.hops = small(data)
		case kind == unix.IPV6_TCLASS:
			h.class = small(data)
		case kind == ipv6FlowInfo && len(data) >= 4:
			h.label = binary.BigEndian.Uint32(data) & 0xfffff
		}
	})
	return h
}

// parseStamp reads a transmit time from the error queue, and the number of the packet that it is of. ok is false where
// the entry is something else.
func parseStamp(oob []byte) (stamp int64, id uint32, ok bool) {
	messages(oob, func(level, kind int32, data []byte) {
		switch {
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPING:
			stamp = timespec(data) // the first of three is the software stamp
		case level == unix.SOL_IP && kind == unix.IP_RECVERR, level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR,
			level == unix.SOL_PACKET && kind == unix.PACKET_TX_TIMESTAMP:
			if len(data) >= sizeofExtendedErr && data[4] == unix.SO_EE_ORIGIN_TIMESTAMPING {
				id, ok = binary.NativeEndian.Uint32(data[12:]), true
			}
		}
	})
	return stamp, id, ok && stamp != 0
}

// timespec reads the first struct timespec of b as ns since 1970; its fields are as wide as the machine's words.
func timespec(b []byte) int64 {
	switch {
	case strconv.IntSize == 64 && len(b) >= 16:
		return int64(binary.NativeEndian.Uint64(b))*1e9 + int64(binary.NativeEndian.Uint64(b[8:]))
	case strconv.IntSize == 32 && len(b) >= 8:
		sec, nsec := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:]) // without a sign it lasts until 2106
		return int64(sec)*1e9 + int64(nsec)
	}
	return 0
}
