package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/net/bpf"
)

// What the kernel filters, so that neither a busy server's traffic nor a flood reaches the program: of packets to
// this host only TCP segments, echo replies and ICMP errors that name one of our ports, or bring back the number of a
// flow of ours, which NAT of this host may have given another port; of packets that leave only probes that are not as
// they were meant. The filter runs on packets from their IP header on.

// maxListed is how many ports are compared one by one, of a program of 4096 instructions at the most (BPF_MAXINSNS);
// more are compared as the range that holds them.
const maxListed = 256

const (
	packetHost     = 0 // PACKET_HOST, packet(7)
	packetOutgoing = 4 // PACKET_OUTGOING

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58

	wholePacket = 0x40000
)

// wanted is what a filter lets through.
type wanted struct {
	ports []uint16
	// Numbers that answers bring back: in TCP segments as acknowledgement number, in resets that answer an ACK as
	// sequence number, in quoted segments as sequence number, in echo messages as the first of the data.
	acknowledged, reset, quoted, echoed []uint32
	leaving                             []leaving
}

// leaving is how probes should leave that are alike but for where they go.
type leaving struct {
	echo    bool
	src     netip.Addr
	port    uint16 // that they go to; of no meaning for echo
	indexes []int  // of interfaces; none: not known
	mark    uint32
	to      []destination
}

// destination is where probes should go that have one of these sequence numbers, or echo data that begin so.
type destination struct {
	addr  netip.Addr
	seqs  []uint32
	first []word // of the first probe of each flow, which is let through in any case, for what a filter doesn't look at
}

// word is a number in a packet, of 2 or 4 bytes.
type word struct {
	value  uint32
	off    uint32
	size   int
	behind bool // off is from the TCP or ICMP header on, and not from the IP header
}

// Scratch memory of the filter, for what is compared after the port.
const (
	slotNumber = iota
	slotReset
)

// maxInstructions is how long a program may be (BPF_MAXINSNS).
const maxInstructions = 4096

// filter is the program. Without any ports it lets nothing through. With more flows than there is room for it knows
// ports alone, and hears nothing of what leaves.
func filter(w *wanted) ([]bpf.RawInstruction, error) {
	code, err := wholeFilter(w)
	if err == nil && len(code) > maxInstructions {
		code, err = wholeFilter(&wanted{ports: w.ports})
	}
	return code, err
}

func wholeFilter(w *wanted) ([]bpf.RawInstruction, error) {
	if w == nil || len(w.ports) == 0 {
		return bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	}
	var p program
	p.add(bpf.LoadExtension{Num: bpf.ExtType})
	p.when(packetOutgoing, "leaving")
	p.unless(packetHost, drop)
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.when(etherIPv6, "v6")
	p.unless(etherIPv4, drop)
	p.answers4()
	p.label("v6") // headers that follow the fixed one are rare, and left to the decoder
	p.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	p.when(protoICMPv6, "icmp6")
	p.extension()
	p.unless(protoTCP, drop)
	p.jump("tcp6")
	p.answers6(header6Length)
	p.tails(w)
	p.label("leaving")
	p.leaving(w)
	p.end()
	return p.assemble()
}

// transportFilter is the program for raw IPv6 sockets, which have packets without their IPv6 header.
func transportFilter(w *wanted, protocol int) ([]bpf.RawInstruction, error) {
	if len(w.ports) == 0 {
		return filter(nil)
	}
	var p program
	if protocol == protoTCP {
		p.jump("tcp6")
	} else {
		p.jump("icmp6")
	}
	p.answers6(0)
	p.tails(w)
	p.end()
	code, err := p.assemble()
	if err == nil && len(code) > maxInstructions {
		return transportFilter(&wanted{ports: w.ports}, protocol)
	}
	return code, err
}

// answers4 picks what is compared out of an IPv4 packet. Only a first fragment has ports.
func (p *program) answers4() {
	p.add(bpf.LoadAbsolute{Off: 6, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff})
	p.unless(0, drop)
	p.add(bpf.LoadMemShift{Off: 0}, bpf.LoadAbsolute{Off: 9, Size: 1})
	p.when(protoICMP, "icmp")
	p.unless(protoTCP, drop)
	p.keepIndirect(8, slotNumber)
	p.keepIndirect(4, slotReset)
	p.add(bpf.LoadIndirect{Off: 2, Size: 2})
	p.jump("segment")

	p.label("icmp") // X: length of the outer header; the quoted header begins at X+8
	p.add(bpf.LoadIndirect{Off: 0, Size: 1})
	p.when(0, "reply")
	p.when(3, "quote")
	p.when(11, "quote")
	p.unless(12, drop)
	p.label("quote")
	p.add(bpf.LoadIndirect{Off: 8 + 9, Size: 1})
	p.when(protoICMP, "quoted echo")
	p.unless(protoTCP, drop)
	p.inQuote()
	p.keepIfThere(8 + 4)
	p.add(bpf.LoadIndirect{Off: 8, Size: 2})
	p.jump("quoted")
	p.label("quoted echo")
	p.inQuote()
	p.add(bpf.LoadIndirect{Off: 8, Size: 1})
	p.unless(8, drop)
	p.echo(8)
	p.label("reply")
	p.echo(0)
}

