package trace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPace: whenever packets are asked for, and whatever the pace is changed to, no stretch of time has more packets than
// the rate and the burst allow, and who always wants to send reaches the rate.
func TestPace(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rate, burst := float64(1+rng.IntN(20_000)), 1+rng.IntN(32)
		p := NewPace(rate, burst)
		now := sentAt
		var left []time.Time
		for len(left) < 2000 {
			if at := p.next(now, 0); now.Before(at) {
				now = at
			}
			p.take(now)
			left = append(left, now)
			if rng.IntN(50) == 0 { // nobody wants to send for a while
				now = now.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
			}
		}
		for i := range left {
			for _, n := range []int{1, burst, burst + 10, 300} {
				if i+n >= len(left) {
					break
				}
				within := left[i+n].Sub(left[i]).Seconds()
				if most := rate*within + float64(burst) + 0.001; float64(n+1) > most {
					t.Fatalf("seed %d: %d packets within %v s, at most %v are allowed", seed, n+1, within, most)
				}
			}
		}
	}
}

// TestPaceReachesItsRate: a pace slows nobody down more than it says, also where it was changed.
func TestPaceReachesItsRate(t *testing.T) {
	p, now := NewPace(0.01, 1), sentAt
	p.take(now)
	if wait := p.next(now, 0).Sub(now); wait < 99*time.Second || wait > 101*time.Second {
		t.Errorf("%v until the next packet", wait)
	}
	p.Set(500, 4)
	begin := now
	for range 1000 {
		now = p.next(now, 0)
		p.take(now)
	}
	if took := now.Sub(begin); took < 1990*time.Millisecond || took > 2010*time.Millisecond {
		t.Errorf("1000 packets took %v, 500 a second are allowed", took)
	}
}

// TestPaceTogether: who has to wait for a packet waits until some may leave.
func TestPaceTogether(t *testing.T) {
	for _, tt := range []struct {
		rate        float64
		burst, some int
	}{{10_000, 16, 8}, {4000, 16, 8}, {1000, 16, 2}, {100, 16, 1}, {200, 1, 1}, {10_000, 4, 2}} {
		p, now := NewPace(tt.rate, tt.burst), sentAt
		for range tt.burst {
			p.take(now)
		}
		now = p.next(now, 0)
		some := 0
		for !now.Before(p.next(now, some)) {
			some++
		}
		if some != tt.some {
			t.Errorf("%v a second, up to %d at once: %d after a wait, want %d", tt.rate, tt.burst, some, tt.some)
		}
	}
}
