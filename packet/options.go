package packet

import (
	"encoding/binary"
	"errors"
	"iter"
)

// TCP option kinds, from the IANA registry of TCP parameters.
const (
	OptionEnd           = 0  // RFC 9293 3.1
	OptionNOP           = 1  // RFC 9293 3.1
	OptionMSS           = 2  // RFC 9293 3.7.1
	OptionWindowScale   = 3  // RFC 7323 2
	OptionSACKPermitted = 4  // RFC 2018 2
	OptionSACK          = 5  // RFC 2018 3
	OptionTimestamps    = 8  // RFC 7323 3
	OptionMPTCP         = 30 // RFC 8684 3
	OptionFastOpen      = 34 // RFC 7413 4.1.1
)

const maxOptions = 40

// Errors of the option builders.
var (
	// ErrOptionSpace: the option doesn't fit into the 40 bytes of a TCP header.
	ErrOptionSpace = errors.New("TCP options longer than 40 bytes")
	// ErrOptionData: NOP and End are a single byte.
	ErrOptionData = errors.New("TCP option takes no data")
)

// Options are the encoded TCP options of one segment, 0 to 40 bytes. They are
// comparable: equal bytes are equal values. The zero value holds none.
type Options struct {
	b [maxOptions]byte // zero beyond n
	n uint8
}

// Option is one TCP option. Data is what follows kind and length, nil for NOP.
type Option struct {
	Kind uint8
	Data []byte
}

// SACKBlock is one block of a SACK option (RFC 2018 3): Left is its first
// sequence number, Right the one just behind it.
type SACKBlock struct{ Left, Right uint32 }

// ParseOptions returns the options encoded in b, of which it takes at most 40
// bytes. Malformed bytes stay as they are; the readers stop before them.
func ParseOptions(b []byte) Options {
	var o Options
	o.set(b)
	return o
}

func (o *Options) set(b []byte) { o.n = uint8(copy(o.b[:], b)) }

// Len is the number of bytes, without the padding to 32 bits.
func (o Options) Len() int { return int(o.n) }

// paddedLen is what they take in a header.
func (o Options) paddedLen() int { return (int(o.n) + 3) &^ 3 }

// Append appends the encoded options to b, without padding.
func (o Options) Append(b []byte) []byte { return append(b, o.b[:o.n]...) }

// next cuts the first option off b. It reports false at the end of the list: at
// its last byte, at an End option, and at an option that is malformed (a length
// below 2, or beyond the last byte).
func next(b []byte) (opt Option, rest []byte, ok bool) {
	if len(b) == 0 || b[0] == OptionEnd {
		return Option{}, nil, false
	}
	if b[0] == OptionNOP {
		return Option{Kind: OptionNOP}, b[1:], true
	}
	if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
		return Option{}, nil, false
	}
	n := int(b[1])
	return Option{b[0], b[2:n:n]}, b[n:], true
}

// All yields the options in their order, NOPs (which a middlebox writes over
// what it takes away) included. It ends at an End option, which it does not
// yield, at the last byte, or before the first malformed option. What it yields
// points into o.
func (o *Options) All() iter.Seq[Option] {
	return func(yield func(Option) bool) {
		b := o.b[:o.n]
		for {
			opt, rest, ok := next(b)
			if !ok || !yield(opt) {
				return
			}
			b = rest
		}
	}
}

// find returns the data of the first option of a kind. The slice points into o.
func (o *Options) find(kind uint8) ([]byte, bool) {
	b := o.b[:o.n]
	for {
		opt, rest, ok := next(b)
		if !ok {
			return nil, false
		}
		if opt.Kind == kind {
			return opt.Data, true
		}
		b = rest
	}
}

// MSS returns the maximum segment size, in bytes. As with the other readers, ok
// is false where the option is absent or of the wrong length, and the first of
// a kind counts.
func (o Options) MSS() (mss uint16, ok bool) {
	d, _ := o.find(OptionMSS)
	if len(d) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(d), true
}

// WindowScale returns the shift count, 0 to 255 as it stands (above 14 counts
// as 14, RFC 7323 2.3).
func (o Options) WindowScale() (shift uint8, ok bool) {
	d, _ := o.find(OptionWindowScale)
	if len(d) != 1 {
		return 0, false
	}
	return d[0], true
}

// SACKPermitted reports whether the option is there.
func (o Options) SACKPermitted() bool {
	d, ok := o.find(OptionSACKPermitted)
	return ok && len(d) == 0
}

// SACK returns the n blocks of a SACK option; there are at most 4 in 40 bytes.
func (o Options) SACK() (blocks [4]SACKBlock, n int, ok bool) {
	d, _ := o.find(OptionSACK)
	if len(d) == 0 || len(d)%8 != 0 {
		return blocks, 0, false
	}
	for ; len(d) > 0; d = d[8:] {
		blocks[n] = SACKBlock{binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])}
		n++
	}
	return blocks, n, true
}

// Timestamps returns TSval and TSecr.
func (o Options) Timestamps() (val, ecr uint32, ok bool) {
	d, _ := o.find(OptionTimestamps)
	if len(d) != 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:]), true
}

// FastOpen returns the cookie, empty in a request for one. Its length is not
// checked against RFC 7413's 4 to 16 bytes. It points into o.
func (o *Options) FastOpen() (cookie []byte, ok bool) { return o.find(OptionFastOpen) }

// With returns o with one more option at its end. NOP and End are a single
// byte and take no data. Errors: [ErrOptionSpace], [ErrOptionData].
func (o Options) With(kind uint8, data ...byte) (Options, error) {
	need := 1
	if kind > OptionNOP {
		need = 2 + len(data)
	} else if len(data) > 0 {
		return o, ErrOptionData
	}
	n := int(o.n)
	if n+need > maxOptions {
		return o, ErrOptionSpace
	}
	o.b[n] = kind
	if kind > OptionNOP {
		o.b[n+1] = uint8(need)
		copy(o.b[n+2:], data)
	}
	o.n += uint8(need)
	return o, nil
}

// WithMSS appends a maximum segment size, in bytes.
func (o Options) WithMSS(mss uint16) (Options, error) {
	return o.With(OptionMSS, byte(mss>>8), byte(mss))
}

// WithWindowScale appends a window scale.
func (o Options) WithWindowScale(shift uint8) (Options, error) {
	return o.With(OptionWindowScale, shift)
}

// WithSACKPermitted appends SACK permitted.
func (o Options) WithSACKPermitted() (Options, error) { return o.With(OptionSACKPermitted) }

// WithSACK appends a SACK option with these blocks.
func (o Options) WithSACK(blocks ...SACKBlock) (Options, error) {
	if len(blocks) > 4 {
		return o, ErrOptionSpace
	}
	var d [32]byte
	for i, s := range blocks {
		binary.BigEndian.PutUint32(d[8*i:], s.Left)
		binary.BigEndian.PutUint32(d[8*i+4:], s.Right)
	}
	return o.With(OptionSACK, d[:8*len(blocks)]...)
}

// WithTimestamps appends timestamps.
func (o Options) WithTimestamps(val, ecr uint32) (Options, error) {
	var d [8]byte
	binary.BigEndian.PutUint32(d[0:], val)
	binary.BigEndian.PutUint32(d[4:], ecr)
	return o.With(OptionTimestamps, d[:]...)
}

// WithFastOpen appends a Fast Open option, a cookie request where cookie is
// empty.
func (o Options) WithFastOpen(cookie []byte) (Options, error) {
	return o.With(OptionFastOpen, cookie...)
}
