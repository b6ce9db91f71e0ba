package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.example/tcptraceroute/measure"
)

// Main is Run for a whole process: its standard output and error, and the signals that end it.
func Main(args []string) int {
	if err := measure.Limits(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitNotReached
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	r := &rescue{outputs: []*os.File{os.Stdout, os.Stderr}}
	signals := make(chan os.Signal, 4)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT} {
		if !signal.Ignored(s) { // as nohup(1) has it
			signal.Notify(signals, s)
		}
	}
	go r.listen(signals, cancel)
	p := &program{stdout: os.Stdout, stderr: os.Stderr, drop: measure.Drop, opener: measure.Open, rescue: r}
	return p.code(p.run(ctx, args))
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

// rescue ends the program wherever it may be blocked, and leaves the terminal whole. A nil one does nothing: the
// program is then part of another.
type rescue struct {
	mu       sync.Mutex
	outputs  []*os.File // that the program may wait for
	begun    bool       // from now on it ends by itself when the context does, and has something to print
	wrote    time.Time  // when a piece of the output was last taken
	terminal func()     // makes the terminal whole; nil: it is
}

// listen handles signals.
func (r *rescue) listen(signals <-chan os.Signal, cancel func(error)) {
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
func (r *rescue) expire(by *Interrupted) {
	if why := r.giveUp(); why != "" && writable(os.Stderr) {
		fmt.Fprintf(os.Stderr, "What was printed is not complete: %s\n", why)
	}
	r.exit(by)
}

// giveUp returns when nothing more may be expected of the program after a signal, and says why what it had to print
// isn't complete; "": it had nothing to print.
func (r *rescue) giveUp() (why string) {
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
func (r *rescue) flows() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.wrote) < stalledAfter
}

// pieces is a writer of the output: it writes a piece at a time, and the rescue sees when.
type pieces struct {
	io.Writer
	rescue *rescue
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

// inPieces is a writer to w whose reader may be slow after a signal, but not stand still.
func (r *rescue) inPieces(w io.Writer) io.Writer {
	if r == nil {
		return w
	}
	return pieces{w, r}
}

// blocked reports whether nothing more may be expected of the program: it has not even begun, or its reader doesn't
// read.
func (r *rescue) blocked() bool {
	if r.flows() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.outputs {
		if !writable(f) {
			return true
		}
	}
	return !r.begun
}

func (r *rescue) exit(by *Interrupted) {
	r.makeWhole()
	if writable(os.Stderr) {
		fmt.Fprintln(os.Stderr, "Interrupted")
	}
	os.Exit(by.ExitCode())
}

// begin says that the program now has something to print, and does that when the context ends.
func (r *rescue) begin() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = true
}

// writes says that the program writes to a file.
func (r *rescue) writes(f *os.File) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outputs = append(r.outputs, f)
}

// changes says that the terminal is other than it was, and how it becomes whole. It returns what to call when it is.
func (r *rescue) changes(whole func()) (done func()) {
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

// makeWhole makes the terminal what it was.
func (r *rescue) makeWhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.terminal != nil {
		r.terminal()
	}
}

// guard is to be deferred in goroutines: a panic then leaves a whole terminal.
func (r *rescue) guard() {
	v := recover()
	if v == nil {
		return
	}
	if r != nil {
		r.makeWhole()
	}
	panic(v)
}
