package packet

import (
	"bytes"
	"reflect"
	"testing"
	"unsafe"
)

// walk uses every reader on a decoded packet, and counts what they yield.
func walk(r *Reply) (objects, labels, options int) {
	for o := range r.Extensions.Objects() {
		objects++
		for range o.MPLS() {
			labels++
		}
		o.Interface()
	}
	for _, e := range [...]*Echo{&r.Echo, &r.Quote.Echo} {
		e.HasID()
		e.Secret()
	}
	for _, t := range [...]*TCP{&r.TCP, &r.Quote.TCP} {
		for range t.Options.All() {
			options++
		}
		t.Options.MSS()
		t.Options.WindowScale()
		t.Options.SACKPermitted()
		t.Options.SACK()
		t.Options.Timestamps()
		t.Options.FastOpen()
		t.HasSeq()
		t.HasAck()
		t.HasFlags()
		t.HasWindow()
		t.HasChecksum()
		t.HasOptions()
	}
	if r.Quote.HasKey() {
		r.Quote.Key()
	}
	r.From()
	return objects, labels, options
}

// within reports whether s lies in b, and can't be appended to into it.
func within(s, b []byte) bool {
	if len(s) == 0 {
		return true
	}
	start, at := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	return at >= start && at+uintptr(len(s)) <= start+uintptr(len(b)) && cap(s) == len(s)
}

// inspect parses b and checks what must hold for any bytes.
func inspect(t testing.TB, b []byte) (*Reply, error) {
	t.Helper()
	before := bytes.Clone(b)
	r := dirty()
	err := Parse(b, r)
	if !bytes.Equal(b, before) {
		t.Fatal("Parse changed its input")
	}
	var fresh Reply
	if again := Parse(b, &fresh); again != err || !reflect.DeepEqual(r, &fresh) {
		t.Fatalf("Parse does not overwrite all of the reply: %+v, then %+v", fresh, r)
	}

	h, q := &r.IP, &r.Quote
	if err != nil && r.Kind != KindOther {
		t.Errorf("error %v and kind %v", err, r.Kind)
	}
	if err == nil {
		if h.HeaderLength < ipv4HeaderLen || h.HeaderLength > h.TotalLength || h.TotalLength > len(b) || h.Src.Is4() != (h.Version == 4) {
			t.Errorf("header: %+v of %d bytes", h, len(b))
		}
		// Link-layer padding changes nothing.
		padded := append(before, 0xa5, 0xa5, 0xa5)
		var p Reply
		if err := Parse(padded, &p); err != nil || !reflect.DeepEqual(p.Clone(), r.Clone()) {
			t.Errorf("with padding: %v", err)
		}
	}
	switch r.Kind {
	case KindOther:
	case KindTCP:
		if r.TCP.Have != h.TotalLength-h.HeaderLength || r.TCP.DataOffset+len(r.TCP.Payload) != r.TCP.Have || !r.TCP.HasOptions() {
			t.Errorf("TCP: %+v in %+v", r.TCP, h)
		}
		if r.Checksum != r.TCP.Checksum || q.IP.Version != 0 {
			t.Error("TCP: checksum or quote")
		}
	case KindEcho:
		if !isICMP(h) || q.IP.Version != 0 || r.Echo.Have != h.TotalLength-h.HeaderLength || icmpHeaderLen+len(r.Echo.Data) != r.Echo.Have {
			t.Errorf("%v: %+v", r.Kind, r.Echo)
		}
	default:
		if !isICMP(h) || q.IP.Version != h.Version || q.isTCP() == q.isEcho() {
			t.Errorf("%v: %+v", r.Kind, q)
		}
		if have := q.IP.HeaderLength + q.TCP.Have + q.Echo.Have; q.Bytes != have && !q.isEcho() || q.Bytes < have || q.Bytes+icmpHeaderLen+r.Extensions.Len() > h.TotalLength-h.HeaderLength {
			t.Errorf("%v: quote of %d bytes, extensions of %d", r.Kind, q.Bytes, r.Extensions.Len())
		}
		if q.TCP.Checksum != CheckUnknown && q.Bytes != q.IP.TotalLength {
			t.Error("the checksum of a segment that is not all there was verified")
		}
	}
	for _, tcp := range []*TCP{&r.TCP, &q.TCP} {
		if tcp.DataOffset > 60 || tcp.Options.Len() > max(0, tcp.DataOffset-tcpHeaderLen) || tcp.Flags >= 1<<flagBits {
			t.Errorf("TCP: %+v", tcp)
		}
		if !tcp.HasSeq() && tcp.Seq != 0 || !tcp.HasAck() && tcp.Ack != 0 || !tcp.HasFlags() && tcp.Flags != 0 || !tcp.HasWindow() && tcp.Window != 0 || !tcp.HasChecksum() && tcp.ChecksumField != 0 {
			t.Errorf("TCP: a field that was not there: %+v", tcp)
		}
	}
	if r.Extensions.Len() > 0 && (r.Extensions.Len() < extensionHeaderLen || r.Extensions.b[0]>>4 != extensionVersion) || r.Extensions.Compliant && r.Extensions.LengthField < minExtendedQuote {
		t.Errorf("extensions: %+v", r.Extensions)
	}
	for _, s := range [][]byte{h.Options, r.TCP.Payload, r.Echo.Data, q.IP.Options, q.TCP.Payload, q.Echo.Data, r.Extensions.b} {
		if !within(s, b) {
			t.Errorf("a slice of %d bytes, capacity %d, is not within the input", len(s), cap(s))
		}
	}
	for o := range r.Extensions.Objects() {
		if i, _ := o.Interface(); !within(o.Data, b) || !within(i.Name, b) || len(i.Name) >= maxNameField {
			t.Errorf("object %+v", o)
		}
	}
	objects, labels, options := walk(r)
	if objects > len(b)/objectHeaderLen || labels > len(b)/4 || options > 2*maxOptions {
		t.Errorf("%d objects, %d labels, %d options in %d bytes", objects, labels, options, len(b))
	}

	clone := r.Clone()
	if !reflect.DeepEqual(clone, r) {
		t.Error("the clone differs")
	}
	for _, s := range [][]byte{clone.IP.Options, clone.TCP.Payload, clone.Echo.Data, clone.Quote.IP.Options, clone.Quote.TCP.Payload, clone.Quote.Echo.Data, clone.Extensions.b} {
		if len(s) > 0 && within(s, b) {
			t.Error("the clone shares bytes with the input")
		}
	}
	return r, err
}

// dirty is a Reply in which everything is set, as one that is used again is.
func dirty() *Reply {
	r := new(Reply)
	if err := Parse(dirtyPacket, r); err != nil {
		panic(err)
	}
	r.TCP = r.Quote.TCP
	r.MTU, r.Pointer = 9, 9
	r.Echo.parse(dirtyPacket)
	r.Quote.Echo = r.Echo
	r.IP.SegmentsLeft, r.Quote.IP.SegmentsLeft = 9, 9
	r.IP.FlowLabel, r.Quote.IP.FlowLabel = 9, 9
	return r
}

var dirtyPacket = func() []byte {
	p := probe4()
	p.Length, p.Flags = 1000, 0xfff
	e := icmpAbout(p, must(p.AppendBinary(nil)))
	e.Extensions = must(AppendMPLS(nil, Label{Label: 1}))
	return must(AppendICMP(nil, &e))
}()
