package sim

import (
	"encoding/binary"
	"slices"

	"go.example/tcptraceroute/packet"
)

// Mangle is what a middlebox does to the TCP header of packets that it forwards,
// the target's answers left alone. What is left zero stays as it is; the checksum
// is carried along.
type Mangle struct {
	MSS        uint16       // a larger maximum segment size is lowered to this
	RaiseMSS   uint16       // a smaller one is raised to this
	NoOptions  []uint8      // kinds of options that are overwritten with NOPs
	ClearFlags packet.Flags // of the lower eight
	Window     uint16
}

func (w *Mangle) none() bool {
	return w.MSS == 0 && w.RaiseMSS == 0 && len(w.NoOptions) == 0 && w.ClearFlags == 0 && w.Window == 0
}

func (w *Mangle) apply(b []byte) {
	l4 := transport(b)
	if l4+tcpHeaderLen > len(b) {
		return
	}
	if w.ClearFlags != 0 {
		put16(b, l4+12, binary.BigEndian.Uint16(b[l4+12:])&^uint16(w.ClearFlags), l4+tcpSum)
	}
	if w.Window != 0 {
		put16(b, l4+14, w.Window, l4+tcpSum)
	}
	for at, end := l4+tcpHeaderLen, min(l4+int(b[l4+12]>>4)*4, len(b)); at < end && b[at] != packet.OptionEnd; {
		if b[at] == packet.OptionNOP {
			at++
			continue
		}
		if at+2 > end || b[at+1] < 2 || at+int(b[at+1]) > end {
			return
		}
		n := int(b[at+1])
		switch kind := b[at]; {
		case slices.Contains(w.NoOptions, kind):
			for i := range n {
				putByte(b, at+i, packet.OptionNOP, l4+tcpSum)
			}
		case kind == packet.OptionMSS && n == 4 && w.MSS != 0 && binary.BigEndian.Uint16(b[at+2:]) > w.MSS:
			putByte(b, at+2, byte(w.MSS>>8), l4+tcpSum)
			putByte(b, at+3, byte(w.MSS), l4+tcpSum)
		case kind == packet.OptionMSS && n == 4 && binary.BigEndian.Uint16(b[at+2:]) < w.RaiseMSS:
			putByte(b, at+2, byte(w.RaiseMSS>>8), l4+tcpSum)
			putByte(b, at+3, byte(w.RaiseMSS), l4+tcpSum)
		}
		at += n
	}
}

// putByte is put16 for one byte, at any offset.
func putByte(b []byte, off int, v byte, sum int) {
	even := off &^ 1
	word := binary.BigEndian.Uint16(b[even:])
	if off == even {
		word = word&0xff | uint16(v)<<8
	} else {
		word = word&0xff00 | uint16(v)
	}
	put16(b, even, word, sum)
}