const header6Length = 40

// answers6 does the same for what follows an IPv6 header that is so long.
func (p *program) answers6(header uint32) {
	p.label("tcp6")
	p.keepAbsolute(header+8, slotNumber)
	p.keepAbsolute(header+4, slotReset)
	p.add(bpf.LoadAbsolute{Off: header + 2, Size: 2})
	p.jump("segment")

	p.label("icmp6")
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: header}, bpf.LoadAbsolute{Off: header, Size: 1})
	p.when(129, "reply6")
	for t := range uint32(3) {
		p.when(1+t, "quote6")
	}
	p.unless(4, drop)
	p.label("quote6")
	p.add(bpf.LoadAbsolute{Off: header + 8 + 6, Size: 1})
	p.extension()
	p.when(protoICMPv6, "quoted echo6")
	p.unless(protoTCP, drop)
	p.keepIfThere(8 + header6Length + 4)
	p.add(bpf.LoadAbsolute{Off: header + 8 + header6Length, Size: 2})
	p.jump("quoted")
	p.label("quoted echo6")
	p.add(bpf.LoadAbsolute{Off: header + 8 + header6Length, Size: 1})
	p.unless(128, drop)
	p.echo(8 + header6Length)
	p.label("reply6")
	p.echo(0)
}

// keepIndirect and keepAbsolute keep a 32-bit number for later.
func (p *program) keepIndirect(off uint32, slot int) {
	p.add(bpf.LoadIndirect{Off: off, Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: slot})
}

func (p *program) keepAbsolute(off uint32, slot int) {
	p.add(bpf.LoadAbsolute{Off: off, Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: slot})
}

// keepIfThere keeps the number at X+off for later, or 0 if the packet ends before: a quote may be short, and to read
// beyond the end of a packet would end the filter.
func (p *program) keepIfThere(off uint32) {
	p.add(
		bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: slotNumber},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.ALUOpX{Op: bpf.ALUOpSub},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: off + 4, SkipTrue: 2},
	)
	p.keepIndirect(off, slotNumber)
}

// echo picks what is compared out of an echo message that begins at X+off. A quoted one may end before its data.
func (p *program) echo(off uint32) {
	p.keepIfThere(off + 8)
	p.add(bpf.LoadIndirect{Off: off + 4, Size: 2})
	p.jump("echo")
}

// tails compare the port in the accumulator, and then what was kept.
func (p *program) tails(w *wanted) {
	p.label("segment")
	p.ports(w.ports)
	p.add(bpf.LoadScratch{Dst: bpf.RegA, N: slotNumber})
	p.numbers(w.acknowledged, keep)
	p.add(bpf.LoadScratch{Dst: bpf.RegA, N: slotReset})
	p.numbers(w.reset, keep)
	p.jump(drop)
	for _, tail := range []struct {
		label   string
		numbers []uint32
	}{{"quoted", w.quoted}, {"echo", w.echoed}} {
		p.label(tail.label)
		p.ports(w.ports)
		p.add(bpf.LoadScratch{Dst: bpf.RegA, N: slotNumber})
		p.numbers(tail.numbers, keep)
		p.jump(drop)
	}
}

// farthest is how many instructions a conditional jump may skip.
const farthest = 255

// numbers jumps to l if the accumulator is one of them.
func (p *program) numbers(all []uint32, l string) {
	for part := range slices.Chunk(all, farthest) {
		for i, n := range part { // they all lead to the last instruction
			p.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: n, SkipTrue: uint8(len(part) - i)})
		}
		p.add(bpf.Jump{Skip: 1})
		p.jump(l)
	}
}

// leavingTo is where the program compares what leaves for the destination k of wanted.leaving[i].
func leavingTo(i, k int) string {
	return "leaving " + strconv.Itoa(i) + " " + strconv.Itoa(k)
}

// leaving drops what leaves, but for probes that are not as they were meant.
func (p *program) leaving(w *wanted) {
	flows := func(v4, echo bool) {
		for i, l := range w.leaving {
			if l.src.Is4() != v4 || l.echo != echo {
				continue
			}
			for k, d := range l.to {
				for _, seq := range d.seqs {
					p.when(seq, leavingTo(i, k))
				}
			}
		}
		p.jump(drop)
	}
	// X is where the header of the segment or the echo request begins, the accumulator is the protocol.
	probes := func(v4 bool, echo string, protoEcho, request uint32) {
		p.when(protoEcho, echo)
		p.unless(protoTCP, drop)
		p.add(bpf.LoadIndirect{Off: 4, Size: 4})
		flows(v4, false)
		p.label(echo)
		p.add(bpf.LoadIndirect{Off: 0, Size: 1})
		p.unless(request, drop)
		p.add(bpf.LoadIndirect{Off: 8, Size: 4})
		flows(v4, true)
	}
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.when(etherIPv6, "leaving v6")
	p.unless(etherIPv4, drop)
	p.add(bpf.LoadAbsolute{Off: 6, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff})
	p.unless(0, drop)
	p.add(bpf.LoadMemShift{Off: 0}, bpf.LoadAbsolute{Off: 9, Size: 1})
	probes(true, "leaving echo", protoICMP, 8)
	p.label("leaving v6")
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: header6Length}, bpf.LoadAbsolute{Off: 6, Size: 1})
	probes(false, "leaving echo6", protoICMPv6, 128)
	for i := range w.leaving {
		p.meant(i, &w.leaving[i])
	}
	p.label("our port")
	p.portsTo(w.ports, drop)
	p.jump(keep)
}

