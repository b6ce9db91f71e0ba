package wire

import "time"

// The kernel stamps packets by the wall clock, which may be set while a trace runs; intervals are measured by the
// monotonic clock. A stamp is believed where both clocks agree about it.

// maxSlip is how far wall and monotonic clock may drift apart between two looks before the wall clock is held to have
// been set, and how far a stamp may lie outside the interval that it must fall into.
const maxSlip = 5 * time.Millisecond

// How much later the monotonic clock may seem to have been read than before, and how often it is tried again.
const (
	readingGap   = time.Microsecond
	readingTries = 5
)

// instant is one moment by both clocks.
type instant struct {
	wall int64         // ns since 1970
	mono time.Duration // since the clock was made
}

// clock turns kernel stamps into times with a monotonic reading.
type clock struct {
	base   time.Time
	offset int64         // see look
	set    time.Duration // when the wall clock was last seen to have been set; stamps from before mean nothing
	now    func() instant
}

func newClock() *clock {
	base := time.Now()
	c := &clock{base: base, offset: base.UnixNano()}
	c.now = func() instant {
		t := time.Now()
		return instant{wall: t.UnixNano(), mono: t.Sub(base)}
	}
	return c
}

// look reads both clocks, and notices when the wall clock was set.
//
// A reading is of the wall clock first and then of the monotonic one. Where the program was interrupted in between,
// they don't belong together, and a packet would seem to have left after its answer came in: such a reading makes the
// offset less. But nothing changes it unless somebody sets the wall clock (one that is slewed takes the other along),
// so what counts is the highest of several readings, and the one before unless they all are far from it.
func (c *clock) look() instant {
	i := c.now()
	for range readingTries {
		if i.offset() >= c.offset-int64(readingGap) {
			break
		}
		if again := c.now(); again.offset() > i.offset() {
			i = again
		}
	}
	d := i.offset() - c.offset
	if d > int64(maxSlip) || d < -int64(maxSlip) {
		c.set = i.mono
	}
	if d > 0 || d < -int64(readingGap) {
		c.offset = i.offset()
	}
	i.wall = int64(i.mono) + c.offset
	return i
}

// offset is by how much the wall clock is ahead of the monotonic one.
func (i instant) offset() int64 { return i.wall - int64(i.mono) }

// time is an instant as a Go time; its wall part is that of the monotonic clock.
func (c *clock) time(mono time.Duration) time.Time { return c.base.Add(mono) }

// sent is when a packet left that was handed to the kernel between before and after. stamp is the kernel's; 0: none.
func (c *clock) sent(before, after instant, stamp int64) time.Time {
	return c.time(c.within(before.mono, after, stamp, before.mono))
}

// received is when a packet came in that was read at the instant now.
func (c *clock) received(now instant, stamp int64) time.Time {
	return c.time(c.within(c.set, now, stamp, now.mono))
}

// within turns a stamp into monotonic time by the reading now, if it lies between from and now; else it is fallback. It
// may lie outside by maxSlip at most, and is then moved inside.
func (c *clock) within(from time.Duration, now instant, stamp int64, fallback time.Duration) time.Duration {
	if stamp == 0 {
		return fallback
	}
	at := now.mono - time.Duration(now.wall-stamp)
	if at < from-maxSlip || at > now.mono+maxSlip || at < c.set {
		return fallback
	}
	return min(max(at, from), now.mono)
}
