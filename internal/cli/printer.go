package cli

import (
	"sync"

	"tcptraceroute/report"
	"tcptraceroute/trace"
)

// printer lets a report wait for names and for its reader without holding up the trace: results queue without bound.
type printer struct {
	mu     sync.Mutex
	more   *sync.Cond
	queue  []trace.Result
	closed bool
	done   chan struct{}
	err    error // of writing; read after done
}

// startPrinter begins to feed a report. broken is called when it can't write any more.
func startPrinter(c report.Writer, broken func(error)) *printer {
	p := &printer{done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	go func() {
		defer close(p.done)
		for {
			r, ok := p.next()
			if !ok {
				break
			}
			if p.err = c.Add(r); p.err != nil {
				broken(p.err)
				return
			}
		}
		p.err = c.Finish()
	}()
	return p
}

func (p *printer) next() (trace.Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed {
		p.more.Wait()
	}
	if len(p.queue) == 0 {
		return trace.Result{}, false
	}
	r := p.queue[0]
	p.queue = p.queue[1:]
	return r, true
}

func (p *printer) add(r trace.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, r)
	p.more.Signal()
}

// close waits until everything is printed.
func (p *printer) close() error {
	p.mu.Lock()
	p.closed = true
	p.more.Signal()
	p.mu.Unlock()
	<-p.done
	return p.err
}
