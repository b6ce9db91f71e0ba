package trace

import "time"

// What has come in and was not read yet must not be taken for silence. A busy host reads late, and loses what doesn't
// fit into the socket meanwhile; both are its own fault and not the network's.

const (
	// backlogPause is how often it is looked whether what waits has been read.
	backlogPause = time.Millisecond

	// lateReading is how old a packet is, when it is read, that the engine stops sending for.
	lateReading = 5 * time.Millisecond
)

// reading is how far the engine has read what came in.
type reading struct {
	upTo  time.Time // everything that came in before was read
	lost  time.Time // when it was noticed last that packets were lost on this host
	await time.Time // nothing is sent before everything was read that came in by then; zero: nothing is awaited
	free  time.Time // until then late packets don't keep the engine from sending
}

// read takes note of a packet that came in at this instant. Packets are read in the order in which they came in.
func (g *reading) read(now, at time.Time) {
	g.upTo = later(g.upTo, at)
	if now.Sub(at) > lateReading && g.await.IsZero() && !now.Before(g.free) {
		g.await = now
	}
}

// readUpTo reports whether everything that came in before t has been read: a packet that came in later was, or nothing
// is left. So a flood, which always leaves something, keeps nobody waiting for longer than it takes to read what lies
// before t.
func (e *engine) readUpTo(t time.Time, in *inbox) bool {
	if !e.reading.upTo.Before(t) {
		return true
	}
	now := time.Now()
	if b, ok := e.conn.(Backlogger); ok && b.Backlog() || len(in.full) > 0 {
		return false
	}
	e.reading.upTo = later(e.reading.upTo, now)
	return true
}

// catchingUp reports whether the engine has to read before it sends: the last packet was read late, so that what the
// plan knows is old. After that it sends for as long as that took, or it would stand still in a flood.
func (e *engine) catchingUp(now time.Time, in *inbox) bool {
	g := &e.reading
	if g.await.IsZero() {
		return false
	}
	if !e.readUpTo(g.await, in) {
		return true
	}
	g.free, g.await = now.Add(now.Sub(g.await)), time.Time{}
	return false
}

// countLosses asks how many packets this host has lost, and notes when there are more.
func (e *engine) countLosses(now time.Time) {
	c, ok := e.conn.(LossCounter)
	if !ok {
		return
	}
	if n := c.LostHere(); n > e.counts.LostHere {
		e.counts.LostHere, e.reading.lost = n, now
	}
}
