package trace

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/sim"
)

var (
	fairNetworks = flag.Int("fair", 20, "how many random networks are watched in rounds, at each interval")
	fairSeed     = flag.Uint64("fair-seed", 0, "seed of the first of them")
)

// watched is a network for rounds, and what may be asked of them there.
type watched struct {
	scenario sim.Scenario
	last     int           // the target's hop; 0: nobody answers in its name
	seen     int           // the last hop that answers
	far      time.Duration // the longest that the target takes
	stops    bool          // the route changes, or some hops are there for some packets only
	says     string
}

// watchedNetwork is one of the networks that rounds go through: routers that are silent, lossy, slow or limit their
// answers, changes of route, balancers for each packet, a target that is near, far or silent, and resets that get lost.
func watchedNetwork(rng *rand.Rand) watched {
	n := 2 + rng.IntN(12)
	most := time.Duration(1+rng.IntN(1<<rng.IntN(7))) * time.Millisecond // 1 to 64 ms a hop, mostly few
	router := func(hop int) sim.Router {
		r := sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(hop)})}}
		r.Delay = time.Duration(rng.Int64N(int64(most)))
		r.Jitter = r.Delay / 4
		return r
	}
	var w watched
	p := sim.Path{Target: sim.Target{Addr: netip.AddrFrom4([4]byte{203, 0, 113, 5}), State: sim.State(rng.IntN(2))}}
	w.says = fmt.Sprintf("target at hop %d, state %d", n+1, p.Target.State)
	p.Target.Delay = time.Millisecond
	for hop := 1; hop <= n; hop++ {
		p.Routers = append(p.Routers, router(hop))
	}
	for range rng.IntN(4) {
		hop := rng.IntN(n)
		r := &p.Routers[hop]
		switch rng.IntN(5) {
		case 0, 1:
			r.Silent = 1
			w.says += fmt.Sprintf(", hop %d is silent", hop+1)
		case 2:
			r.Silent = 0.3
			w.says += fmt.Sprintf(", hop %d answers seldom", hop+1)
		case 3:
			r.Rate = sim.Rate{Every: 5 * time.Second, Burst: 2}
			w.says += fmt.Sprintf(", hop %d limits its answers", hop+1)
		case 4:
			r.Loss = 0.1
			w.says += fmt.Sprintf(", a link loses a tenth before hop %d", hop+1)
		}
	}
	switch rng.IntN(8) {
	case 0:
		p.Target.State = sim.Filtered
		w.says += ", it is silent"
	case 1:
		w.scenario.NoHostRST = true
		w.says += ", resets are lost"
	case 2:
		w.stops = true
		routers := append([]sim.Router(nil), p.Routers...)
		for range rng.IntN(3) {
			routers = append(routers, router(len(routers)+101))
		}
		routers = routers[rng.IntN(len(routers)):]
		p.Changes = []sim.Change{{Time: 20 * time.Second, Routers: routers}}
		w.says += fmt.Sprintf(", in the end it is hop %d", len(routers)+1)
		w.last = min(n, len(routers)) + 1
	case 3:
		hop := rng.IntN(n)
		p.Routers[hop].Addrs = append(p.Routers[hop].Addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(200)}))
		p.Routers[hop].PerPacket = true
		w.says += fmt.Sprintf(", two routers take turns at hop %d", hop+1)
	}
	for hop, r := range p.Routers {
		w.far += 2 * (r.Delay + r.Jitter)
		if r.Silent < 1 {
			w.seen = hop + 1
		}
	}
	for _, c := range p.Changes {
		var far time.Duration
		for _, r := range c.Routers {
			far += 2 * (r.Delay + r.Jitter)
		}
		w.far = max(w.far, far)
	}
	w.far += 2 * p.Target.Delay
	if p.Target.State != sim.Filtered && w.last == 0 {
		w.last = n + 1
	}
	w.scenario.Seed = rng.Uint64()
	w.scenario.Paths = []sim.Path{p}
	return w
}

// misled is rounds whose path has inferred something wrong, now and then.
type misled struct {
	*Rounds
	rng  *rand.Rand
	next time.Time
}

