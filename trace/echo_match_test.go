package trace

import (
	"fmt"
	"testing"

	"go.example/tcptraceroute/packet"
)

func (f family) echo(ttl uint8, tag uint16) packet.Probe {
	p := packet.Probe{Protocol: packet.ProtoEcho, Src: f.src, Dst: f.dst, TTL: ttl, Seq: flowSeq, EchoSeq: tag}
	if f.src.Addr().Is4() {
		p.ID = tag ^ 0x55aa
	} else {
		p.FlowLabel = 0xabcde
	}
	return p
}

// Whichever bit of what names the flow or the probe is another, the answer isn't believed.
func TestEveryBitOfAnEchoCounts(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			p := f.echo(3, 100)
			probe := binary(t, p)
			n := len(probe) - 14 // the ICMP header
			whole := f.timeExceeded(t, probe)
			short := f.timeExceeded(t, probe[:n+8])
			reply, _ := packet.AppendEchoReply(nil, probe, 60, 1)
			at := len(whole) - 14
			type part struct {
				name    string
				b       []byte
				at, len int
			}
			parts := []part{
				{"identifier, sequence number and secret in a whole quote", whole, at + 4, 8},
				{"checksum, identifier and sequence number in a short quote", short, len(short) - 6, 6},
				{"identifier, sequence number and secret in a reply", reply, len(reply) - 10, 8},
			}
			if f.src.Addr().Is4() {
				parts = append(parts, part{"IP ID in a short quote", short, len(short) - 8 - 20 + 4, 2})
			} else {
				parts = append(parts, part{"flow label in a short quote", short, len(short) - 8 - 40 + 2, 2})
			}
			for _, tt := range parts {
				for bit := range 8 * tt.len {
					b := append([]byte(nil), tt.b...)
					m := newMatcher()
					m.add(Send(p), 1, sentAt)
					if got := judge(m, parsed(t, b)); got.verdict != Believed || got.evidence != ByTag {
						t.Fatalf("%s: unchanged: %v", tt.name, got.verdict)
					}
					b[tt.at+bit/8] ^= 0x80 >> (bit % 8)
					if got := judge(m, parsed(t, b)); got.verdict == Believed || got.flight != nil && got.verdict != BadChecksum {
						t.Errorf("%s: bit %d: %v", tt.name, bit, got.verdict)
					}
				}
			}
		})
	}
}

// Answers to TCP are none to echo requests, and the other way round, whatever the numbers in them.
func TestEchoIsNotTCP(t *testing.T) {
	for _, f := range families {
		tcp, echo := newMatcher(), newMatcher()
		syn, ping := f.probe(3, 100), f.echo(3, 100)
		tcp.add(Send(syn), 1, sentAt)
		echo.add(Send(ping), 1, sentAt)
		reply, _ := packet.AppendEchoReply(nil, binary(t, ping), 60, 1)
		for name, b := range map[string][]byte{"reply": reply, "quote": f.timeExceeded(t, binary(t, ping))} {
			if got := judge(tcp, parsed(t, b)); got.verdict != Unrelated {
				t.Errorf("%s: %s to TCP: %v", f.name, name, got.verdict)
			}
		}
		for name, b := range map[string][]byte{"answer": f.answer(t, func(*packet.Segment) {}), "quote": f.timeExceeded(t, binary(t, syn))} {
			if got := judge(echo, parsed(t, b)); got.verdict != Unrelated {
				t.Errorf("%s: %s to echo: %v", f.name, name, got.verdict)
			}
		}
	}
}

// Only the target's address answers; our own speaks for nobody else; Strict is strict.
func TestWhoAnswersAnEcho(t *testing.T) {
	for _, f := range families {
		p := f.echo(3, 100)
		other := p
		other.Dst = withPort(f.dst, 1)
		for _, tt := range []struct {
			name   string
			strict bool
			answer func() []byte
			want   Verdict
		}{
			{"the target", false, func() []byte { b, _ := packet.AppendEchoReply(nil, binary(t, p), 60, 1); return b }, Believed},
			{"another", false, func() []byte {
				q := p
				q.Dst = withPort(f.src, 0)
				b, _ := packet.AppendEchoReply(nil, binary(t, q), 60, 1)
				return b
			}, Unrelated},
			{"our own address", false, func() []byte { return f.icmp(t, f.src.Addr(), f.teType, 0, binary(t, p)) }, OwnAddress},
			{"a router that translated", false, func() []byte {
				q := p
				q.Dst = withPort(f.src, 0)
				return f.timeExceeded(t, binary(t, q))
			}, Believed},
			{"a router that translated, strict", true, func() []byte {
				q := p
				q.Dst = withPort(f.src, 0)
				return f.timeExceeded(t, binary(t, q))
			}, Unrelated},
			{"strict", true, func() []byte { return f.timeExceeded(t, binary(t, p)) }, Believed},
			{"a port is none", true, func() []byte { return f.timeExceeded(t, binary(t, other)) }, Believed},
		} {
			t.Run(fmt.Sprint(f.name, tt.name), func(t *testing.T) {
				m := newMatcher()
				action := Send(p)
				if tt.strict {
					action.Trust = TrustStrict
				}
				fl := m.add(action, 1, sentAt)
				r := parsed(t, tt.answer())
				got := judge(m, r)
				if got.verdict != tt.want {
					t.Fatalf("%v, want %v", got.verdict, tt.want)
				}
				if got.verdict == Believed {
					m.settle(got, r, sentAt)
					if again := judge(m, r); again.verdict != IsDuplicate || again.flight != fl {
						t.Errorf("again: %v", again.verdict)
					}
				}
			})
		}
	}
}
