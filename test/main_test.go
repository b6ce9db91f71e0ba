package test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// What the tests of this package share:
//
//	program(t)                          the built binary's path; every user may read and run it until t ends
//	run(t, host, program, args...)      runs it, or a peer, in a host of a lab and waits for its end
//	finish(t, prepare)                  the same for a command that needs more than arguments, such as another user
//	outcome                             what came of it: standard output, standard error, exit code
//	eventually(t, what, so)             waits for what nothing announces, or does again what a busy machine spoils
//	onlyFiles(t, host, hosts)           the host looks names up in this text alone, never in the DNS
//
// A test that wants something of the program while it runs takes [lab.Host.Command].

func TestMain(m *testing.M) {
	// Where the tests run under nohup or in a shell's background, the programs under test would ignore the same signals as
	// well. What this process handles itself is at its default in its children.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// Most tests wait for silence, and take far less than a processor. What is given to go test -parallel wins.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	lab.Main(m)
}

// build is the built binary. It is kept here and not in a file, because nobody is there to remove one when the tests end.
var build = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tcptraceroute")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tcptraceroute")
	cmd := exec.Command("go", "build", "-o", path, "../cmd/tcptraceroute")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return os.ReadFile(path)
})

// program is the path of the binary under test, which is built once and here until t ends. Its directory is open to every
// user, so it can be installed and run by any of them.
func program(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tcptraceroute")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "tcptraceroute")
	if err := errors.Join(lab.WriteProgram(path, binary, 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0o755)); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

// outcome is what came of a program.
type outcome struct {
	stdout, stderr string
	code           int // the exit code; -1 where a signal ended it
}

func (o outcome) String() string {
	return fmt.Sprintf("stdout:\n%s\nstderr:\n%s\nexit code %d\n", lines(o.stdout), lines(o.stderr), o.code)
}

// lines shows every byte of a text.
func lines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		fmt.Fprintf(&b, "\t%q\n", line)
	}
	return b.String()
}

// hangs is how long nothing that runs to its end here may take, on a machine however busy.
const hangs = 4 * time.Minute

// run runs a program in a host and waits for its end. It reads nothing from standard input.
func run(t testing.TB, h *lab.Host, name string, args ...string) outcome {
	t.Helper()
	return finish(t, func(ctx context.Context) *lab.Cmd { return h.Command(ctx, name, args...) })
}

// finish runs a prepared command and waits for its end.
func finish(t testing.TB, prepare func(context.Context) *lab.Cmd) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := prepare(ctx)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%v: still running after %v\n%s%s", cmd.Cmd, hangs, &stdout, &stderr)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Cmd, err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// eventually waits until something is so that nothing but asking can tell.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hangs); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", hangs, what)
		}
	}
}

// onlyFiles gives a host the names of a hosts(5) text and no other: nothing in a lab answers for the DNS.
func onlyFiles(t testing.TB, h *lab.Host, hosts string) {
	t.Helper()
	h.SetFile(t, "/etc/hosts", hosts)
	h.SetFile(t, "/etc/nsswitch.conf", "hosts: files\nservices: files\n")
}