func (m *misled) Next(now time.Time) Action {
	if m.next.IsZero() {
		m.next = now.Add(5 * time.Second)
	}
	if p := m.path; now.After(m.next) {
		m.next = now.Add(time.Duration(5+m.rng.IntN(10)) * time.Second)
		hop := p.o.FirstTTL + m.rng.IntN(p.limit-p.o.FirstTTL+1)
		switch m.rng.IntN(6) {
		case 0:
			p.wary, p.lastRouter, p.estimate = true, p.o.FirstTTL-1, hop
		case 1:
			p.mixed, p.estimate = true, hop
		case 2:
			p.lastRouter = p.o.FirstTTL - 1
		case 3:
			p.confused, p.wary = true, true
		case 4:
			p.target.vague = true
		case 5:
			p.target.told, p.estimate, p.wary = false, hop, true
		}
	}
	return m.Rounds.Next(now)
}

// TestRoundsAreFair: whatever the network does, and whatever the path has inferred of it, each hop gets half of its turns at
// the least, and never more than its turns; and the target gets no more SYNs than that. A turn is an interval. The target's
// is as long as it takes to be asked again: it must have answered, and been reset.
func TestRoundsAreFair(t *testing.T) {
	t.Parallel()
	const length = 40 * time.Second
	networks := uint64(*fairNetworks)
	if testing.Short() {
		networks = min(networks, 5)
	}
	for _, interval := range []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		all := []uint64{412000125} // failed once: the target has one number for good, and no answer was ever told
		for seed := *fairSeed; seed < *fairSeed+networks; seed++ {
			all = append(all, seed)
		}
		for _, seed := range all {
			rng := rand.New(rand.NewPCG(seed, uint64(interval)))
			w := watchedNetwork(rng)
			t.Run(fmt.Sprintf("%v/%d", interval, seed), func(t *testing.T) {
				w.watch(t, rng, interval, length)
				if t.Failed() {
					t.Logf("every %v: %s; up to %v", interval, w.says, w.far)
				}
			})
		}
	}
}

func (w *watched) watch(t *testing.T, rng *rand.Rand, interval, length time.Duration) {
	sent := make(map[int][]time.Time)
	var begun time.Time
	var truth sim.Truth
	synctest.Test(t, func(t *testing.T) {
		model, err := sim.New(w.scenario)
		if err != nil {
			t.Fatal(err)
		}
		conn := sim.NewConn(model)
		defer conn.Close()
		plan, err := NewRounds(PathOptions{
			Source: netip.MustParseAddrPort("192.0.2.250:40000"), Target: netip.AddrPortFrom(w.scenario.Paths[0].Target.Addr, 443), Rand: rng,
		}, interval, 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		begun = time.Now()
		Run(ctx, conn, &misled{Rounds: plan, rng: rng}, Options{}, func(Result) {})
		for _, s := range conn.Sent() {
			sent[int(s.Probe.TTL)] = append(sent[int(s.Probe.TTL)], s.At)
		}
		truth = conn.Truth(0)
	})
	last := w.last
	if last == 0 {
		last = w.seen
	}
	for ttl, all := range sent {
		for i := 1; i < len(all); i++ {
			if gap := all[i].Sub(all[i-1]); gap < interval {
				t.Errorf("hop %d was asked %v after it was asked", ttl, gap)
			}
		}
	}
	const settles = 4 * time.Second // until the path is known
	turns := func(turn time.Duration) int { return int((length - settles) / turn) }
	for ttl := 1; ttl <= last; ttl++ {
		turn := interval
		if ttl == w.last || w.stops && ttl >= w.last {
			turn = max(turn, w.far+w.far/8+10*time.Millisecond)
			if w.scenario.NoHostRST {
				turn = max(turn, resendAnswerTime+w.far)
			}
		}
		n := 0
		for _, at := range sent[ttl] {
			if at.Sub(begun) >= settles {
				n++
			}
		}
		least := turns(turn) / 2
		switch {
		case w.stops:
			least = turns(turn) / 3 // when the target has come nearer, all hops are asked one by one until it is found
		case ttl >= w.last-1 && w.scenario.NoHostRST && w.far > 400*time.Millisecond:
			least = 0 // its answers can't be told from those that it repeats
		}
		if n < least {
			t.Errorf("hop %d was asked %d times, in %d turns of %v", ttl, n, turns(turn), turn)
		}
	}
	// Each round brings one, and what is not clear at first, or not any more, some.
	if most := int(length/interval) + 150; truth.Target.SYN > most && !w.stops && w.last > 0 {
		t.Errorf("%d SYNs at the target in %d rounds", truth.Target.SYN, int(length/interval))
	}
}
