package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// isDocument reports whether a file is one JSON document.
func isDocument(t *testing.T, file string) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return json.Valid(b)
}

// TestSaveFile: --save and --baseline write by the caller's rights, however the program is installed: what he may not
// write he can't write by a program that has more rights than he. Nothing else is left in the directory.
func TestSaveFile(t *testing.T) {
	t.Parallel()
	p := privilegesLab(t)
	for _, in := range installs {
		t.Run(in.name, func(t *testing.T) {
			bin := in.place(t, program(t))
			own, theirs, secret := callersFiles(t)
			file, base := filepath.Join(own, "out.json"), filepath.Join(own, "base")
			for i, want := range []string{"This trace is the baseline from now on: ", ""} {
				o := in.run(t, p.Source, bin, "-n", "--save", file, "--baseline", base, "198.18.3.2")
				if o.code != 0 || !strings.Contains(o.stderr, want) || (i == 1) != strings.Contains(o.stdout, "\nNo difference since ") {
					t.Fatalf("%v", o)
				}
			}
			for _, name := range []string{file, filepath.Join(base, "198.18.3.2_80.json")} {
				info, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				if uid := info.Sys().(*syscall.Stat_t).Uid; uid != in.caller || !isDocument(t, name) {
					t.Errorf("%s belongs to %d and has %d bytes", name, uid, info.Size())
				}
			}
			for _, d := range []string{own, base} {
				if all, err := os.ReadDir(d); err != nil || len(all) > 2 {
					t.Errorf("%v, %v", all, err)
				}
			}
			if in.caller == 0 {
				return
			}
			for _, forbidden := range []string{secret, filepath.Join(theirs, "new")} {
				o := in.run(t, p.Source, bin, "-n", "--save", forbidden, "198.18.3.2")
				if o.code != 1 || o.stdout != "" || o.stderr != "--save "+forbidden+": permission denied\n" {
					t.Errorf("%v", o)
				}
			}
			if o := in.run(t, p.Source, bin, "--diff", secret, file); o.code != 1 || o.stderr != "--diff: "+secret+": permission denied\n" {
				t.Errorf("%v", o)
			}
			if text, err := os.ReadFile(secret); err != nil || string(text) != "root's" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestSaveKilled: a program that is killed leaves the file as it was, or a whole one.
func TestSaveKilled(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	file := filepath.Join(t.TempDir(), "out.json")
	if err := os.WriteFile(file, []byte(`"old"`), 0o600); err != nil {
		t.Fatal(err)
	}
	rng, written := rand.New(rand.NewPCG(1, 2)), 0
	for range 20 {
		l := launch(t, p.Source, "-n -q 50 --save "+file+" 198.18.4.2")
		select {
		case <-l.done:
		case <-time.After(time.Duration(rng.Int64N(int64(400 * time.Millisecond)))):
			if err := l.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) { // it may just have ended
				t.Fatal(err)
			}
			<-l.done
		}
		if !isDocument(t, file) {
			t.Fatal("the file is no document")
		}
		if b, err := os.ReadFile(file); err == nil && string(b) != `"old"` {
			written++
		}
	}
	t.Logf("a new one after %d of 20", written)
}

// TestDiff: a new trace of the same target is compared with a saved one, by the same flow, before and after a firewall
// was set up and a router changed the marks of packets.
func TestDiff(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 5})
		p.Target.Listen(t, 80)
		bin, file := program(t), filepath.Join(t.TempDir(), "old.json")
		to := v.of(p.Target).String()
		if o := run(t, p.Source, bin, "-n", "--save", file, to, "80"); o.code != 0 {
			t.Fatalf("%v", o)
		}
		same := func(o outcome) string { // the lines that say what has changed
			_, text, _ := strings.Cut(o.stdout, "\n\n")
			return text
		}
		o := run(t, p.Source, bin, "--diff", file)
		if o.code != 0 || !strings.HasPrefix(same(o), "No difference since ") || strings.Contains(same(o), "different flows") {
			t.Errorf("%v", o)
		}
		p.Hop(3).Drop(t, "tcp dport 80")
		o = run(t, p.Source, bin, "--diff", file, "-m", "10")
		want := fmt.Sprintf("  state: no answer, silent after hop 3 (%v), and was open", v.of(p.Hop(3)))
		if o.code != 3 || !strings.Contains(same(o), want) || strings.Count(same(o), "\n  ") != 1 {
			t.Errorf("%v", o)
		}
		o = run(t, p.Source, bin, "--diff", file, "--json", "-m", "10")
		if o.code != 3 || !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, `"same_flow": true`) {
			t.Errorf("%v", o)
		}
	})
}
