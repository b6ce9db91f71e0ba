package wire

import (
	"testing"
	"time"
)

// fakeClock is a clock whose wall and monotonic hands are moved by the test.
func fakeClock() (c *clock, at *instant) {
	at = &instant{wall: 1_000_000 * int64(time.Second)}
	c = &clock{base: time.Now(), offset: at.wall}
	c.now = func() instant { return *at }
	return c, at
}

// pass lets time go by on both clocks.
func (i *instant) pass(d time.Duration) { i.wall += int64(d); i.mono += d }

// rtt sends at once, lets the answer come in and be read, and says what the clock makes of it. The stamps are what the
// kernel's would be, moved by garbage.
func TestRTT(t *testing.T) {
	const sendCall, flight, wake = 8 * time.Microsecond, 40 * time.Millisecond, 300 * time.Microsecond
	for _, tt := range []struct {
		name               string
		step               time.Duration // the wall clock is set while the probe is on its way
		sentOff, recvOff   time.Duration // garbage in the stamps
		noSent, noRecv     bool
		stepBeforeReading  time.Duration // set after the answer came in and before it was read
		want, orThisMuchUp time.Duration
	}{
		{name: "kernel to kernel", want: flight},
		{name: "no stamps", noSent: true, noRecv: true, want: sendCall + flight + wake},
		{name: "no stamp of sending", noSent: true, want: sendCall + flight},
		{name: "set an hour ahead on the way", step: time.Hour, want: flight, orThisMuchUp: wake},
		{name: "set an hour back on the way", step: -time.Hour, want: flight, orThisMuchUp: wake},
		{name: "set ahead before it was read", stepBeforeReading: time.Hour, want: flight, orThisMuchUp: wake},
		{name: "set back before it was read", stepBeforeReading: -time.Hour, want: flight, orThisMuchUp: wake},
		{name: "garbage in the stamp of sending", sentOff: -time.Minute, want: sendCall + flight},
		{name: "garbage the other way", sentOff: time.Minute, want: sendCall + flight},
		{name: "receive stamp in the future", recvOff: time.Minute, want: flight + wake},
		{name: "stamps within the slip", sentOff: -time.Millisecond, want: sendCall + flight},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, at := fakeClock()
			at.pass(time.Second)
			before := c.look()
			at.pass(sendCall)
			stamp := at.wall + int64(tt.sentOff)
			if tt.noSent {
				stamp = 0
			}
			sent := c.sent(before, c.look(), stamp)
			at.pass(flight / 2)
			at.wall += int64(tt.step)
			at.pass(flight / 2)
			stamp = at.wall + int64(tt.recvOff)
			if tt.noRecv {
				stamp = 0
			}
			at.pass(wake / 2)
			at.wall += int64(tt.stepBeforeReading)
			at.pass(wake / 2)
			got := c.received(c.look(), stamp).Sub(sent)
			if got < tt.want || got > tt.want+tt.orThisMuchUp {
				t.Errorf("RTT %v, want %v (+%v)", got, tt.want, tt.orThisMuchUp)
			}
		})
	}
}

// Stamps are believed again after the clock was set.
func TestClockRecovers(t *testing.T) {
	c, at := fakeClock()
	at.wall += int64(time.Hour)
	c.look()
	at.pass(time.Second)
	before := c.look()
	at.pass(10 * time.Microsecond)
	sent := c.sent(before, c.look(), at.wall)
	at.pass(time.Millisecond)
	stamp := at.wall
	at.pass(time.Millisecond)
	if got := c.received(c.look(), stamp).Sub(sent); got != time.Millisecond {
		t.Errorf("RTT %v, want 1ms", got)
	}
}

// TestInterruptedReading takes the processor away between the readings of the two clocks, for less than an answer
// takes and for much more: a stamp is worth as much as before.
func TestInterruptedReading(t *testing.T) {
	const tick = 100 * time.Nanosecond // until the next reading
	for _, tt := range []struct {
		name  string
		gaps  []time.Duration // of the readings that follow
		wrong time.Duration
	}{
		{"never", nil, 0},
		{"for as long as a router next door takes", []time.Duration{6 * time.Microsecond}, 0},
		{"hardly", []time.Duration{readingGap}, 0},
		{"twice", []time.Duration{time.Millisecond, 6 * time.Microsecond}, 0},
		{"all but the last time", []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Second}, 0},
		{"each time, by less and less", []time.Duration{7000, 6000, 5000, 4000, 3000, 2000}, 2 * time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, at := fakeClock()
			gaps := []time.Duration(nil)
			c.now = func() instant {
				read := *at
				if len(gaps) > 0 {
					at.pass(gaps[0])
					read.mono, gaps = at.mono, gaps[1:]
				}
				at.pass(tick)
				return read
			}
			before := c.look()
			stamp := *at
			gaps = tt.gaps
			if wrong := c.sent(before, c.look(), stamp.wall).Sub(c.time(stamp.mono)); wrong != tt.wrong {
				t.Errorf("the stamp is %v late, want %v", wrong, tt.wrong)
			}
			if len(gaps) > 0 {
				t.Errorf("%d readings too few", len(gaps))
			}
			if stamp := *at; !c.received(c.look(), stamp.wall).Equal(c.time(stamp.mono)) {
				t.Error("the next stamp is wrong")
			}
		})
	}
}
