package packet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// capture is one packet of testdata, with its fields as another decoder read them.
type capture struct {
	file, name string
	bytes      []byte
	want       map[string]string
}

func captures(tb testing.TB) []capture {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no testdata: %v", err)
	}
	var all []capture
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var c *capture
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
			case strings.HasPrefix(line, "== "):
				all = append(all, capture{file: filepath.Base(file), name: line[3:], want: map[string]string{}})
				c = &all[len(all)-1]
			case strings.Contains(line, "="):
				for _, f := range strings.Fields(line) {
					k, v, _ := strings.Cut(f, "=")
					c.want[k] = v
				}
			default:
				b, err := hex.DecodeString(line)
				if err != nil {
					tb.Fatalf("%s: %s: %v", file, c.name, err)
				}
				c.bytes = append(c.bytes, b...)
			}
		}
	}
	return all
}

// fields writes a decoded packet in the form of testdata.
func fields(r *Reply) map[string]string {
	m := map[string]string{}
	set := func(k string, v any) { m[k] = strings.ReplaceAll(fmt.Sprint(v), " ", "_") }
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	ip := func(p string, h *IP) {
		set(p+"src", h.Src)
		set(p+"dst", h.Dst)
		set(p+"ttl", h.TTL)
		set(p+"tos", h.TOS)
		set(p+"len", h.TotalLength)
		set(p+"hlen", h.HeaderLength)
		set(p+"proto", h.Protocol)
		set(p+"mf", bit(h.MoreFragments))
		set(p+"frag", h.FragmentOffset)
		if h.Version == 4 {
			set(p+"id", h.ID)
			set(p+"df", bit(h.DontFragment))
			set(p+"ipsum", h.Checksum)
			if len(h.Options) > 0 {
				set(p+"ipopts", hex.EncodeToString(h.Options))
			}
		} else {
			set(p+"flow", h.FlowLabel)
		}
	}
	tcp := func(p string, t *TCP) {
		set(p+"have", t.Have)
		if t.HasSeq() {
			set(p+"sport", t.SrcPort)
			set(p+"dport", t.DstPort)
			set(p+"seq", t.Seq)
		}
		if t.Have >= tcpHeaderLen {
			set(p+"ack", t.Ack)
			set(p+"flags", fmt.Sprintf("%#x", uint16(t.Flags)))
			set(p+"win", t.Window)
			set(p+"urg", t.Urgent)
			set(p+"doff", t.DataOffset)
		}
		if t.Options.Len() > 0 {
			set(p+"opts", hex.EncodeToString(t.Options.Append(nil)))
		}
		if v, ok := t.Options.MSS(); ok {
			set(p+"mss", v)
		}
		if v, ok := t.Options.WindowScale(); ok {
			set(p+"wscale", v)
		}
		if t.Options.SACKPermitted() {
			set(p+"sackok", 1)
		}
		if val, ecr, ok := t.Options.Timestamps(); ok {
			set(p+"tsval", val)
			set(p+"tsecr", ecr)
		}
		if len(t.Payload) > 0 {
			set(p+"payload", hex.EncodeToString(t.Payload))
		}
		if t.Checksum != CheckUnknown {
			set(p+"sum", t.Checksum)
		}
	}
	set("kind", r.Kind)
	ip("", &r.IP)
	if r.Kind == KindTCP {
		tcp("tcp.", &r.TCP)
	}
	if r.Checksum != CheckUnknown && r.Kind != KindTCP {
		set("icmpsum", r.Checksum)
	}
	if isICMP(&r.IP) {
		set("type", r.Type)
		set("code", r.Code)
	}
	if r.Quote.IP.Version != 0 {
		ip("q.", &r.Quote.IP)
		set("q.bytes", r.Quote.Bytes)
		if r.Quote.IP.Protocol == protocolTCP && r.Quote.IP.FragmentOffset == 0 {
			tcp("q.tcp.", &r.Quote.TCP)
		}
		if e := &r.Quote.Echo; e.HasID() {
			set("q.echo.id", e.ID)
			set("q.echo.seq", e.Seq)
			set("q.echo.sum", e.ChecksumField)
			set("q.echo.data", hex.EncodeToString(e.Data))
		}
	}
	if r.Kind == KindUnreachable && r.IP.Version == 4 && r.Code == 4 || r.Kind == KindTooBig {
		set("mtu", r.MTU)
	}
	if isICMP(&r.IP) && (r.Type == ICMPv4ParameterProblem && r.IP.Version == 4 || r.Type == ICMPv6ParameterProblem && r.IP.Version == 6) {
		set("pointer", r.Pointer)
	}
	if r.Extensions.LengthField != 0 || r.Extensions.Len() > 0 {
		set("ext.said", r.Extensions.LengthField)
		set("ext.compliant", bit(r.Extensions.Compliant))
		set("ext.len", r.Extensions.Len())
		set("ext.sum", r.Extensions.Checksum)
	}
	if s := objects(&r.Extensions); s != "" {
		set("ext.objects", s)
	}
	return m
}

func isICMP(h *IP) bool {
	return h.FragmentOffset == 0 &&
		(h.Version == 4 && h.Protocol == protocolICMP || h.Version == 6 && h.Protocol == protocolICMPv6)
}

