package packet

import (
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"
)

const (
	extensionHeaderLen = 4
	objectHeaderLen    = 4
	extensionVersion   = 2
	// minExtendedQuote is where extensions begin at the earliest (RFC 4884 5.1),
	// and where those begin that don't say where (5.5).
	minExtendedQuote = 128
)

// Object classes (IANA, ICMP Extension Object Classes).
const (
	ClassMPLS      = 1 // RFC 4950
	ClassInterface = 2 // RFC 5837
	ClassNode      = 5 // draft-ietf-intarea-extended-icmp-nodeid
)

// Extensions are the extension structure behind the packet that an ICMP error
// quotes (RFC 4884 7). The zero value: there was none.
type Extensions struct {
	b []byte // with its header
	// LengthField is what the message says of the length of the quote, in bytes; 0:
	// nothing. Not to be relied on: some routers give the length without the
	// padding, or one that is longer than the message.
	LengthField int
	// Compliant: the extensions begin where LengthField says. Else they were found
	// behind byte 128 of the quote by their version and checksum.
	Compliant bool
	// Checksum of the structure. CheckUnknown where there is none, or where its
	// sender left the checksum out; CheckBad also where what stands in the place of
	// a compliant structure is none, or of another version.
	Checksum Check
}

// Len is the number of bytes of the structure, its header included; 0: none
// that could be read.
func (e *Extensions) Len() int { return len(e.b) }

// Bytes returns the structure, its header included, as a slice of the input.
func (e *Extensions) Bytes() []byte { return e.b }

// Object is one extension object (RFC 4884 7.1). Data is a slice of the input.
type Object struct {
	Class, Type uint8
	Data        []byte
}

// split tells the quoted packet, with its padding, from the extensions behind
// it. said is the message's length field in bytes.
func (e *Extensions) split(b []byte, said int) (quoted []byte) {
	e.LengthField = said
	if said >= minExtendedQuote && said < len(b) {
		s := b[said:]
		e.Compliant = true
		e.Checksum = CheckBad
		if len(s) >= extensionHeaderLen && s[0]>>4 == extensionVersion {
			e.b = s[:len(s):len(s)]
			if s[2]|s[3] == 0 {
				e.Checksum = CheckUnknown // RFC 4884 7: not transmitted
			} else {
				e.Checksum = verify(sum(0, s))
			}
		}
		return b[:said:said]
	}
	if len(b) >= minExtendedQuote+extensionHeaderLen {
		s := b[minExtendedQuote:]
		if s[0]>>4 == extensionVersion && s[2]|s[3] != 0 && verify(sum(0, s)) == CheckGood {
			e.b = s[:len(s):len(s)]
			e.Checksum = CheckGood
			return b[:minExtendedQuote:minExtendedQuote]
		}
	}
	return b
}

// Objects yields the objects in their order, whatever the checksum says. It
// stops before the first malformed one: a length below 4, or beyond the end.
func (e *Extensions) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		if len(e.b) < extensionHeaderLen {
			return
		}
		for b := e.b[extensionHeaderLen:]; len(b) >= objectHeaderLen; {
			n := int(binary.BigEndian.Uint16(b))
			if n < objectHeaderLen || n > len(b) {
				return
			}
			if !yield(Object{b[2], b[3], b[objectHeaderLen:n:n]}) {
				return
			}
			b = b[n:]
		}
	}
}

// Label is one entry of an MPLS label stack (RFC 3032 2.1).
type Label struct {
	Label  uint32 // 20 bits
	TC     uint8  // traffic class, 3 bits; once called EXP (RFC 5462)
	Bottom bool   // the last of the stack
	TTL    uint8
}

// MPLS yields the label stack of an incoming MPLS packet (RFC 4950 2), top
// first; nothing where the object is another one. What is left of a label cut
// short is left out.
func (o Object) MPLS() iter.Seq[Label] {
	return func(yield func(Label) bool) {
		if o.Class != ClassMPLS || o.Type != 1 {
			return
		}
		for b := o.Data; len(b) >= 4; b = b[4:] {
			v := binary.BigEndian.Uint32(b)
			if !yield(Label{v >> 12, uint8(v >> 9 & 7), v&0x100 != 0, uint8(v)}) {
				return
			}
		}
	}
}

