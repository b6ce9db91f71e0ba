package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// endings are the signals that end the program, and what the shell then sees.
var endings = []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}

// TestOneSignalIsEnough sends one signal while the program waits for something that never comes.
func TestOneSignalIsEnough(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	p.Hop(2).Mangle(t, "tcp dport 81 drop")
	p.Source.SetFile(t, "/etc/resolv.conf", "nameserver 198.18.3.2\noptions timeout:60\n") // which drops what it is asked:
	p.Hop(2).Mangle(t, "udp dport 53 drop")
	p.Source.SetFile(t, "/etc/nsswitch.conf", "hosts: dns\n")
	to := p.Target.V4().String()
	fifo := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	type situation struct {
		name    string
		args    string
		prepare func(t *testing.T, l *live) (waits func() bool) // nil: it waits once privileges are gone
	}
	printed := func(text string) func(*testing.T, *live) func() bool {
		return func(_ *testing.T, l *live) func() bool {
			return func() bool { return strings.Contains(l.stderr.String(), text) }
		}
	}
	all := []situation{
		{"looking up the target", "nowhere.example", nil},
		{"looking up a hop", "-w 1 " + to, printed(" hops max\n")},
		{"connecting", "-n --in-session " + to + " 81", nil},
		{"the capture has no reader", "-n --pcap FIFO " + to, func(t *testing.T, l *live) func() bool {
			l.Args[3] = fifo(t)
			return func() bool { return inCall(t, l, unix.SYS_OPENAT) }
		}},
		{"the capture's reader doesn't read", "-n -q 100 --pcap FIFO " + to, func(t *testing.T, l *live) func() bool {
			l.Args[5] = fifo(t)
			r, err := os.OpenFile(l.Args[5], os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			fill(t, r)
			return printed("Selected device")(t, l)
		}},
		{"messages go nowhere", "-n " + to, func(t *testing.T, l *live) func() bool {
			l.Stderr = fullPipe(t)
			return func() bool { return inCall(t, l, unix.SYS_WRITE) }
		}},
		{"debug messages go nowhere", "-nd " + to, func(t *testing.T, l *live) func() bool {
			l.Stderr = fullPipe(t)
			return func() bool { return inCall(t, l, unix.SYS_WRITE) }
		}},
	}
	for _, args := range []string{"", "--explain", "--json", "--jsonl", "--csv", "--format mtr-json", "--format atlas", "--format dot",
		"--format mermaid", "--format svg", "--report", "--unprivileged"} {
		all = append(all, situation{"nobody reads " + args, fmt.Sprintf("-n %s %s", args, to), func(t *testing.T, l *live) func() bool {
			l.Stdout = fullPipe(t)
			return printed(" hops max\n")(t, l)
		}})
	}
	var slowest atomic.Int64
	t.Run("all", func(t *testing.T) {
		for i, s := range all {
			number := endings[i%len(endings)]
			t.Run(fmt.Sprintf("%s/%v", s.name, number), func(t *testing.T) {
				t.Parallel()
				l := prepare(t, p.Source, program(t), s.args)
				waits := func() bool { return strings.Contains(threads(l), "\nSeccomp:\t2\n") }
				if s.prepare != nil {
					waits = s.prepare(t, l)
				}
				l.begin(t)
				eventually(t, "it waits", waits)
				sent := time.Now()
				l.signal(t, number)
				got := l.outcome()
				if took := int64(time.Since(sent)); took > slowest.Load() {
					slowest.Store(took)
				}
				if got.code != 128+int(number) {
					t.Errorf("%v", got)
				}
			})
		}
	})
	t.Logf("the slowest ended after %v", time.Duration(slowest.Load()))
}

// TestSecondSignal: whoever can't wait sends a second one, and it is the one that counts, unless the first was obeyed by then.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	l := prepare(t, p.Source, program(t), fmt.Sprintf("-n %v", p.Target.V4()))
	l.Stdout = fullPipe(t)
	l.begin(t)
	l.port(t)
	l.signal(t, unix.SIGINT)
	l.Process.Signal(unix.SIGTERM) // an error: it has ended
	if got := l.outcome(); got.code != 130 && got.code != 143 {
		t.Errorf("%v", got)
	}
}

// TestIgnoredSignals: a program that nohup(1) has started goes on.
func TestIgnoredSignals(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	got := run(t, p.Source, "sh", "-c", fmt.Sprintf(`trap "" HUP INT
"$0" -n -q1 -w1 %v 80 & kill -HUP $!; kill -INT $!; wait $!`, p.Target.V4()), program(t))
	if got.code != 0 || !strings.Contains(got.stdout, "[open]") {
		t.Errorf("%v", got)
	}
}

// inCall reports whether a thread of the program is inside a system call.
func inCall(t *testing.T, l *live, number int) bool {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", l.Process.Pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // an error: the thread has ended
		if strings.HasPrefix(string(text), fmt.Sprintf("%d ", number)) {
			return true
		}
	}
	return false
}

