package main

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// seen is a packet that passed the interface of the host on which a tool runs.
type seen struct {
	at   time.Time
	out  bool // the host sent it
	data []byte
	// number tells which packet of the host's an answer goes back to: both have the same one. 0: nobody knows.
	number uint64
}

// probe is a packet that a tool sent, and the first answer to it that came in.
type probe struct {
	number uint64
	data   []byte
	head   packet.Reply
	ttl    int
	sent   time.Time
	got    time.Time // zero: nobody answered, or it can't be told which probe was
	from   netip.Addr
}

// traffic is what a tool's run was on the wire.
type traffic struct {
	probes  []probe
	packets int // sent to the target, without the resets of the host's own kernel
	first   time.Time
}

// readTraffic pairs probes with answers, by their numbers, else by what the answers quote or acknowledge. distance is
// the TTL from which on a probe reaches what answers by TCP: 0 where nothing does.
func readTraffic(all []seen, target netip.Addr, distance int) traffic {
	var t traffic
	for _, s := range all {
		var r packet.Reply
		if packet.Parse(s.data, &r) != nil {
			continue
		}
		switch {
		case s.out && r.IP.Dst == target && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.RST):
		case s.out && r.IP.Dst == target:
			t.packets++
			if t.first.IsZero() {
				t.first = s.at
			}
			t.probes = append(t.probes, probe{number: s.number, data: s.data, head: r, ttl: int(r.IP.TTL), sent: s.at})
		case !s.out:
			if p := t.answered(&r, s, distance); p != nil {
				p.got, p.from = s.at, r.From()
			}
		}
	}
	return t
}

// answered is the one probe that a packet answers; nil where it is none, or could be several.
func (t *traffic) answered(r *packet.Reply, s seen, distance int) *probe {
	if s.number > 0 {
		i := slices.IndexFunc(t.probes, func(p probe) bool { return p.number == s.number && p.got.IsZero() })
		if i < 0 {
			return nil
		}
		return &t.probes[i]
	}
	var best *probe
	most, tie := 0, false
	for i := range t.probes {
		p := &t.probes[i]
		n := likeness(p, r, distance)
		if n == 0 || !p.got.IsZero() || p.sent.After(s.at) {
			continue
		}
		if n == most {
			tie = true
		}
		if n > most {
			best, most, tie = p, n, false
		}
	}
	if tie {
		return nil
	}
	return best
}

// likeness is how much of a probe an answer brings back: 0 where it can't be an answer to it. Translators on the path
// may have rewritten ports and IP IDs in what is quoted.
func likeness(p *probe, r *packet.Reply, distance int) int {
	if r.Kind == packet.KindTCP {
		answers := r.TCP.DstPort == p.head.TCP.SrcPort && r.IP.Src == p.head.IP.Dst && distance > 0 && p.ttl >= distance
		if !answers || r.TCP.Flags.Has(packet.ACK) && r.TCP.Ack != p.head.TCP.Seq+1 {
			return 0
		}
		return 1
	}
	q := &r.Quote
	if q.IP.Version != p.head.IP.Version || !q.TCP.HasSeq() || q.TCP.Seq != p.head.TCP.Seq {
		return 0
	}
	n := 1
	if q.TCP.SrcPort == p.head.TCP.SrcPort {
		n += 2
	}
	if q.IP.Version == 4 && q.IP.ID == p.head.IP.ID {
		n += 2
	}
	if q.IP.Version == 6 && q.TCP.HasOptions() && q.TCP.Options == p.head.TCP.Options &&
		q.TCP.Window == p.head.TCP.Window {
		n++
	}
	return n
}

// rttErrors are the differences, in microseconds, between the times that a tool printed and those that were seen on
// the wire for its probes with the same TTL and the same answerer. Tools print a probe's time, not which probe it
// was, so each is compared with the nearest one that no other has been compared with; times of probes whose answer
// can't be told from others are left out.
func (t *traffic) rttErrors(printed []answer) (errors []float64) {
	used := make(map[int]bool)
	for _, a := range printed {
		if !a.has {
			continue
		}
		best, least := -1, time.Duration(0)
		for i := range t.probes {
			p := &t.probes[i]
			if used[i] || p.got.IsZero() || p.ttl != a.ttl || p.from != a.addr {
				continue
			}
			if d := (p.got.Sub(p.sent) - a.rtt).Abs(); best < 0 || d < least {
				best, least = i, d
			}
		}
		if best >= 0 {
			used[best] = true
			errors = append(errors, float64(least)/1e3)
		}
	}
	return errors
}