func objects(e *Extensions) string {
	var all []string
	for o := range e.Objects() {
		var labels []string
		for l := range o.MPLS() {
			bottom := 0
			if l.Bottom {
				bottom = 1
			}
			labels = append(labels, fmt.Sprintf("%d/%d/%d/%d", l.Label, l.TC, bottom, l.TTL))
		}
		i, err := o.Interface()
		switch {
		case len(labels) > 0:
			all = append(all, "mpls:"+strings.Join(labels, ","))
		case err == nil:
			all = append(all, fmt.Sprintf("if:%d/%d/%v/%x/%d", i.Role, i.Index, i.Addr, i.Name, i.MTU))
		case errors.Is(err, ErrInterface):
			all = append(all, "bad interface")
		default:
			all = append(all, fmt.Sprintf("obj:%d/%d/%x", o.Class, o.Type, o.Data))
		}
	}
	return strings.Join(all, ";")
}

// TestCaptures reads what foreign stacks have sent, compares it with what another
// decoder made of it, and encodes it again: that must give the same bytes.
func TestCaptures(t *testing.T) {
	encoded := map[Kind]int{}
	for _, c := range captures(t) {
		t.Run(c.file+"/"+c.name, func(t *testing.T) {
			var r Reply
			if err := Parse(c.bytes, &r); err != nil {
				t.Fatal(err)
			}
			got := fields(&r)
			for k, want := range c.want {
				if got[k] != want {
					t.Errorf("%s = %q, want %q", k, got[k], want)
				}
			}
			for k, v := range got {
				if _, ok := c.want[k]; !ok && !defaulted(k, v) {
					t.Errorf("%s = %q, which the other decoder does not have", k, v)
				}
			}
			again, ok := encode(t, c.bytes, &r)
			if !ok {
				return
			}
			encoded[r.Kind]++
			if !equalHex(again, c.bytes[:r.IP.TotalLength]) {
				t.Errorf("encoded again:\n%x\nwant:\n%x", again, c.bytes)
			}
		})
	}
	t.Log(encoded)
	// So that a change of testdata can't quietly turn the test off.
	for kind, least := range map[Kind]int{KindTCP: 60, KindTimeExceeded: 30, KindUnreachable: 15, KindTooBig: 1, KindParameterProblem: 3, KindOther: 1} {
		if encoded[kind] < least {
			t.Errorf("%v: %d packets encoded again, want at least %d", kind, encoded[kind], least)
		}
	}
}

// defaulted: fields that testdata leaves out where they have this value.
func defaulted(k, v string) bool {
	switch strings.TrimPrefix(k, "q.") {
	case "mf", "frag":
		return v == "0"
	case "ext.said":
		return true // only given where it is odd
	}
	return false
}

func equalHex(a, b []byte) bool { return hex.EncodeToString(a) == hex.EncodeToString(b) }

// encode makes the packet again from what was decoded. It reports false where
// the packet holds what the encoders do not make: IP options, IPv6 extension
// headers, fragments, wrong checksums, messages that are no errors.
func encode(t *testing.T, b []byte, r *Reply) ([]byte, bool) {
	t.Helper()
	h := &r.IP
	least := ipv6HeaderLen
	if h.Version == 4 {
		least = ipv4HeaderLen
	}
	if h.HeaderLength != least || h.MoreFragments || h.FragmentOffset != 0 || h.Checksum == CheckBad || r.Checksum == CheckBad {
		return nil, false
	}
	if r.Kind == KindTCP {
		out, err := AppendTCP(nil, segmentOf(r))
		if err != nil {
			t.Fatal(err)
		}
		return out, true
	}
	if r.Quote.IP.Version == 0 {
		return nil, false
	}
	e := &ICMPError{Src: h.Src, Dst: h.Dst, TTL: h.TTL, TOS: h.TOS, ID: h.ID, FlowLabel: h.FlowLabel, DontFragment: h.DontFragment,
		Type: r.Type, Code: r.Code, MTU: r.MTU, Pointer: r.Pointer}
	e.Quote = b[h.HeaderLength+icmpHeaderLen : h.TotalLength-r.Extensions.Len()]
	e.QuoteLength = len(e.Quote)
	if r.Extensions.Len() > 0 {
		if r.Extensions.Checksum != CheckGood || !r.Extensions.Compliant && r.Extensions.LengthField != 0 {
			return nil, false
		}
		e.Extensions = r.Extensions.Bytes()[extensionHeaderLen:]
		e.NonCompliant = !r.Extensions.Compliant
	} else if r.Extensions.LengthField != 0 {
		return nil, false
	}
	out, err := AppendICMP(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return out, true
}

// segmentOf is the segment that makes the TCP packet r.
func segmentOf(r *Reply) *Segment {
	h := &r.IP
	s := &Segment{
		TTL: h.TTL, TOS: h.TOS, ID: h.ID, FlowLabel: h.FlowLabel, DontFragment: h.DontFragment,
		Seq: r.TCP.Seq, Ack: r.TCP.Ack, Flags: r.TCP.Flags, Window: r.TCP.Window, Urgent: r.TCP.Urgent,
		Options: r.TCP.Options, Payload: r.TCP.Payload,
	}
	s.Src, s.Dst = endpoints(h, &r.TCP)
	return s
}