// threads is what the kernel says of the program's first thread.
func threads(l *live) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.Process.Pid)) // an error: it has ended
	return string(text)
}

// fill fills a pipe.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err == nil {
		_, err = unix.Write(int(w.Fd()), make([]byte, size))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fullPipe is the end to be written to of a pipe that nobody reads from.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, w)
	t.Cleanup(func() { r.Close(); w.Close() })
	return w
}

// TestLiveOnADeadTerminal ends the screen by a signal when nobody takes what it draws: the terminal has its mode back.
func TestLiveOnADeadTerminal(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	for i, number := range []unix.Signal{unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGABRT} {
		t.Run(number.String(), func(t *testing.T) {
			near, far := pseudoterminal(t, 200)
			before := mode(t, far)
			args := []string{"-n --live --interval 0.01 %v", "-n --live -a --as-dns --interval 0.01 %v"}[i%2]
			l := prepare(t, p.Source, program(t), fmt.Sprintf(args, p.Target.V4()))
			l.Stdin, l.Stdout = far, far
			l.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
			l.begin(t)
			eventually(t, "the terminal takes no more", func() bool {
				fds := []unix.PollFd{{Fd: int32(far.Fd()), Events: unix.POLLOUT}}
				n, err := unix.Poll(fds, 0)
				return err == nil && n == 0 && mode(t, far) != before
			})
			l.signal(t, number)
			code := 128 + int(number)
			if number == unix.SIGQUIT || number == unix.SIGABRT {
				code = 2 // of the Go runtime, which says on standard error where everybody was
			}
			if got := l.outcome(); got.code != code || mode(t, far) != before {
				t.Errorf("the same mode: %v\n%v", mode(t, far) == before, got)
			}
			near.Close()
		})
	}
}

// mode is that of a terminal.
func mode(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// TestLiveIsSuspended stops the screen as its user does, and as others do: the shell has a whole terminal meanwhile, and then
// the screen is drawn anew.
func TestLiveIsSuspended(t *testing.T) {
	t.Parallel()
	lab.NeedProgram(t, "bash")
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	command := fmt.Sprintf("-n --live --interval 0.05 %v", p.Target.V4())
	t.Run("Ctrl-Z", func(t *testing.T) {
		t.Parallel()
		x := inShell(t, p.Source, 80, 24, command)
		x.await(`round \d\d`)
		for range 2 {
			x.keys("C-z")
			x.await(`Stopped`)
			if s := x.state("#{alternate_on} #{cursor_flag}"); s != "0 1" {
				t.Errorf("stopped: alternate screen, cursor: %s", s)
			}
			x.keys("clear; stty -g | cmp - "+filepath.Join(x.dir, "before")+" && echo the same mo''de", "Enter")
			x.await(`the same mode`)
			x.keys("clear; fg", "Enter", "?")
			x.await(`forget all figures`)
			x.keys("?")
			x.await(`(?s)^tcptraceroute 198.*round \d\d.*Port 80 is open`)
		}
		x.keys("q")
		x.await(`(?s)Loss%   Snt.*3\.\|-- 198\.18\.3\.2`)
		x.keys("echo exit code $?", "Enter")
		x.await(`exit code 0`)
	})
	for _, number := range []unix.Signal{unix.SIGSTOP, unix.SIGTSTP} { // of which the program learns only afterwards
		t.Run(number.String(), func(t *testing.T) {
			t.Parallel()
			x := inShell(t, p.Source, 80, 24, command)
			x.await(`round \d\d`)
			x.signal(number)
			x.await(`Stopped`)                // the shell says so, on the screen that is left
			x.keys("clear; fg", "Enter", "?") // which is a key only in raw mode
			x.await(`forget all figures`)
			x.keys("?")
			x.await(`(?s)^tcptraceroute 198.*round \d\d.*Port 80 is open`)
			x.keys("q")
			x.await(`(?s)Loss%   Snt.*3\.\|-- 198\.18\.3\.2`)
			if s := x.state("#{alternate_on} #{cursor_flag}"); s != "0 1" {
				t.Errorf("alternate screen, cursor: %s", s)
			}
		})
	}
	t.Run("nobody would continue it", func(t *testing.T) { // so the kernel doesn't stop it
		t.Parallel()
		x := inTerminal(t, p.Source, 80, 24, "LC_ALL=C.UTF-8 TERM=xterm-256color", command)
		x.await(`round \d\d`)
		x.keys("C-z")
		x.keys("p")
		x.await(` PAUSED `)
		x.keys("q")
		x.ended(0, 3)
	})
}

// inShell starts the program from a shell with job control.
func inShell(t testing.TB, h *lab.Host, width, height int, args string) *pane {
	t.Helper()
	x := newPane(t, h, width, height, "stty -g >DIR/before\nexec env -u NO_COLOR LC_ALL=C.UTF-8 TERM=xterm-256color bash --norc --noprofile -i\n")
	x.await(`bash-`)
	x.keys(fmt.Sprintf("sh -c 'echo $$ >%s/pid; exec %s %s'", x.dir, program(t), args), "Enter")
	return x
}
