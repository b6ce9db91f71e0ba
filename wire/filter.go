package wire

import (
	"slices"

	"golang.org/x/net/bpf"
)

// What the kernel filters, so that neither a busy server's traffic nor a flood reaches the program: only packets to this
// host, and of them TCP segments to one of our ports, echo replies with one as their identifier, and ICMP errors that quote
// a TCP segment or an echo request from one. The filter runs on packets from their IP header on.

// maxListed is how many ports are compared one by one, of a program of 4096 instructions at the most (BPF_MAXINSNS); more
// are compared as the range that holds them.
const maxListed = 256

const (
	packetHost = 0 // PACKET_HOST, packet(7)

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58

	wholePacket = 0x40000
)

// filter is the program for these ports. Without any it lets nothing through.
func filter(ports []uint16) ([]bpf.RawInstruction, error) {
	if len(ports) == 0 {
		return bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	}
	var p program
	p.add(bpf.LoadExtension{Num: bpf.ExtType})
	p.unless(packetHost, drop)
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.when(etherIPv6, "v6")
	p.unless(etherIPv4, drop)

	// IPv4. Only a first fragment has ports.
	p.add(bpf.LoadAbsolute{Off: 6, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff})
	p.unless(0, drop)
	p.add(bpf.LoadMemShift{Off: 0}, bpf.LoadAbsolute{Off: 9, Size: 1})
	p.when(protoICMP, "icmp")
	p.unless(protoTCP, drop)
	p.add(bpf.LoadIndirect{Off: 2, Size: 2})
	p.jump("ports")

	p.label("icmp") // X: length of the outer header; the quoted header begins at X+8
	p.add(bpf.LoadIndirect{Off: 0, Size: 1})
	p.when(0, "id")
	p.when(3, "quote")
	p.when(11, "quote")
	p.unless(12, drop)
	p.label("quote")
	p.add(bpf.LoadIndirect{Off: 8 + 9, Size: 1})
	p.when(protoICMP, "quoted echo")
	p.unless(protoTCP, drop)
	p.inQuote()
	p.add(bpf.LoadIndirect{Off: 8, Size: 2})
	p.jump("ports")
	p.label("quoted echo")
	p.inQuote()
	p.add(bpf.LoadIndirect{Off: 8, Size: 1})
	p.unless(8, drop)
	p.add(bpf.LoadIndirect{Off: 8 + 4, Size: 2})
	p.jump("ports")
	p.label("id")
	p.add(bpf.LoadIndirect{Off: 4, Size: 2})
	p.jump("ports")

	// IPv6. Headers that follow the fixed one are rare, and left to the decoder.
	p.label("v6")
	p.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	p.when(protoICMPv6, "icmp6")
	p.extension()
	p.unless(protoTCP, drop)
	p.add(bpf.LoadAbsolute{Off: 40 + 2, Size: 2})
	p.jump("ports")

	p.label("icmp6")
	p.add(bpf.LoadAbsolute{Off: 40, Size: 1})
	p.when(129, "id6")
	for t := range uint32(3) {
		p.when(1+t, "quote6")
	}
	p.unless(4, drop)
	p.label("quote6")
	p.add(bpf.LoadAbsolute{Off: 48 + 6, Size: 1})
	p.extension()
	p.when(protoICMPv6, "quoted echo6")
	p.unless(protoTCP, drop)
	p.add(bpf.LoadAbsolute{Off: 48 + 40, Size: 2})
	p.jump("ports")
	p.label("quoted echo6")
	p.add(bpf.LoadAbsolute{Off: 48 + 40, Size: 1})
	p.unless(128, drop)
	p.add(bpf.LoadAbsolute{Off: 48 + 40 + 4, Size: 2})
	p.jump("ports")
	p.label("id6")
	p.add(bpf.LoadAbsolute{Off: 40 + 4, Size: 2})

	p.label("ports")
	p.ports(ports)

	p.label(keep)
	p.add(bpf.RetConstant{Val: wholePacket})
	p.label(drop)
	p.add(bpf.RetConstant{Val: 0})
	return p.assemble()
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

// ports ends the program: it keeps the packet if the accumulator is one of the ports.
func (p *program) ports(ports []uint16) {
	if len(ports) <= maxListed {
		for _, port := range ports {
			p.when(uint32(port), keep)
		}
		p.jump(drop)
		return
	}
	p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(slices.Min(ports)), SkipTrue: 1})
	p.jump(drop)
	p.add(bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: uint32(slices.Max(ports)), SkipTrue: 1})
	p.jump(drop)
	p.jump(keep)
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	for at, l := range p.jumps {
		p.code[at] = bpf.Jump{Skip: uint32(p.labels[l] - at - 1)}
	}
	return bpf.Assemble(p.code)
}
