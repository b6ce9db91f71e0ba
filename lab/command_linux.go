package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Cmd is an [exec.Cmd] that runs inside a host. Only Start, Wait, Run, Output and CombinedOutput are its own. Nothing
// stands between this process and the program: no wrapper spends time or memory on its account. It leads a process
// group, which is killed when its context or the lab ends; it is killed itself when this process is.
type Cmd struct {
	*exec.Cmd
	host   *Host
	wait   sync.Once
	err    error         // of Wait
	reaped chan struct{} // closed by Wait
}

// Command prepares a command inside the host: see [exec.CommandContext].
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h, reaped: make(chan struct{})}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.Cancel = c.kill
	c.WaitDelay = 5 * time.Second // what it left behind may hold its output open
	return c
}

// As makes the command run as another user, without groups and without capabilities: for tests that begin with
// [NeedRoot].
func (c *Cmd) As(uid, gid uint32) *Cmd {
	c.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	return c
}

// Start starts the command and doesn't wait for it.
func (c *Cmd) Start() error {
	// A process is born into its parent thread's namespaces. That thread lives until the process is reaped: its end would
	// be taken for the end of this program (PR_SET_PDEATHSIG(2const)).
	started := make(chan error, 1)
	ownThread(func() {
		err := errors.Join(enter(c.host.ns), c.host.bindFiles())
		if err == nil {
			err = c.Cmd.Start()
		}
		started <- err
		if err == nil {
			<-c.reaped
		}
	})
	if err := <-started; err != nil {
		return err
	}
	l := c.host.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands[c] = true
	return nil
}

// Wait waits for the command to end. It may be called more than once.
func (c *Cmd) Wait() error {
	c.wait.Do(func() {
		c.err = c.Cmd.Wait()
		close(c.reaped)
		l := c.host.lab
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.commands, c)
	})
	return c.err
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it wrote to standard output. Unlike that of exec.Cmd, its error holds
// nothing of standard error.
func (c *Cmd) Output() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &b
	err := c.Run()
	return b.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote to standard output and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// kill kills the command's process group.
func (c *Cmd) kill() error {
	err := unix.Kill(-c.Process.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Run runs a command that must succeed, and returns all it wrote.
func (h *Host) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return h.run(t, "", name, args...)
}

func (h *Host) run(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	c := h.Command(context.Background(), name, args...) // not t.Context(): it also runs when t ends
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("lab: %s: %s: %v\n%s%s", h.Name, strings.Join(c.Args, " "), err, stdin, out)
	}
	return string(out)
}

// IP runs ip(8) with the arguments, split at blanks, and undoes nothing: "link set eth1 down".
func (h *Host) IP(t testing.TB, args string) string {
	t.Helper()
	return h.Run(t, "ip", strings.Fields(args)...)
}

// Add runs "ip OBJECT add WHAT", and "ip OBJECT del WHAT" when t ends: Add(t, "route", "unreachable 198.18.9.2"),
// Add(t, "-6 rule", "fwmark 1 lookup 7").
func (h *Host) Add(t testing.TB, object, what string) {
	t.Helper()
	h.IP(t, object+" add "+what)
	t.Cleanup(func() { h.IP(t, object+" del "+what) })
}

// SetFile puts text in the place of a file of this machine (/etc/hosts, /etc/resolv.conf, /etc/nsswitch.conf), for
// the commands that the host starts until t ends. The file must exist; it isn't changed.
func (h *Host) SetFile(t testing.TB, path, text string) {
	t.Helper()
	dir, err := h.lab.fileDir()
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	f, err := os.CreateTemp(dir, filepath.Base(path))
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		t.Fatalf("lab: %v", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	old, had := h.files[path]
	h.files[path] = f.Name()
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if had {
			h.files[path] = old
		} else {
			delete(h.files, path)
		}
	})
}

// bindFiles gives the calling thread a mount namespace of its own in which [Host.SetFile]'s files lie over the
// machine's. The thread can't go back.
func (h *Host) bindFiles() error {
	h.mu.Lock()
	files := maps.Clone(h.files)
	h.mu.Unlock()
	if len(files) == 0 {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil { // else the machine sees our mounts
		return os.NewSyscallError("mount", err)
	}
	for path, from := range files {
		if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting over %s: %w", path, err)
		}
	}
	return nil
}

// fileDir is a directory that other users can read in, unlike that of testing.TB.
func (l *Lab) fileDir() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files == "" {
		dir, err := publicDir()
		if err != nil {
			return "", err
		}
		l.files = dir
	}
	return l.files, nil
}

func publicDir() (string, error) {
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
