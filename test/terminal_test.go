package test

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// pseudoterminal is a terminal of this many columns: what is written to its far end is read from the near one.
func pseudoterminal(t *testing.T, columns uint16) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	var n int
	control(t, near, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	control(t, far, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	})
	return near, far
}

func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// onTerminal runs a program before a terminal, and returns all that it writes there.
func onTerminal(t *testing.T, h *lab.Host, term, noColor, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	near, far := pseudoterminal(t, 80)
	cmd := h.Command(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	cmd.Env = append(os.Environ(), "TERM="+term, "NO_COLOR="+noColor)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	far.Close()
	written, err := io.ReadAll(near) // ends with EIO when nobody has the far end any more (pty(7))
	cmd.Wait()
	if ctx.Err() != nil || len(written) == 0 {
		t.Fatalf("%q: %v", written, err)
	}
	return strings.ReplaceAll(string(written), "\r\n", "\n")
}

var (
	colours = regexp.MustCompile("\x1b\\[[0-9;]*m")
	awaited = regexp.MustCompile("\r\x1b\\[K\\[[0-9]+ s\\] waiting for hop 2 \\(0 of 2\\)\r")
	wiped   = regexp.MustCompile("\r\x1b\\[K[^\n\r\x1b]*\r\x1b\\[K") // a line that is drawn and replaced by another or none
)

// stays is what is left on a terminal of what was written there.
func stays(text string) string {
	for wiped.MatchString(text) {
		text = wiped.ReplaceAllString(text, "\r\x1b[K")
	}
	return strings.ReplaceAll(text, "\r\x1b[K", "")
}

// Before a terminal the text has colours, and a line below it says what is awaited; both leave the text as it is in a pipe,
// where there is neither. One terminal can't do it, and one user doesn't want colours.
//
//	source --- r1 --- r2 --- r3 --- target
//	                silent
func TestTerminal(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2}})
	p.Target.Listen(t, 443)
	name := program(t)
	args := []string{"-nq2", "-w1", "198.18.4.2", "443"}
	piped := terminal(t, p.Source, name, strings.Join(args, " "))
	if strings.ContainsAny(piped, "\x1b\r") {
		t.Errorf("in a pipe: %q", piped)
	}
	for _, tt := range []struct {
		name, term, noColor string
		args                []string
		colours, line       bool
	}{
		{"terminal", "xterm-256color", "", nil, true, true},
		{"NO_COLOR", "xterm", "1", nil, false, true},
		{"--color never", "xterm", "", []string{"--color", "never"}, false, true},
		{"--color always", "dumb", "1", []string{"--color=always"}, true, false},
		{"dumb", "dumb", "", nil, false, false},
		{"nameless", "", "", nil, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := onTerminal(t, p.Source, tt.term, tt.noColor, name, append(tt.args, args...)...)
			if seen := colours.MatchString(got); seen != tt.colours {
				t.Errorf("colours: %v\n%q", seen, got)
			}
			if seen := awaited.MatchString(got); seen != tt.line {
				t.Errorf("the line: %v\n%q", seen, got)
			}
			if text := stays(colours.ReplaceAllString(got, "")); likeness(text) != likeness(piped) {
				t.Errorf("%q, in a pipe %q", likeness(text), likeness(piped))
			}
		})
	}
	t.Run("--report", func(t *testing.T) { // which is silent for as long as its rounds take
		got := onTerminal(t, p.Source, "xterm", "", name, "--report", "-c2", "--interval", "0.5", "-n", "198.18.4.2", "443")
		if !strings.Contains(got, "\r\x1b[K[0 s] round 1 of 2\r") || strings.Contains(stays(got), "round") {
			t.Errorf("%q", got)
		}
	})
	t.Run("output in a pipe", func(t *testing.T) { // and standard error before the terminal: the line would be in nobody's way, but of no use
		got := onTerminal(t, p.Source, "xterm", "", "sh", append([]string{"-c", `"$0" "$@" | cat`, name}, args...)...)
		if likeness(got) != likeness(piped) {
			t.Errorf("%q, want %q", got, piped)
		}
	})
}
