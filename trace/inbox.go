package trace

import (
	"context"
	"hash/maphash"
	"time"
)

// dedup remembers the last few packets, to know one that is seen twice, on a bridge and on its port: the same bytes at
// the same nanosecond.
type dedup struct {
	seed maphash.Seed
	last [4]struct {
		at  time.Time
		sum uint64
	}
	next int
}

func (s *dedup) again(d delivery) bool {
	sum := maphash.Bytes(s.seed, d.buf[:d.n])
	for _, l := range s.last {
		if l.sum == sum && l.at.Equal(d.at) {
			return true
		}
	}
	l := &s.last[s.next%len(s.last)]
	l.at, l.sum = d.at, sum
	s.next++
	return false
}

// inbox carries packets from the goroutine that receives to the engine, in buffers that go round.
type inbox struct {
	full   chan delivery
	empty  chan []byte
	failed chan error
	own    []byte // the engine's
}

type delivery struct {
	buf []byte
	n   int
	at  time.Time
}

func newInbox() *inbox {
	return &inbox{
		full:   make(chan delivery, receiveQueue),
		empty:  make(chan []byte, receiveQueue),
		failed: make(chan error, 1),
	}
}

func (in *inbox) fill(ctx context.Context, conn Conn) {
	for {
		var buf []byte
		select {
		case buf = <-in.empty:
		default:
			buf = make([]byte, packetSize)
		}
		n, at, err := conn.Recv(ctx, buf)
		if err != nil {
			if ctx.Err() == nil {
				in.failed <- err
			}
			return
		}
		select {
		case in.full <- delivery{buf, n, at}:
		case <-ctx.Done():
			return
		}
	}
}

func (in *inbox) reuse(d delivery) {
	select {
	case in.empty <- d.buf:
	default:
	}
}
