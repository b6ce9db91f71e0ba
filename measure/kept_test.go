package measure

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.example/tcptraceroute/record"
)

const savedTrace = "../record/testdata/saved/findings.json"

// The first trace that came to its end stays what later ones are compared with; the file to save is the last one's.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	save, baseline := filepath.Join(dir, "saved.json"), filepath.Join(dir, "kept", "host.json")
	whole, err := ReadTrace(savedTrace)
	if err != nil {
		t.Fatal(err)
	}
	cut := *whole
	cut.Host, cut.Ending.Reason = "cut.example", record.Interrupted
	later := *whole
	later.Host = "later.example"
	for i, tt := range []struct {
		made  *record.Trace
		old   string // host of the trace before; "": there is none
		first bool
	}{{&cut, "", false}, {whole, "", true}, {&later, whole.Host, false}, {&cut, whole.Host, false}} {
		k := Kept{Save: save, Baseline: baseline}
		if err := errors.Join(k.Open(), k.Open(), k.Read()); err != nil {
			t.Fatal(err)
		}
		old := ""
		if k.Old != nil {
			old = k.Old.Host
		}
		first, err := k.Write(tt.made)
		if err != nil || old != tt.old || first != tt.first || !k.Wanted() {
			t.Errorf("trace %d: compared with %q, the first: %v, %v", i, old, first, err)
		}
		k.Close()
		if saved, err := ReadSaved(save); err != nil || saved.Host != tt.made.Host {
			t.Errorf("trace %d: %v, %v", i, saved, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// What is wrong with a file is told, and of which it is.
func TestKeptErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	whole, err := ReadTrace(savedTrace)
	if err != nil {
		t.Fatal(err)
	}
	whole.Rounds = new(record.Rounds)
	var rounds bytes.Buffer
	if err := whole.WriteJSON(&rounds); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kept     Kept
		baseline bool
		is       error
	}{
		{Kept{Save: filepath.Join(dir, "none", "saved")}, false, fs.ErrNotExist},
		{Kept{Baseline: filepath.Join(dir, "none", "none", "kept")}, true, fs.ErrNotExist},
		{Kept{Baseline: file("bad", "{")}, true, nil},
		{Kept{Baseline: file("rounds", rounds.String())}, true, ErrRounds},
	} {
		err := tt.kept.Open()
		if err == nil {
			err = tt.kept.Read()
		}
		tt.kept.Close()
		of, ok := errors.AsType[*KeptError](err)
		if !ok || of.Baseline != tt.baseline || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%+v: %v", tt.kept, err)
		}
	}
	if _, err := ReadSaved(filepath.Join(dir, "none")); !errors.As(err, new(*fs.PathError)) {
		t.Error(err)
	}
}

// A directory in the place of a file is refused before it is read, with the reason that it is one.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	_, saved := ReadSaved(dir)
	_, traced := TracedBefore([]string{dir})
	lists := Lists{Files: []string{dir}}
	_, _, listed := lists.Open()
	_, excluded := lists.Exclude(lists.Files, nil)
	for name, err := range map[string]error{"ReadSaved": saved, "TracedBefore": traced, "Open": listed, "Exclude": excluded,
		"Kept": (&Kept{Save: dir}).Open()} {
		of, ok := errors.AsType[*fs.PathError](err)
		if !ok || of.Op != "open" || of.Err != syscall.EISDIR {
			t.Errorf("%s of a directory: %v", name, err)
		}
	}
}
