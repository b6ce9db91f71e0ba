package measure

import (
	"errors"
	"io"
	"iter"
	"net/netip"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/targets"
)

// Lists are the targets of a run: hosts, and files that list more. The name "-" is standard input. Of a file that can't
// be opened the error is a *[fs.PathError].
type Lists struct {
	Hosts   []string
	Files   []string
	Options targets.Options
}

// readLists opens lists one after the other, and hands them to read.
func readLists(files []string, read func(r io.Reader, name string) error) error {
	for _, name := range files {
		f, err := openFile(name)
		if err != nil {
			return err
		}
		err = read(f, name)
		f.Close() // it is only read
		if err != nil {
			return err
		}
	}
	return nil
}

// Open opens all files, and returns the targets: the hosts first. done closes the files.
func (l *Lists) Open() (all iter.Seq2[targets.Target, error], done func(), err error) {
	var files []io.ReadCloser
	done = func() {
		for _, f := range files {
			f.Close() // they are only read
		}
	}
	for _, name := range l.Files {
		f, err := openFile(name)
		if err != nil {
			done()
			return nil, nil, err
		}
		files = append(files, f)
	}
	return func(yield func(targets.Target, error) bool) {
		for _, host := range l.Hosts { // each for itself: in one list a number after a host is its port
			for t, err := range targets.Words([]string{host}, l.Options) {
				if !yield(t, err) {
					return
				}
			}
		}
		for i, f := range files {
			for t, err := range targets.Read(f, l.Files[i], l.Options) {
				if !yield(t, err) {
					return
				}
			}
		}
	}, done, nil
}

// Exclude reads files that list what must not be probed, in the form of the targets. lookUp finds the addresses of a
// name.
func (l *Lists) Exclude(files []string, lookUp func(host string) ([]netip.Addr, error)) (*targets.Set, error) {
	var s targets.Set
	return &s, readLists(files, func(r io.Reader, name string) error { return s.Exclude(r, name, l.Options, lookUp) })
}

// TracedBefore reads which targets were traced, from files that [record.ManyLines] wrote. The error is a
// *[fs.PathError] if a file can't be read, else a *[record.LineError].
func TracedBefore(files []string) (*record.Traced, error) {
	t := new(record.Traced)
	return t, readLists(files, func(r io.Reader, name string) error {
		err := t.Read(r)
		if bad, ok := errors.AsType[*record.LineError](err); ok {
			bad.File = name
		}
		return err
	})
}
