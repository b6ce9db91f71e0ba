package measure

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"go.example/tcptraceroute/record"
)

// ErrRounds refuses a saved measurement that went on round by round if one trace is wanted.
var ErrRounds = errors.New("it has rounds, and not one trace")

// ReadSaved reads a saved measurement from a file; "-": from standard input. Of a file that can't be opened the error
// is a *[fs.PathError].
func ReadSaved(name string) (*record.Trace, error) {
	f, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // of a file that is only read
	return record.ReadJSON(f)
}

// ReadTrace is ReadSaved for a trace that is one: the error is ErrRounds if it is none.
func ReadTrace(name string) (*record.Trace, error) {
	t, err := ReadSaved(name)
	return oneTrace(t, err)
}

func oneTrace(t *record.Trace, err error) (*record.Trace, error) {
	if err == nil && t.Rounds != nil {
		return nil, ErrRounds
	}
	return t, err
}

// Kept are the files that a trace is written to, and the one that it is compared with. Open opens them with the
// caller's own rights, before [DropKeeping]; what comes later needs no rights. Close it in the end.
type Kept struct {
	Save     string // the file that the trace is written to; "": none
	Baseline string // the file of the target's first trace. Its directory is made if it is missing. "": none

	Old *record.Trace // what the trace is compared with: Read reads it from Baseline; nil: there is none

	opened      bool
	err         error
	stored      *os.File // Baseline, if there is one already
	save, first *Replacement
}

// A KeptError says that a file of Kept is no good.
type KeptError struct {
	Baseline bool   // it is about the first trace, and not about Save
	Name     string // of the file, or of its directory
	Err      error
}

func (e *KeptError) Error() string { return e.Name + ": " + e.Err.Error() }

func (e *KeptError) Unwrap() error { return e.Err }

// Open opens the files, once. The error is a *[KeptError].
func (k *Kept) Open() error {
	if !k.opened {
		k.opened, k.err = true, k.open()
	}
	return k.err
}

func (k *Kept) open() (err error) {
	if k.Save != "" {
		if k.save, err = Replace(k.Save); err != nil {
			return &KeptError{Name: k.Save, Err: err}
		}
	}
	if k.Baseline == "" {
		return nil
	}
	switch f, err := os.Open(k.Baseline); {
	case err == nil && hasText(f):
		k.stored = f
		return nil
	case err == nil: // of a trace that didn't come to its end
		f.Close()
	case !errors.Is(err, os.ErrNotExist):
		return &KeptError{true, k.Baseline, err}
	}
	dir := filepath.Dir(k.Baseline)
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return &KeptError{true, dir, err}
	}
	if k.first, err = Replace(k.Baseline); err != nil {
		return &KeptError{true, dir, err}
	}
	return nil
}

// hasText reports whether a file isn't empty.
func hasText(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > 0
}

// Replaced returns the files that are still written when privileges are gone: for [DropKeeping].
func (k *Kept) Replaced() (all []*Replacement) {
	for _, r := range []*Replacement{k.save, k.first} {
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}

// Read reads the target's first trace, if there is one. The error is a *[KeptError].
func (k *Kept) Read() error {
	if k.stored == nil {
		return nil
	}
	var err error
	if k.Old, err = oneTrace(record.ReadJSON(k.stored)); err != nil {
		return &KeptError{true, k.Baseline, err}
	}
	return nil
}

// Wanted reports whether the trace is to be written, or compared.
func (k *Kept) Wanted() bool { return k.Old != nil || k.save != nil || k.first != nil }

// Write writes the trace: to Save in any case, and to Baseline if it came to its end and none is there. first reports
// the latter. The error is a *[KeptError].
func (k *Kept) Write(t *record.Trace) (first bool, err error) {
	if k.save != nil {
		if err := k.save.Finish(t.WriteJSON); err != nil {
			return false, &KeptError{Name: k.Save, Err: err}
		}
	}
	if k.first == nil || !t.Ending.Reason.Whole() {
		return false, nil
	}
	if err := k.first.Finish(t.WriteJSON); err != nil {
		return false, &KeptError{true, k.Baseline, err}
	}
	return true, nil
}

// Close closes the files. What was not written leaves them as they were.
func (k *Kept) Close() {
	if k.stored != nil {
		k.stored.Close() // of a file that is only read
	}
	for _, r := range k.Replaced() {
		r.Discard()
	}
}

// openFile opens a file to be read; "-": standard input. A directory is named for what it is: where privileges were
// dropped, opening it fails for another reason.
func openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err // not a nil *os.File, which would be a reader
	}
	return f, nil
}
