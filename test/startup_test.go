package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// initialised is what packages did before main: how many did anything, the time that they took and what they allocated.
type initialised struct {
	packages, bytes int
	took            time.Duration
}

func (i *initialised) add(took float64, bytes int) {
	i.packages++
	i.bytes += bytes
	i.took += time.Duration(took * float64(time.Millisecond))
}

// initialisation starts the program and returns what the Go runtime says of its packages (GODEBUG=inittrace=1): all of
// them, and the libraries of the live view, which most runs don't use.
func initialisation(t *testing.T, program string) (all, live initialised) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(stderr.String()) {
		var name string
		var at, took float64
		var n, allocs int
		// init internal/godebug @0.60 ms, 0.026 ms clock, 312 bytes, 7 allocs
		if _, err := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &took, &n,
			&allocs); err != nil {
			continue
		}
		all.add(took, n)
		for _, library := range []string{"charm.land/", "charmbracelet/", "muesli/", "mattn/", "rivo/", "xo/",
			"lucasb-eyer/", "clipperhouse/"} {
			if strings.Contains(name, library) {
				live.add(took, n)
			}
		}
	}
	if all.packages == 0 {
		t.Fatalf("no package says what it did: %q", stderr.String())
	}
	return all, live
}

// What is initialised before main without being used is little. How little is counted in packages and bytes, which are the
// same on a busy machine; the time is printed, the shortest of some runs (0.3 ms in all, half of it the live view's).
func TestStartUp(t *testing.T) {
	t.Parallel()
	bin := program(t)
	all, live := initialisation(t, bin)
	for range 9 {
		a, l := initialisation(t, bin)
		all.took, live.took = min(all.took, a.took), min(live.took, l.took)
	}
	t.Logf("all: %d packages, %d bytes, %v; the live view's libraries: %d packages, %d bytes, %v",
		all.packages, all.bytes, all.took, live.packages, live.bytes, live.took)
	const kiB = 1024
	if all.packages > 90 || all.bytes > 112*kiB {
		t.Errorf("%d packages are initialised and allocate %d bytes", all.packages, all.bytes)
	}
	if live.packages > 10 || live.bytes > 56*kiB {
		t.Errorf("the live view's libraries: %d packages are initialised and allocate %d bytes", live.packages, live.bytes)
	}
}