// Role says what an interface had to do with the packet (RFC 5837 4.1).
type Role uint8

const (
	RoleIncoming    Role = iota // it arrived there
	RoleSubIncoming             // the sub-IP component of that interface
	RoleOutgoing                // it would have left there
	RoleNextHop                 // the IP next hop it would have gone to
)

// Interface is an interface information object (RFC 5837 4). What it doesn't
// say is zero: neither an interface index nor an MTU of 0 exists.
type Interface struct {
	Role  Role
	Index uint32     // ifIndex, RFC 2863
	Addr  netip.Addr // of either family, whatever that of the message
	// at most 63 bytes, as they came (control characters too), without the zero padding; a slice of the input
	Name []byte
	MTU  uint32 // bytes
}

// Errors of the extension objects.
var (
	ErrObject = errors.New("extension object of another class")
	// ErrInterface: sub-objects that are cut short, of an unknown address family,
	// or not valid.
	ErrInterface = errors.New("malformed interface information")
	// ErrNode: the same of a node identification.
	ErrNode  = errors.New("malformed node identification")
	ErrLabel = errors.New("MPLS label has more than 20 bits, or traffic class more than 3")
)

// Bits of the C-Type of an interface information object (RFC 5837 4.1), and the
// address families in it (4.2).
const (
	hasIndex = 8
	hasAddr  = 4
	hasName  = 2
	hasMTU   = 1

	afiIPv4 = 1
	afiIPv6 = 2

	maxNameField = 64
)

