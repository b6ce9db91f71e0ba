// Package pcapng writes what a trace sent and received as a capture file for Wireshark and its like, with a comment
// that says of each packet what it was to the trace.
//
// The format is draft-ietf-opsawg-pcapng (sections cited as 4.1 and so on). Of it only what is needed is here: the
// writer of github.com/gopacket/gopacket/pcapgo writes no comments for packets, and would bring every protocol it
// knows into the program.
package pcapng

import (
	"encoding/binary"
	"io"
	"strconv"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

const (
	blockSection   = 0x0a0d0d0a // 4.1
	blockInterface = 1          // 4.2
	blockPacket    = 6          // 4.3, an Enhanced Packet Block

	byteOrder     = 0x1a2b3c4d
	linkRaw       = 101 // LINKTYPE_RAW: packets begin with their IP header
	lengthUnknown = ^uint64(0)

	optionComment     = 1
	optionApplication = 4 // of a section
	optionName        = 2 // of an interface
	optionResolution  = 9 // of an interface's times
	optionFlags       = 2 // of a packet

	nanoseconds = 9 // of optionResolution: a power of ten

	inbound, outbound = 1, 2 // of optionFlags: a packet's direction
)

// Packet is one packet of a capture.
type Packet struct {
	At       time.Time
	Outbound bool
	Data     []byte // from its IP header on
	Comment  string
}

// Writer writes a capture of one interface.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter begins a capture by a program, of an interface, and says in a comment what it is of.
func NewWriter(w io.Writer, program, iface, comment string) (*Writer, error) {
	c := &Writer{w: w}
	c.begin(blockSection)
	c.u32(byteOrder)
	c.u32(1) // version 1.0: major, minor
	c.buf = binary.LittleEndian.AppendUint64(c.buf, lengthUnknown)
	c.option(optionComment, []byte(comment))
	c.option(optionApplication, []byte(program))
	c.end(0)
	start := len(c.buf)
	c.begin(blockInterface)
	c.u32(linkRaw) // and two reserved bytes
	c.u32(0)       // no limit to a packet's length
	c.option(optionName, []byte(iface))
	c.option(optionResolution, []byte{nanoseconds})
	c.end(start)
	return c, c.flush()
}

// Write writes one packet, at once.
func (c *Writer) Write(p Packet) error {
	c.begin(blockPacket)
	c.u32(0) // the interface
	at := uint64(p.At.UnixNano())
	c.u32(uint32(at >> 32))
	c.u32(uint32(at))
	c.u32(uint32(len(p.Data)))
	c.u32(uint32(len(p.Data)))
	c.padded(p.Data)
	c.option(optionComment, []byte(p.Comment))
	direction := uint32(inbound)
	if p.Outbound {
		direction = outbound
	}
	c.option(optionFlags, binary.LittleEndian.AppendUint32(nil, direction))
	c.end(0)
	return c.flush()
}

func (c *Writer) u32(v uint32) { c.buf = binary.LittleEndian.AppendUint32(c.buf, v) }

// padded adds bytes, and zeros up to a multiple of four.
func (c *Writer) padded(b []byte) {
	c.buf = append(c.buf, b...)
	c.buf = append(c.buf, make([]byte, -len(b)&3)...)
}

// option adds an option (3.5), at most as much of it as its length can say; none where it is empty.
func (c *Writer) option(code uint16, value []byte) {
	if len(value) == 0 {
		return
	}
	value = value[:min(len(value), 0xffff)]
	c.buf = binary.LittleEndian.AppendUint16(c.buf, code)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(value)))
	c.padded(value)
}

// begin begins a block (3.1), its length still 0.
func (c *Writer) begin(kind uint32) {
	c.u32(kind)
	c.u32(0)
}

// end ends the block that began at an offset: the end of its options, and its length on both sides.
func (c *Writer) end(start int) {
	c.u32(0)
	n := uint32(len(c.buf) - start + 4)
	c.u32(n)
	binary.LittleEndian.PutUint32(c.buf[start+4:], n)
}

func (c *Writer) flush() error {
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// Of is the packet of an event, as it was on the wire: a probe that was sent, or a packet that answers one. ok is
// false for all else: what this host could not send, what has nothing to do with us or was not believed, and what
// answers a probe once more that was answered many times. It keeps nothing of the event.
func Of(e trace.Event) (p Packet, ok bool) {
	if e.Probe == nil || e.Err != nil || e.Repeat || e.Reply != nil && !e.Verdict.Authentic() {
		return Packet{}, false
	}
	p = Packet{At: e.Time, Comment: comment(&e)}
	if e.Reply == nil {
		data, err := e.Probe.AppendBinary(nil)
		p.Outbound, p.Data = true, data
		return p, err == nil
	}
	p.Data = append(p.Data, e.Packet...)
	return p, true
}

// comment says what a packet was to the trace.
func comment(e *trace.Event) string {
	probe := "probe " + strconv.Itoa(e.N) + ", TTL " + strconv.Itoa(int(e.Probe.TTL))
	if e.Reply == nil {
		return probe
	}
	said := e.Reply.Kind.String()
	switch e.Reply.Kind {
	case packet.KindTCP:
		said = e.Reply.TCP.Flags.String()
	case packet.KindUnreachable:
		said += ", code " + strconv.Itoa(int(e.Reply.Code))
	}
	text := "answers " + probe + ", after " + milliseconds(e.Time.Sub(e.Sent)) + ": " + said
	if e.Verdict != trace.Believed {
		text = e.Verdict.String() + ": " + text
	}
	return text
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + " ms"
}
