package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// quoteOf parses an ICMP error that quotes these bytes.
func quoteOf(tb testing.TB, p Probe, quoted []byte) *Quote {
	tb.Helper()
	e := icmpAbout(p, quoted)
	if len(quoted) > 0 {
		e.QuoteLength = len(quoted)
	}
	var r Reply
	if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil && len(quoted) >= 60 {
		tb.Fatal(err)
	}
	return &r.Quote
}

func changesText(q *Quote, p Probe) string {
	var s []string
	for c := range q.Changes(p) {
		s = append(s, c.String())
	}
	return strings.Join(s, "; ")
}

// poke writes bytes at an offset of a packet.
func poke(off int, v ...byte) func([]byte) []byte {
	return func(b []byte) []byte { copy(b[off:], v); return b }
}

// mended brings both checksums up to date after f.
func mended(f func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = f(b)
		CompleteIPChecksum(b)
		CompleteTCPChecksum(b)
		return b
	}
}

func reopted(f func(o Options) Options) func([]byte) []byte {
	return func(b []byte) []byte {
		p := probe4()
		p.Options = f(p.Options)
		return must(p.AppendBinary(nil))
	}
}

func TestChanges(t *testing.T) {
	// In probe4 the options begin at 40: MSS 40, SACK permitted 44, timestamps 46, NOP 56, window scale 57.
	for _, c := range []struct {
		name string
		make func([]byte) []byte
		cut  int
		want string
		sum  Sum
	}{
		{"untouched", poke(0), 0, "", SumBoth},
		{"untouched, RFC 792 minimum", poke(0), 28, "", SumUnknown},
		{"untouched, up to the checksum", poke(0), 38, "", SumBoth},
		{"untouched, in the options", poke(0), 47, "", SumBoth},
		{"TTL", poke(8, 17), 0, "", SumBoth},
		{"DNAT", mended(poke(16, 10, 9, 8, 7)), 0, "destination address 198.18.3.2 -> 10.9.8.7", SumQuoted},
		{"DNAT of the port, minimum", mended(poke(22, 0x1f, 0x90)), 28, "destination port 443 -> 8080", SumUnknown},
		{"SNAT", mended(func(b []byte) []byte { return poke(20, 0xc3, 0x50)(poke(12, 203, 0, 113, 9)(b)) }), 0,
			"source address 198.18.1.1 -> 203.0.113.9; source port 40000 -> 50000", SumQuoted},
		{"NAT undone in the quote, but for the checksum", poke(36, 0xab, 0xcd), 0, "TCP checksum ", SumNeither},
		{"NAT in the quote only", poke(16, 10, 9, 8, 7), 0, "destination address 198.18.3.2 -> 10.9.8.7", SumSent},
		{"IP ID", mended(poke(4, 0xaa, 0xbb)), 0, "IP ID 0x1234 -> 0xaabb", SumBoth},
		{"IP ID in host order", poke(4, 0x34, 0x12), 0, "", SumBoth},
		{"DSCP", mended(poke(1, 0xb8)), 0, "DSCP 0 -> 46", SumBoth},
		{"ECN", mended(poke(1, 0x03)), 0, "ECN 0 -> 3", SumBoth},
		{"don't fragment", mended(poke(6, 0x40)), 0, "don't-fragment bit 0 -> 1", SumBoth},
		{"total length", poke(2, 0, 61), 0, "total length 60 -> 61", SumSent},
		{"total length in host order", poke(2, 60, 0), 0, "", SumBoth},
		{"total length without header", poke(2, 0, 40), 0, "", SumBoth},
		{"total length without header in host order", poke(2, 40, 0), 0, "", SumBoth},
		{"total length with twice the header", poke(2, 0, 80), 0, "", SumBoth},
		{"sequence number", mended(poke(24, 9)), 0, "sequence number 16909060 -> 151126788", SumQuoted},
		{"acknowledgement number", mended(poke(28, 9)), 0, "acknowledgement number 0 -> 150994944", SumQuoted},
		{"flags", mended(poke(33, 0xc2)), 0, "TCP flags SYN -> SYN|ECE|CWR", SumQuoted},
		{"window", mended(poke(34, 0, 1)), 0, "window 64240 -> 1", SumQuoted},
		{"urgent pointer", mended(poke(38, 0, 1)), 0, "urgent pointer 0 -> 1", SumQuoted},
		{"MSS clamped", mended(poke(42, 0x05, 0x64)), 0, "MSS 1460 -> 1380", SumQuoted},
		{"MSS clamped, cut behind it", mended(poke(42, 0x05, 0x64)), 44, "MSS 1460 -> 1380", SumQuoted},
		{"MSS clamped, cut in it", mended(poke(42, 0x05, 0x64)), 43, "TCP checksum 0x1a83 -> 0x1ad3", SumNeither},
		{"window scale", mended(poke(59, 2)), 0, "window scale 7 -> 2", SumQuoted},
		{"timestamps", mended(poke(48, 0, 0, 0, 1)), 0, "timestamps 99/0 -> 1/0", SumQuoted},
		{"SACK overwritten", mended(poke(44, 1, 1)), 0, "SACK permitted overwritten", SumQuoted},
		{"SACK overwritten, cut behind it", mended(poke(44, 1, 1)), 46, "SACK permitted overwritten", SumQuoted},
		{"timestamps overwritten", mended(poke(46, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 0, "timestamps overwritten", SumQuoted},
		{"another option overwritten by one unknown", mended(poke(44, 99, 2)), 0, "SACK permitted removed; TCP option 99 added", SumQuoted},
		{"all options removed", reopted(func(Options) Options { return Options{} }), 0,
			"MSS removed; SACK permitted removed; timestamps removed; window scale removed", SumQuoted},
		{"MSS added in place of all", reopted(func(Options) Options { return must(Options{}.WithMSS(536)) }), 0,
			"total length 60 -> 44; MSS 1460 -> 536; SACK permitted removed; timestamps removed; window scale removed", SumQuoted},
		{"another order", reopted(func(o Options) Options {
			x := must(must(Options{}.WithWindowScale(7)).WithSACKPermitted())
			return must(must(x.With(OptionNOP)).WithTimestamps(99, 0)).mustMSS()
		}), 0, "", SumQuoted},
		{"Fast Open added", reopted(func(o Options) Options { return must(must(Options{}.WithMSS(1460)).WithFastOpen([]byte("cookie"))) }), 0,
			"total length 60 -> 52; SACK permitted removed; timestamps removed; window scale removed; Fast Open added", SumQuoted},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := probe4()
			b := c.make(must(p.AppendBinary(nil)))
			if c.cut > 0 {
				b = b[:c.cut]
			}
			q := quoteOf(t, p, b)
			got := changesText(q, p)
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("changes: %q, want %q", got, c.want)
			}
			if _, _, sum := q.Checksum(p); sum != c.sum {
				t.Errorf("checksum %v, want %v", sum, c.sum)
			}
		})
	}
}

