package tun

import (
	"slices"
	"time"
)

// Record is what passed the devices, each list in its order. Times count from the front end's start, as the model's do.
type Record struct {
	Start time.Time
	CPU   time.Duration // what all of it took the thread; there without the rest too
	// Yielded is how often the thread gave up its priority because it was busy for long; there without the rest too.
	Yielded int
	// Sent is what the host sent, and Received what was written for it to receive.
	Sent     []Sent
	Received []Received
	// ToReal is what was written for the real hosts to receive, and FromReal what they sent.
	ToReal   []Received
	FromReal []Sent
}

// Sent is a packet that was read from a device.
type Sent struct {
	At     time.Duration // when it was read
	Number uint64        // of the packet in the model, counted from 1; 0: it has no path there, see Err
	Err    error
	Packet []byte
}

// Received is a packet that was written to a device.
type Received struct {
	Due    time.Duration // when the model says that it arrives
	At     time.Duration // when it was written
	Number uint64        // of the host's packet that it goes back to, as sim.Received has it
	Err    error         // of the write: it didn't get there
	Packet []byte
}

// Late is how much too late packets were written.
func (r *Record) Late() Lateness {
	var all []time.Duration
	for _, list := range [][]Received{r.Received, r.ToReal} {
		for _, p := range list {
			all = append(all, p.At-p.Due)
		}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		if len(all) == 0 {
			return 0
		}
		return all[int(share*float64(len(all)-1))]
	}
	return Lateness{len(all), at(.5), at(.99), at(1)}
}

// Lateness of packets: how many, half of them below P50, and so on.
type Lateness struct {
	N             int
	P50, P99, Max time.Duration
}

// arena keeps packets without an allocation for each.
type arena []byte

func (a *arena) keep(b []byte) []byte {
	if len(*a)+len(b) > cap(*a) {
		*a = make([]byte, 0, max(1<<20, len(b)))
	}
	n := len(*a)
	*a = append(*a, b...)
	return (*a)[n:len(*a):len(*a)]
}
