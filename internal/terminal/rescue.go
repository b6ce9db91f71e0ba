package terminal

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Interrupted is the cause with which a context is cancelled by a signal.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return "interrupted" }

// ExitCode returns the shell's convention for a program ended by a signal.
func (e *Interrupted) ExitCode() int { return 128 + int(e.Signal) }

// Name returns the name of the signal.
func (e *Interrupted) Name() string {
	switch e.Signal {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return fmt.Sprintf("signal %d", e.Signal)
}

// Process returns a Rescue for this process, and a context that a signal cancels.
func Process() (context.Context, *Rescue) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &Rescue{outputs: []*os.File{os.Stdout, os.Stderr}}
	signals := make(chan os.Signal, 4)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT} {
		if !signal.Ignored(s) { // as nohup(1) has it
			signal.Notify(signals, s)
		}
	}
	go r.listen(signals, cancel)
	return ctx, r
}

const (
	// blockedAfter is how long after a signal the program may go on by itself: it prints what it knows.
	blockedAfter = 150 * time.Millisecond

	// stalledAfter is how long a reader who has taken something may take nothing more.
	stalledAfter = 100 * time.Millisecond

	// lastResort is when it ends although nothing seems to block it: that takes a machine that is very busy, or a trace
	// of some 100,000 probes, which are long to describe.
	lastResort = 5 * time.Second

	// pieceSize is how much is written at once, so that it is seen whether the reader takes it. Pipes hold more.
	pieceSize = 16 << 10
)

// Rescue ends the program wherever it may be blocked, and leaves the terminal whole. A nil one does nothing: the
// program is then part of another.
type Rescue struct {
	mu       sync.Mutex
	outputs  []*os.File // that the program may wait for
	begun    bool       // from now on it ends by itself when the context does, and has something to print
	wrote    time.Time  // when a piece of the output was last taken
	terminal func()     // makes the terminal whole; nil: it is
}

// listen handles signals.
func (r *Rescue) listen(signals <-chan os.Signal, cancel func(error)) {
	var first *Interrupted
	for s := range signals {
		number := s.(syscall.Signal)
		switch {
		case number == syscall.SIGQUIT || number == syscall.SIGABRT:
			r.makeWhole()
			dieBy(number) // the runtime then says what every goroutine was doing
		case first != nil:
			r.exit(&Interrupted{number}) // the second time at once
		default:
			first = &Interrupted{number}
			cancel(first)
			go r.expire(first)
		}
	}
}

// expire ends the program if it can't end by itself.
func (r *Rescue) expire(by *Interrupted) {
	if why := r.giveUp(); why != "" && Writable(os.Stderr) {
		fmt.Fprintf(os.Stderr, "What was printed is not complete: %s\n", why)
	}
	r.exit(by)
}

// giveUp returns when nothing more may be expected of the program after a signal, and says why what it had to print
// isn't complete; "": it had nothing to print.
func (r *Rescue) giveUp() (why string) {
	time.Sleep(blockedAfter)
	end := time.Now().Add(lastResort)
	for !r.blocked() {
		if !r.flows() && time.Now().After(end) {
			return fmt.Sprintf("it was not ready in %v", lastResort)
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		return ""
	}
	return "nobody reads it"
}

// flows reports whether the output is being taken, piece by piece.
func (r *Rescue) flows() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.wrote) < stalledAfter
}

// pieces is a writer of the output: it writes a piece at a time, and the rescue sees when.
type pieces struct {
	io.Writer
	rescue *Rescue
}

func (p pieces) Write(b []byte) (n int, err error) {
	for {
		m, err := p.Writer.Write(b[n:min(len(b), n+pieceSize)])
		n += m
		p.rescue.mu.Lock()
		p.rescue.wrote = time.Now()
		p.rescue.mu.Unlock()
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// InPieces is a writer to w whose reader may be slow after a signal, but not stand still.
func (r *Rescue) InPieces(w io.Writer) io.Writer {
	if r == nil {
		return w
	}
	return pieces{w, r}
}

// blocked reports whether nothing more may be expected of the program: it has not even begun, or its reader doesn't
// read.
func (r *Rescue) blocked() bool {
	if r.flows() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.outputs {
		if !Writable(f) {
			return true
		}
	}
	return !r.begun
}

func (r *Rescue) exit(by *Interrupted) {
	r.makeWhole()
	if Writable(os.Stderr) {
		fmt.Fprintln(os.Stderr, "Interrupted")
	}
	os.Exit(by.ExitCode())
}

// Begin says that the program now has something to print, and does that when the context ends.
func (r *Rescue) Begin() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = true
}

// Writes says that the program writes to a file.
func (r *Rescue) Writes(f *os.File) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outputs = append(r.outputs, f)
}

// Changes says that the terminal is other than it was, and how it becomes whole. It returns what to call when it is.
func (r *Rescue) Changes(whole func()) (done func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.terminal = whole
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.terminal = nil
	}
}

// OnUser calls first for each SIGUSR1, and second for each SIGUSR2, one after the other, until end is called.
func (r *Rescue) OnUser(first, second func()) (end func()) {
	one, two := User()
	if r == nil || one == nil {
		return func() {} // the program is part of another, or the system has no such signals
	}
	signals, ended := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(signals, one, two)
	go func() {
		defer close(ended)
		for s := range signals {
			if s == one {
				first()
			} else {
				second()
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// makeWhole makes the terminal what it was.
func (r *Rescue) makeWhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.terminal != nil {
		r.terminal()
	}
}

// Guard is to be deferred in goroutines: a panic then leaves a whole terminal.
func (r *Rescue) Guard() {
	v := recover()
	if v == nil {
		return
	}
	if r != nil {
		r.makeWhole()
	}
	panic(v)
}
