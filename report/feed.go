package report

import (
	"sync"

	"go.example/tcptraceroute/trace"
)

// StartPrinter begins to feed a report, which may wait for names and for its reader. broken is called when it can't
// write any more.
func StartPrinter(w Writer, broken func(error)) *Feed[trace.Result] {
	return StartFeed(w.Add, w.Finish, broken)
}

// Feed hands things on without holding up who has them: they queue without bound.
type Feed[T any] struct {
	mu     sync.Mutex
	more   *sync.Cond
	queue  []T
	closed bool
	done   chan struct{}
	err    error // of writing; read after done
}

// StartFeed begins to hand on to add, in order, and to finish when there is no more. broken is called when they fail;
// what still comes is then dropped.
func StartFeed[T any](add func(T) error, finish func() error, broken func(error)) *Feed[T] {
	p := &Feed[T]{done: make(chan struct{})}
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

func (p *Feed[T]) next() (T, bool) {
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
func (p *Feed[T]) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.closed = nil, true
}

// Add queues r.
func (p *Feed[T]) Add(r T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.queue = append(p.queue, r)
	p.more.Signal()
}

// Close waits until everything is printed.
func (p *Feed[T]) Close() error {
	p.mu.Lock()
	p.closed = true
	p.more.Signal()
	p.mu.Unlock()
	<-p.done
	return p.err
}