func (o Options) mustMSS() Options { return must(o.WithMSS(1460)) }

func TestChangesIPv6(t *testing.T) {
	p := probe6()
	p.TOS = 0x02
	whole := must(p.AppendBinary(nil))
	for _, c := range []struct {
		name string
		make func([]byte) []byte
		want string
		sum  Sum
	}{
		{"untouched", poke(0), "", SumBoth},
		{"flow label", poke(1, 0x21, 0x23, 0x46), "flow label 0x12345 -> 0x12346", SumBoth},
		{"ECN", poke(1, 0x01), "ECN 2 -> 0", SumBoth},
		{"DSCP", poke(0, 0x6b, 0xa1), "DSCP 0 -> 46", SumBoth},
		{"destination", mended(poke(39, 9)), "destination address 2001:db8:3::2 -> 2001:db8:3::9", SumQuoted},
	} {
		q := quoteOf(t, p, c.make(slices.Clone(whole)))
		if got := changesText(q, p); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if _, _, sum := q.Checksum(p); sum != c.sum {
			t.Errorf("%s: checksum %v, want %v", c.name, sum, c.sum)
		}
	}
	p.Dst = netip.AddrPortFrom(p.Dst.Addr().WithZone("eth0"), p.Dst.Port())
	if got := changesText(quoteOf(t, p, whole), p); got != "" {
		t.Errorf("a zone is no change: %s", got)
	}
	if got := changesText(quoteOf(t, p, whole), probe4()); got != "" {
		t.Errorf("of another family: %s", got)
	}
}

