package wire

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// mostAnswer is more than the kernel says of one route.
const mostAnswer = 8 << 10

// askRoute asks for a route: a header and attributes, see rtnetlink(7). Each flow takes some. The kernel answers while
// the request is being sent, so neither call blocks, and the Go runtime isn't told of them, see sendTo. The error is
// the kernel's.
func (r *router) askRoute(header unix.RtMsg, attributes []byte) (h hop, err error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return hop{}, err
	}
	if cerr := raw.Control(func(fd uintptr) { h, err = r.askRouteBy(int(fd), header, attributes) }); cerr != nil {
		return hop{}, cerr
	}
	return h, err
}

func (r *router) askRouteBy(fd int, header unix.RtMsg, attributes []byte) (hop, error) {
	r.asked++
	b := binary.NativeEndian.AppendUint32(r.request[:0], uint32(unix.NLMSG_HDRLEN+unix.SizeofRtMsg+len(attributes)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_GETROUTE)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, r.asked)
	b = binary.NativeEndian.AppendUint32(b, 0) // to the kernel it matters only in what it sends
	b = append(b, header.Family, header.Dst_len, header.Src_len, header.Tos, header.Table, header.Protocol, header.Scope,
		header.Type)
	b = binary.NativeEndian.AppendUint32(b, header.Flags)
	r.request = append(b, attributes...)
	if _, err := transfer(unix.SYS_WRITE, fd, r.request); err != nil {
		return hop{}, err
	}
	if r.answer == nil {
		r.answer = make([]byte, mostAnswer)
	}
	for {
		n, err := transfer(unix.SYS_READ, fd, r.answer)
		if err != nil {
			return hop{}, err
		}
		b := r.answer[:n]
		if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint32(b[8:]) != r.asked {
			continue // the answer to a request that was given up
		}
		body := b[unix.NLMSG_HDRLEN:]
		switch kind := binary.NativeEndian.Uint16(b[4:]); {
		case kind == unix.NLMSG_ERROR:
			return hop{}, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case kind != unix.RTM_NEWROUTE || len(body) < unix.SizeofRtMsg:
			return hop{}, errors.New("the kernel's answer can't be read")
		}
		return parseRoute(body)
	}
}

// attribute appends one (struct rtattr).
func attribute(b []byte, kind uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}
