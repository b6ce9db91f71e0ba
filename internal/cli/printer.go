package cli

import (
	"sync"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// printer is a feed of results to a report, which may wait for names and for its reader.
type printer = feed[trace.Result]

// startPrinter begins to feed a report. broken is called when it can't write any more.
func startPrinter(w report.Writer, broken func(error)) *printer {
	return startFeed(w.Add, w.Finish, broken)
}

// feed hands things on without holding up who has them: they queue without bound.
type feed[T any] struct {
	mu     sync.Mutex
	more   *sync.Cond
	queue  []T
	closed bool
	done   chan struct{}
	err    error // of writing; read after done
}

// startFeed begins to hand on to add, in order, and to finish when there is no more. broken is called when they fail;
// what still comes is then dropped.
func startFeed[T any](add func(T) error, finish func() error, broken func(error)) *feed[T] {
	p := &feed[T]{done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	go func() {
		defer close(p.done)
		for {
			r, ok := p.next()
			if !ok {
				break
			}
			if p.err = add(r); p.err != nil {
				p.stop()
				broken(p.err)
				return
			}
		}
		p.err = finish()
	}()
	return p
}

func (p *feed[T]) next() (T, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed {
		p.more.Wait()
	}
	if len(p.queue) == 0 {
		return *new(T), false
	}
	r := p.queue[0]
	p.queue = p.queue[1:]
	return r, true
}

// stop drops what has come and what comes.
func (p *feed[T]) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.closed = nil, true
}

func (p *feed[T]) add(r T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.queue = append(p.queue, r)
	p.more.Signal()
}

// close waits until everything is printed.
func (p *feed[T]) close() error {
	p.mu.Lock()
	p.closed = true
	p.more.Signal()
	p.mu.Unlock()
	<-p.done
	return p.err
}
