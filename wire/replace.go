package wire

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// Replacement is a file that is written whole or not at all: under another name in the same directory, which then takes
// the file's name. It is opened by the rights that the caller has at that time, and can be finished after
// [DropKeeping].
//
// What is no regular file, such as a pipe, is written as it is. So is a file in a directory that root may only write to
// by a privilege that [DropKeeping] gives up: it is empty until it is finished.
type Replacement struct {
	file *os.File
	dir  *os.File // of the file; nil: it is written as it is
	temp string   // the name that it has until it is finished, in dir
	name string
}

// Replace opens a file to be replaced.
func Replace(name string) (*Replacement, error) {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	mode := os.FileMode(0o666)
	old, err := os.Stat(name)
	switch {
	case err == nil && old.IsDir():
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case err == nil && !old.Mode().IsRegular():
		return inPlace(name)
	case err == nil:
		mode = old.Mode().Perm()
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if !replaceable(dir) {
		dir.Close()
		return inPlace(name)
	}
	r := &Replacement{dir: dir, name: filepath.Base(name)}
	for range 100 {
		r.temp = fmt.Sprintf(".%s.%08x", r.name, rand.Uint32())
		r.file, err = os.OpenFile(filepath.Join(filepath.Dir(name), r.temp), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return r, nil
}

func inPlace(name string) (*Replacement, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	return &Replacement{file: f, name: name}, nil
}

// Finish writes the file by write, and puts it in its place if all of it was written.
func (r *Replacement) Finish(write func(io.Writer) error) (err error) {
	defer r.Discard()
	if r.dir == nil {
		return errors.Join(write(r.file), r.close())
	}
	if err := errors.Join(write(r.file), r.file.Sync(), r.close()); err != nil {
		return err
	}
	if err := rename(r.dir, r.temp, r.name); err != nil {
		return &os.PathError{Op: "rename", Path: r.name, Err: err}
	}
	r.temp = ""
	return nil
}

// Discard leaves the file as it was, unless it was finished. It may be called again.
func (r *Replacement) Discard() {
	r.close()
	if r.dir != nil {
		if r.temp != "" {
			unlink(r.dir, r.temp)
		}
		r.dir.Close()
		r.dir = nil
	}
}

func (r *Replacement) close() (err error) {
	if r.file != nil {
		err = r.file.Close()
		r.file = nil
	}
	return err
}