// Interface reads an interface information object. On [ErrInterface] what was
// read before the malformed part is returned; on [ErrObject] nothing.
func (o Object) Interface() (Interface, error) {
	if o.Class != ClassInterface {
		return Interface{}, ErrObject
	}
	i := Interface{Role: Role(o.Type >> 6)}
	b := o.Data
	if o.Type&hasIndex != 0 {
		if len(b) < 4 {
			return i, ErrInterface
		}
		i.Index = binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	var ok bool
	if i.Addr, i.Name, b, ok = o.addrAndName(b); !ok {
		return i, ErrInterface
	}
	if o.Type&hasMTU != 0 {
		if len(b) < 4 {
			return i, ErrInterface
		}
		i.MTU = binary.BigEndian.Uint32(b)
	}
	return i, nil
}

// addrAndName reads the two sub-objects that interfaces and nodes have alike, the address first. rest is what
// follows. Where one of them is malformed, ok is false, and it is left out.
func (o Object) addrAndName(b []byte) (addr netip.Addr, name, rest []byte, ok bool) {
	if o.Type&hasAddr != 0 {
		if len(b) < 4 {
			return addr, name, b, false
		}
		afi := binary.BigEndian.Uint16(b)
		b = b[4:] // two reserved bytes
		switch {
		case afi == afiIPv4 && len(b) >= 4:
			addr = netip.AddrFrom4([4]byte(b[:4]))
			b = b[4:]
		case afi == afiIPv6 && len(b) >= 16:
			addr = netip.AddrFrom16([16]byte(b[:16]))
			b = b[16:]
		default:
			return addr, name, b, false
		}
	}
	if o.Type&hasName != 0 {
		if len(b) == 0 {
			return addr, name, b, false
		}
		n := int(b[0]) // counts itself and the padding (4.3)
		if n == 0 || n%4 != 0 || n > maxNameField || n > len(b) {
			return addr, name, b, false
		}
		end := n
		for end > 1 && b[end-1] == 0 {
			end--
		}
		name = b[1:end:end]
		b = b[n:]
	}
	return addr, name, b, true
}

// Node is a node identification object: the router that sends the message says which one it is. What it doesn't say
// is zero.
type Node struct {
	Addr netip.Addr // of either family, whatever that of the message
	Name []byte     // at most 63 bytes, as they came, without the zero padding; a slice of the input
}

// Node reads a node identification object. The bits of its C-Type and its sub-objects are those of an interface. On
// [ErrNode] what was read before the malformed part is returned; on [ErrObject] nothing.
func (o Object) Node() (n Node, err error) {
	if o.Class != ClassNode {
		return Node{}, ErrObject
	}
	var ok bool
	if n.Addr, n.Name, _, ok = o.addrAndName(o.Data); !ok {
		err = ErrNode
	}
	return n, err
}

// AppendNode appends a node identification object with what of n is not zero. Error: [ErrNode] for a name that is
// longer than 63 bytes or ends in zero.
func AppendNode(b []byte, n Node) ([]byte, error) {
	start := len(b)
	b, err := AppendInterface(b, Interface{Addr: n.Addr, Name: n.Name})
	if err != nil {
		return b, ErrNode
	}
	b[start+2] = ClassNode
	return b, nil
}

// AppendObject appends an extension object of any class. Error: [ErrLength].
func AppendObject(b []byte, class, ctype uint8, data []byte) ([]byte, error) {
	n := objectHeaderLen + len(data)
	if n > 0xffff {
		return b, ErrLength
	}
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(append(b, class, ctype), data...), nil
}

// AppendMPLS appends the extension object of a label stack, top first, with the
// labels' Bottom bits as given. Errors: [ErrLabel], [ErrLength].
func AppendMPLS(b []byte, stack ...Label) ([]byte, error) {
	n := objectHeaderLen + 4*len(stack)
	if n > 0xffff {
		return b, ErrLength
	}
	for _, l := range stack {
		if l.Label > 0xfffff || l.TC > 7 {
			return b, ErrLabel
		}
	}
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, ClassMPLS, 1)
	for _, l := range stack {
		v := l.Label<<12 | uint32(l.TC)<<9 | uint32(l.TTL)
		if l.Bottom {
			v |= 0x100
		}
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b, nil
}

// AppendInterface appends an interface information object with what of i is not
// zero. Error: [ErrInterface] for a name that is longer than 63 bytes or ends in
// zero, or for a role above 3.
func AppendInterface(b []byte, i Interface) ([]byte, error) {
	if len(i.Name) >= maxNameField || i.Role > RoleNextHop || len(i.Name) > 0 && i.Name[len(i.Name)-1] == 0 {
		return b, ErrInterface
	}
	start := len(b)
	ctype := uint8(i.Role) << 6
	b = append(b, 0, 0, ClassInterface, 0)
	if i.Index != 0 {
		ctype |= hasIndex
		b = binary.BigEndian.AppendUint32(b, i.Index)
	}
	if i.Addr.IsValid() {
		ctype |= hasAddr
		afi := byte(afiIPv6)
		if i.Addr.Is4() {
			afi = afiIPv4
		}
		b = append(append(b, 0, afi, 0, 0), i.Addr.AsSlice()...)
	}
	if len(i.Name) > 0 {
		ctype |= hasName
		n := (1 + len(i.Name) + 3) &^ 3
		b = append(append(b, byte(n)), i.Name...)
		b = append(b, make([]byte, n-1-len(i.Name))...)
	}
	if i.MTU != 0 {
		ctype |= hasMTU
		b = binary.BigEndian.AppendUint32(b, i.MTU)
	}
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start))
	b[start+3] = ctype
	return b, nil
}

// appendExtensions appends an extension structure with these objects.
func appendExtensions(b, objects []byte) []byte {
	start := len(b)
	b = append(b, extensionVersion<<4, 0, 0, 0)
	b = append(b, objects...)
	binary.BigEndian.PutUint16(b[start+2:], Checksum(b[start:]))
	return b
}

// NewExtensions are extensions that were parsed before: their structure with its header, and what was found of it.
func NewExtensions(structure []byte, compliant bool, c Check) Extensions {
	return Extensions{b: structure, Compliant: compliant, Checksum: c}
}
