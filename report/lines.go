package report

import (
	"io"
	"sync"
	"time"
)

// LineWriter gathers whole lines and writes them once a second, or at once.
type LineWriter struct {
	mu     sync.Mutex
	w      io.Writer
	atOnce bool
	buf    []byte
	err    error
	end    func()
}

const (
	flushEvery = time.Second
	mostKept   = 1 << 18 // bytes
)

// StartLines begins to write to w. broken is called when that fails later.
func StartLines(w io.Writer, atOnce bool, broken func(error)) *LineWriter {
	l := &LineWriter{w: w, atOnce: atOnce, end: func() {}}
	if !atOnce {
		l.end = EachTime(flushEvery, func() {
			if err := l.flush(); err != nil {
				broken(err)
			}
		})
	}
	return l
}

// Write takes in whole lines.
func (l *LineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.buf = append(l.buf, b...)
	full, err := l.atOnce || len(l.buf) > mostKept, l.err
	l.mu.Unlock()
	if full && err == nil {
		err = l.flush()
	}
	return len(b), err
}

func (l *LineWriter) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && len(l.buf) > 0 {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
	return l.err
}

// Close writes what is left.
func (l *LineWriter) Close() error {
	l.end()
	return l.flush()
}

// EachTime calls what again and again, until its result is called.
func EachTime(d time.Duration, what func()) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				what()
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
	}
}
