package packet

import (
	"errors"
	"reflect"
	"testing"
)

func TestOptions(t *testing.T) {
	block := func(l, r uint32) SACKBlock { return SACKBlock{l, r} }
	type read struct {
		mss              uint16
		wscale           uint8
		sackOK           bool
		val, ecr         uint32
		sack             []SACKBlock
		cookie           string
		hasMSS, hasScale bool
		hasTS, hasCookie bool
	}
	for _, c := range []struct {
		name  string
		bytes string
		kinds []uint8 // what All yields
		read  read
	}{
		{"none", "", nil, read{}},
		{"Linux SYN", "020405b4 0402 080a00000063 00000007 01 030307", []uint8{2, 4, 8, 1, 3},
			read{mss: 1460, hasMSS: true, sackOK: true, val: 99, ecr: 7, hasTS: true, wscale: 7, hasScale: true}},
		{"macOS SYN", "020405b4 01 030306 01 01 080a55597fcd00000000 0402 0000", []uint8{2, 1, 3, 1, 1, 8, 4},
			read{mss: 1460, hasMSS: true, wscale: 6, hasScale: true, val: 0x55597fcd, hasTS: true, sackOK: true}},
		{"SACK, one block", "0101 050a 00000001 00000005", []uint8{1, 1, 5}, read{sack: []SACKBlock{block(1, 5)}}},
		{"SACK, four blocks", "0522 0000000100000002 0000000300000004 0000000500000006 fffffffe00000001", []uint8{5},
			read{sack: []SACKBlock{block(1, 2), block(3, 4), block(5, 6), block(0xfffffffe, 1)}}},
		{"Fast Open cookie", "220a 1122334455667788", []uint8{34}, read{cookie: "\x11\x22\x33\x44\x55\x66\x77\x88", hasCookie: true}},
		{"Fast Open request", "2202 0101", []uint8{34, 1, 1}, read{hasCookie: true}},
		{"unknown kinds are kept", "1e0400aa fd0401ff 020400ff", []uint8{30, 253, 2}, read{mss: 255, hasMSS: true}},
		{"overwritten by NOPs", "01010101 0402 01010101010101010101 01 030307", []uint8{1, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3},
			read{sackOK: true, wscale: 7, hasScale: true}},
		{"what stands behind End is not read", "0402 00 020405b4", []uint8{4}, read{sackOK: true}},
		{"the first of a kind counts", "02040001 02040002", []uint8{2, 2}, read{mss: 1, hasMSS: true}},
		{"MSS of one byte", "02030a 0402", []uint8{2, 4}, read{sackOK: true}},
		{"wrong lengths of each", "0205000000 03040000 040300 0809000000000000 00 0505000000", []uint8{2, 3, 4, 8, 5}, read{}},
		{"SACK without a block", "0502 0402", []uint8{5, 4}, read{sackOK: true}},
		{"length 0", "0402 0200 020405b4", []uint8{4}, read{sackOK: true}},
		{"length 1", "0402 0201 020405b4", []uint8{4}, read{sackOK: true}},
		{"length beyond the end", "0402 080a 000000", []uint8{4}, read{sackOK: true}},
		{"length 255", "0402 feff 00", []uint8{4}, read{sackOK: true}},
		{"a kind without a length", "0402 02", []uint8{4}, read{sackOK: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.bytes)
			o := ParseOptions(b)
			if string(o.Append([]byte("x"))) != "x"+string(b) || o.Len() != len(b) {
				t.Errorf("bytes %x, want %x", o.Append(nil), b)
			}
			var kinds []uint8
			for opt := range o.All() {
				kinds = append(kinds, opt.Kind)
			}
			if !reflect.DeepEqual(kinds, c.kinds) {
				t.Errorf("kinds %v, want %v", kinds, c.kinds)
			}
			var got read
			got.mss, got.hasMSS = o.MSS()
			got.wscale, got.hasScale = o.WindowScale()
			got.sackOK = o.SACKPermitted()
			got.val, got.ecr, got.hasTS = o.Timestamps()
			if blocks, n, ok := o.SACK(); ok {
				got.sack = blocks[:n]
			}
			cookie, ok := o.FastOpen()
			got.cookie, got.hasCookie = string(cookie), ok
			if !reflect.DeepEqual(got, c.read) {
				t.Errorf("read %+v, want %+v", got, c.read)
			}
			// The other direction, where there is nothing but well-formed options.
			var again Options
			n := 0
			for opt := range o.All() {
				again = must(again.With(opt.Kind, opt.Data...))
				n = again.Len()
			}
			if again != ParseOptions(b[:n]) {
				t.Errorf("built %x, want %x", again.Append(nil), b[:n])
			}
		})
	}
}

func TestOptionBuilders(t *testing.T) {
	o := must(Options{}.WithMSS(0xabcd))
	o = must(o.WithWindowScale(14))
	o = must(o.WithSACKPermitted())
	o = must(o.WithSACK(SACKBlock{1, 2}))
	o = must(o.WithFastOpen(nil))
	o = must(o.WithTimestamps(0xdeadbeef, 0xfeedface))
	want := unhex(t, "0204abcd 03030e 0402 050a0000000100000002 2202 080adeadbeeffeedface")
	if string(o.Append(nil)) != string(want) {
		t.Errorf("%x, want %x", o.Append(nil), want)
	}
	if o.Len() != 31 || o.paddedLen() != 32 {
		t.Errorf("length %d, padded %d", o.Len(), o.paddedLen())
	}
	if o != ParseOptions(want) {
		t.Error("equal bytes are not equal values")
	}

	full := must(o.With(254, 1, 2, 3, 4, 5, 6, 7))
	if full.Len() != 40 {
		t.Fatal(full.Len())
	}
	for name, err := range map[string]error{
		"NOP":        second(full.With(OptionNOP)),
		"MSS":        second(full.WithMSS(1)),
		"scale":      second(full.WithWindowScale(1)),
		"permitted":  second(full.WithSACKPermitted()),
		"timestamps": second(full.WithTimestamps(1, 2)),
		"SACK":       second(Options{}.WithSACK(make([]SACKBlock, 5)...)),
		"cookie":     second(Options{}.WithFastOpen(make([]byte, 39))),
		"huge":       second(Options{}.With(9, make([]byte, 300)...)),
	} {
		if !errors.Is(err, ErrOptionSpace) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := full.WithMSS(1); err == nil || got != full {
		t.Error("an error changed the options")
	}
	for _, kind := range []uint8{OptionEnd, OptionNOP} {
		if _, err := (Options{}).With(kind, 1); !errors.Is(err, ErrOptionData) {
			t.Errorf("kind %d with data: %v", kind, err)
		}
	}
	// Beyond 40 bytes nothing is kept, so that equal options stay equal.
	long := make([]byte, 100)
	for i := range long {
		long[i] = 1
	}
	if ParseOptions(long) != ParseOptions(long[:40]) || ParseOptions(long).Len() != 40 {
		t.Error("more than 40 bytes kept")
	}
	// Left early, All does not go on.
	n := 0
	for range full.All() {
		n++
		break
	}
	if n != 1 {
		t.Error(n)
	}
}

func second[T any](_ T, err error) error { return err }
