//go:build !linux

package wire

import (
	"os"
	"path/filepath"
)

func replaceable(*os.File) bool { return true }

func rename(dir *os.File, from, to string) error {
	return os.Rename(filepath.Join(dir.Name(), from), filepath.Join(dir.Name(), to))
}

func unlink(dir *os.File, name string) error { return os.Remove(filepath.Join(dir.Name(), name)) }

// DropKeeping is [Drop]: here files stay open to the caller.
func DropKeeping(_ func() []*Replacement, readable ...func() []string) (missing []error, err error) {
	return Drop(readable...)
}