// meant keeps a probe that leaves in another way than it should. X is where its TCP or ICMP header begins.
func (p *program) meant(i int, l *leaving) {
	alike := "alike " + strconv.Itoa(i)
	src, dst := uint32(8), uint32(24)
	if l.src.Is4() {
		src, dst = 12, 16
	}
	for k, d := range l.to {
		p.label(leavingTo(i, k))
		for _, w := range d.first {
			if w.behind {
				p.add(bpf.LoadIndirect{Off: w.off, Size: w.size})
			} else {
				p.add(bpf.LoadAbsolute{Off: w.off, Size: w.size})
			}
			p.when(w.value, keep)
		}
		p.address(dst, d.addr)
		p.jump(alike)
	}
	p.label(alike)
	p.address(src, l.src)
	p.add(bpf.LoadExtension{Num: extMark})
	p.unless(l.mark, keep)
	if len(l.indexes) > 0 {
		p.add(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		for _, index := range l.indexes[:len(l.indexes)-1] {
			p.add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(index), SkipTrue: 1},
				bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(l.indexes[len(l.indexes)-1])})
		}
		p.unless(uint32(l.indexes[len(l.indexes)-1]), keep)
	}
	port := uint32(0)
	if l.echo {
		port = 4 // its identifier
	} else {
		p.add(bpf.LoadIndirect{Off: 2, Size: 2})
		p.unless(uint32(l.port), keep)
	}
	p.add(bpf.LoadIndirect{Off: port, Size: 2})
	p.jump("our port")
}

// address keeps a packet that doesn't have this address there.
func (p *program) address(at uint32, a netip.Addr) {
	for b := a.AsSlice(); len(b) > 0; b = b[4:] {
		p.add(bpf.LoadAbsolute{Off: at, Size: 4})
		p.unless(binary.BigEndian.Uint32(b), keep)
		at += 4
	}
}

// extMark is SKF_AD_MARK of linux/filter.h.
const extMark = 20

// end is where all jumps lead in the end.
func (p *program) end() {
	p.label(keep)
	p.add(bpf.RetConstant{Val: wholePacket})
	p.label(drop)
	p.add(bpf.RetConstant{Val: 0})
}

const (
	keep = "keep"
	drop = "drop"
)

// program is BPF with labels to jump to, always forward.
type program struct {
	code   []bpf.Instruction
	jumps  map[int]string // which instruction jumps where
	labels map[string]int
}

func (p *program) add(i ...bpf.Instruction) { p.code = append(p.code, i...) }

func (p *program) label(l string) {
	if p.labels == nil {
		p.labels = make(map[string]int)
	}
	p.labels[l] = len(p.code)
}

// when jumps to l if the accumulator is v.
func (p *program) when(v uint32, l string) {
	p.add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: v, SkipTrue: 1})
	p.jump(l)
}

// unless jumps to l if the accumulator is not v.
func (p *program) unless(v uint32, l string) {
	p.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: 1})
	p.jump(l)
}

func (p *program) jump(l string) {
	if p.jumps == nil {
		p.jumps = make(map[int]string)
	}
	p.jumps[len(p.code)] = l
	p.add(bpf.Jump{})
}

// inQuote moves X from the outer IPv4 header to the end of the quoted one, less the 8 bytes of the ICMP header.
func (p *program) inQuote() {
	p.add(
		bpf.LoadIndirect{Off: 8, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
	)
}

// extension keeps a packet whose next header is an IPv6 extension header.
func (p *program) extension() {
	for _, h := range []uint32{0, 43, 44, 51, 60, 135} {
		p.when(h, keep)
	}
}

// ports keeps the packet if the accumulator is one of the ports.
func (p *program) ports(ports []uint16) { p.portsTo(ports, keep) }

// portsTo jumps to l if the accumulator is one of the ports.
func (p *program) portsTo(ports []uint16, l string) {
	if len(ports) <= maxListed {
		for _, port := range ports {
			p.when(uint32(port), l)
		}
		return
	}
	p.add(
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(slices.Min(ports)), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(slices.Max(ports)), SkipTrue: 1},
	)
	p.jump(l)
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	for at, l := range p.jumps {
		p.code[at] = bpf.Jump{Skip: uint32(p.labels[l] - at - 1)}
	}
	return bpf.Assemble(p.code)
}
