package targets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"
	"unicode/utf8"

	"go4.org/netipx"
)

// A Target is one thing that is to be traced.
type Target struct {
	Host string     // as written; an address of a network or range
	Addr netip.Addr // if Host is an address; else it has to be looked up
	Port uint16
	File string // where it was read
	Line int    // of File, from 1
}

// Options say how lists are read. The zero value reads ports that are numbers, and gives port 0 to who has none.
type Options struct {
	Port    func(string) (uint16, error) // reads a port; nil: numbers only
	Default uint16                       // the port of entries that name none
	Rand    *rand.Rand                   // gives the order of a network's addresses; nil: nobody can foresee it
}

// MostAddresses is how many addresses a network or a range of a list of targets may have.
const MostAddresses = 1 << 16

// mostLine is how long a line may be, in bytes.
const mostLine = 1024

// mostRest is how much more of a line that is too long is passed over: what has no end of a line for so long is no
// list.
const mostRest = 1 << 20

// errEndless ends a list.
var errEndless = fmt.Errorf("no list of targets: a line has more than %d bytes", mostRest)

// mostBadAtFirst is how many lines of a list may be unreadable before the first that can be read: it is another kind of
// file then.
const mostBadAtFirst = 10

// A NoListError says that a file doesn't look like a list. What follows in it isn't read.
type NoListError struct {
	File string
}

func (e *NoListError) Error() string {
	return fmt.Sprintf("%s doesn't look like a list of targets: none of its first %d entries can be read, so the rest is "+
		"left out", e.File, mostBadAtFirst)
}

// A LineError says why a line could not be read.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Read yields the targets of a list in its order, and the addresses of a network or a range in random order. For a line
// that can't be read it yields a [*LineError], and goes on. A [*NoListError] and any other error end the list. The name
// of the file is for messages.
func Read(r io.Reader, file string, o Options) iter.Seq2[Target, error] {
	return func(yield func(Target, error) bool) {
		bad, good := 0, false
		for line, err := range entries(r, file, o.Port) {
			if err != nil {
				if !yield(Target{}, err) {
					return
				}
				if bad++; bad == mostBadAtFirst && !good {
					yield(Target{}, &NoListError{file})
					return
				}
				continue
			}
			good = true
			if !o.expand(line, file, yield) {
				return
			}
		}
	}
}

// Words yields the targets of one entry that stands somewhere else than in a list.
func Words(words []string, o Options) iter.Seq2[Target, error] {
	return Read(strings.NewReader(strings.Join(words, " ")), "arguments", o)
}

// expand yields the targets of an entry.
func (o *Options) expand(l numbered, file string, yield func(Target, error) bool) bool {
	t := Target{Host: l.host, Port: o.Default, File: file, Line: l.number}
	if l.hasPort {
		t.Port = l.port
	}
	if l.isName() {
		return yield(t, nil)
	}
	first := l.addrs.From()
	n, ok := size(l.addrs)
	if !ok {
		return yield(Target{}, &LineError{file, l.number, fmt.Errorf("more than %d addresses: %s", MostAddresses, l.host)})
	}
	if n == 1 {
		t.Addr = first.WithZone(l.zone)
		t.Host = t.Addr.String()
		return yield(t, nil)
	}
	perm := rand.Perm
	if o.Rand != nil {
		perm = o.Rand.Perm
	}
	for _, i := range perm(n) {
		t.Addr = plus(first, i)
		t.Host = t.Addr.String()
		if !yield(t, nil) {
			return false
		}
	}
	return true
}

// size is how many addresses a range has, unless they are too many.
func size(r netipx.IPRange) (n int, ok bool) {
	first, last := r.From().As16(), r.To().As16()
	if !bytes.Equal(first[:13], last[:13]) {
		return 0, false
	}
	low := func(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
	n = low(last[13:]) - low(first[13:]) + 1
	return n, n <= MostAddresses
}

// plus is the address that follows a by n, which is less than MostAddresses.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.As16()
	for i := 15; n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	sum := netip.AddrFrom16(b)
	if a.Is4() {
		return sum.Unmap()
	}
	return sum
}

// numbered is an entry with the number of its line.
type numbered struct {
	entry
	number int
}

// byteOrderMark stands at the beginning of files that some editors write.
const byteOrderMark = "\ufeff"

// entries yields what the lines of a list say. A *LineError is about one line, any other error ends the list.
func entries(r io.Reader, file string, readPort func(string) (uint16, error)) iter.Seq2[numbered, error] {
	if readPort == nil {
		readPort = portNumber
	}
	return func(yield func(numbered, error) bool) {
		lines := bufio.NewReaderSize(r, mostLine+2) // a line and its end
		for number, last := 1, false; !last; number++ {
			var text string
			var err error
			if text, last, err = nextLine(lines); err != nil {
				yield(numbered{}, fmt.Errorf("%s: %w", file, err))
				return
			}
			if number == 1 {
				text = strings.TrimPrefix(text, byteOrderMark)
			}
			words, err := wordsOf(text)
			if err == nil && len(words) == 0 {
				continue
			}
			l := numbered{number: number}
			if err == nil {
				l.entry, err = parseEntry(words, readPort)
			}
			if err != nil {
				l, err = numbered{}, &LineError{file, number, err}
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

// nextLine returns a line with its end. Of one that is too long it returns the beginning, which is too long too.
func nextLine(r *bufio.Reader) (text string, last bool, err error) {
	b, err := r.ReadSlice('\n')
	text = string(b)
	for rest := 0; errors.Is(err, bufio.ErrBufferFull); rest += len(b) {
		if rest > mostRest {
			return "", false, errEndless
		}
		b, err = r.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) {
		return text, true, nil
	}
	return text, false, err
}

// wordsOf returns the words of a line that stand before its comment.
func wordsOf(text string) ([]string, error) {
	if len(strings.TrimRight(text, "\r\n")) > mostLine {
		return nil, fmt.Errorf("longer than %d bytes", mostLine)
	}
	text, _, _ = strings.Cut(text, "#")
	switch {
	case !utf8.ValidString(text):
		return nil, errors.New("not UTF-8")
	case strings.ContainsFunc(text, control):
		return nil, errors.New("a control character")
	}
	return strings.Fields(text), nil
}

// control reports whether a character is no part of any entry: white space may be.
func control(r rune) bool { return (r < ' ' || r == 0x7f) && !strings.ContainsRune("\t\n\v\f\r", r) }