// A payload is covered by the checksum, quoted or not, odd or even.
func TestChecksumWithPayload(t *testing.T) {
	for _, length := range []uint16{61, 62, 100, 601} {
		p := probe4()
		p.Length = length
		whole := must(p.AppendBinary(nil))
		for _, n := range []int{38, 60, 61, int(length)} {
			if n > int(length) {
				continue
			}
			q := quoteOf(t, p, whole[:n])
			if _, _, sum := q.Checksum(p); sum != SumBoth {
				t.Errorf("%d bytes of %d: %v", n, length, sum)
			}
		}
	}
}

// BSD's host byte order, as its kernel on a little-endian machine leaves it in a quote.
func TestChangesHostOrder(t *testing.T) {
	p := probe4()
	p.DontFragment = true
	b := must(p.AppendBinary(nil))
	binary.LittleEndian.PutUint16(b[2:], uint16(len(b)-20))
	binary.LittleEndian.PutUint16(b[6:], 0x4000)
	if got := changesText(quoteOf(t, p, b), p); got != "" {
		t.Error(got)
	}
}

// Whatever is cut off, what remains is no change; and whatever is flipped, a change is told only of the flipped field.
func TestChangesOfCutQuotes(t *testing.T) {
	for _, p := range []Probe{probe4(), probe6()} {
		whole := must(p.AppendBinary(nil))
		for n := range len(whole) + 1 {
			if got := changesText(quoteOf(t, p, whole[:n]), p); got != "" {
				t.Errorf("cut to %d bytes: %s", n, got)
			}
		}
	}
}

func TestChangeText(t *testing.T) {
	for _, c := range []struct {
		c    Change
		want string
	}{
		{Change{Field: FieldMSS, Alteration: Added, Seen: 1300}, " -> 1300"},
		{Change{Field: FieldSACKPermitted, Alteration: Removed}, "present -> "},
		{Change{Field: FieldMPTCP, Sent: 10, Seen: 2}, "10 bytes -> 2 bytes"},
	} {
		if got := fmt.Sprintf("%s -> %s", c.c.SentText(), c.c.SeenText()); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	for f := FieldSource; f <= FieldChecksum; f++ {
		if strings.HasPrefix(f.String(), "field ") {
			t.Errorf("%d has no name", f)
		}
	}
	if Field(200).String() != "field 200" || Altered.String() != "altered" {
		t.Error("names")
	}
}

func TestChangesAllocateNothing(t *testing.T) {
	p := probe4()
	b := mended(poke(42, 0x05, 0x64))(must(p.AppendBinary(nil)))
	q := quoteOf(t, p, b)
	n := 0
	if a := testing.AllocsPerRun(100, func() {
		for range q.Changes(p) {
			n++
		}
	}); a > 0 {
		t.Errorf("%v allocations", a)
	}
	if n == 0 {
		t.Error("no change")
	}
}

// FuzzChanges: any bytes may be quoted.
func FuzzChanges(f *testing.F) {
	whole := must(probe4().AppendBinary(nil))
	for _, n := range []int{0, 20, 28, 40, 47, 60} {
		f.Add(whole[:n], uint16(0))
	}
	f.Add(must(probe6().AppendBinary(nil)), uint16(100))
	f.Fuzz(func(t *testing.T, quoted []byte, length uint16) {
		for _, p := range []Probe{probe4(), probe6()} {
			p.Length = length % 1400
			e := icmpAbout(p, quoted)
			b, err := AppendICMP(nil, &e)
			if err != nil {
				continue
			}
			var r Reply
			Parse(b, &r)
			n := 0
			for c := range r.Quote.Changes(p) {
				if n++; n > 60 || c.String() == "" {
					t.Fatal("changes without end")
				}
				if c.Alteration == Altered && c.Sent == c.Seen && c.SentAddr == c.SeenAddr && !c.Field.IsOption() {
					t.Errorf("no change: %v", c)
				}
			}
		}
	})
}
