package wire

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file is replaced as a whole, or stays as it was, and nothing else is left in its directory.
func TestReplace(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, tt := range []struct {
		name, old string
		finish    func(*Replacement) error
		want      string
	}{
		{"new", "", func(r *Replacement) error { return r.Finish(text("new")) }, "new"},
		{"shorter", "something long", func(r *Replacement) error { return r.Finish(text("new")) }, "new"},
		{"discarded", "old", func(r *Replacement) error { r.Discard(); return nil }, "old"},
		{"discarded, none before", "", func(r *Replacement) error { r.Discard(); r.Discard(); return nil }, ""},
		{"half", "old", func(r *Replacement) error {
			return r.Finish(func(w io.Writer) error { io.WriteString(w, "ne"); return broken })
		}, "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name := filepath.Join(dir, "file.json")
			if tt.old != "" {
				if err := os.WriteFile(name, []byte(tt.old), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(dir, "link")
			if err := os.Symlink(name, link); err != nil {
				t.Fatal(err)
			}
			path := name
			if tt.old != "" {
				path = link // which stays one
			}
			r, err := Replace(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.finish(r); err != nil && !errors.Is(err, broken) {
				t.Fatal(err)
			}
			got, err := os.ReadFile(name)
			if string(got) != tt.want || (tt.want != "") != (err == nil) {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
			all, _ := filepath.Glob(filepath.Join(dir, ".*"))
			if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || len(all) > 0 {
				t.Errorf("%v, %v, left: %v", info, err, all)
			}
		})
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.Copy(w, strings.NewReader(s)); return err }
}

// What can't be replaced is refused at once.
func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{dir, filepath.Join(dir, "none", "file"), ""} {
		if r, err := Replace(name); err == nil {
			r.Discard()
			t.Errorf("%q can be replaced", name)
		}
	}
}
