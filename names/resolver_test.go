package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// addr returns the i-th of many public addresses.
func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)})
}

// dead is a resolver that never answers.
func dead(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// after is a resolver that takes its time and names each address by itself.
func after(d time.Duration) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, a string) ([]string, error) {
		select {
		case <-time.After(d):
			return []string{a + ".example."}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// wants checks the name of addr and the time that Name took, to the nanosecond:
// all of these tests run in virtual time.
func wants(t *testing.T, r *Resolver, a netip.Addr, name string, wait time.Duration) {
	t.Helper()
	start := time.Now()
	got := r.Name(t.Context(), a)
	if took := time.Since(start); got != name || took != wait {
		t.Errorf("Name(%v) = %q after %v, want %q after %v", a, got, took, name, wait)
	}
}

func TestNameIsTheFirst(t *testing.T) {
	long := strings.Repeat("a", 4096)
	for _, tt := range []struct {
		names []string
		err   error
		want  string
	}{
		{names: []string{"r1.example."}, want: "r1.example"},
		{names: []string{"r1.example"}, want: "r1.example"},
		{names: []string{"b.example.", "a.example."}, want: "b.example"},
		{names: []string{"good.example."}, err: errors.New("others were unfit"), want: "good.example"},
		{err: errors.New("no such host")},
		{names: []string{}},
		{names: []string{"."}},
		{names: []string{"two.dots.."}, want: "two.dots."},
		// Not made safe here: that is for whoever prints it.
		{names: []string{"\x1b]0;owned\a.example."}, want: "\x1b]0;owned\a.example"},
		{names: []string{"a\r\nb\x00.example."}, want: "a\r\nb\x00.example"},
		{names: []string{"\u202egro.elpmaxe\xff"}, want: "\u202egro.elpmaxe\xff"},
		{names: []string{long[:255] + "."}, want: long[:255]},
		{names: []string{long}, want: long[:255]},
	} {
		r := New(Options{LookupAddr: func(context.Context, string) ([]string, error) { return tt.names, tt.err }})
		if got := r.Name(t.Context(), addr(1)); got != tt.want {
			t.Errorf("%q, %v: Name = %q, want %q", tt.names, tt.err, got, tt.want)
		}
		r.Close()
	}
}

func TestPolicy(t *testing.T) {
	const no, yes = false, true
	for _, tt := range []struct {
		addr   string
		public bool
	}{
		{"9.255.255.255", yes}, {"10.0.0.0", no}, {"10.255.255.255", no}, {"11.0.0.0", yes},
		{"172.15.255.255", yes}, {"172.16.0.0", no}, {"172.31.255.255", no}, {"172.32.0.0", yes},
		{"192.167.255.255", yes}, {"192.168.0.0", no}, {"192.168.255.255", no}, {"192.169.0.0", yes},
		{"127.0.0.1", yes}, {"169.254.1.1", yes}, {"100.64.0.1", yes}, {"192.0.2.1", yes},
		{"::ffff:10.1.2.3", no}, {"::ffff:11.1.2.3", yes},
		{"fbff:ffff::1", yes}, {"fc00::", no}, {"fdff:ffff::1", no}, {"fe00::1", yes},
		{"fe7f:ffff::1", yes}, {"fe80::1", no}, {"fe80::1%eth0", no}, {"febf:ffff::1", no}, {"fec0::1", yes},
		{"::1", yes}, {"2001:db8::1", yes}, {"ff02::1", yes},
	} {
		for policy, want := range map[Policy]bool{Never: no, Public: tt.public, All: yes, Policy(9): no} {
			asked := make(chan string, 2)
			r := New(Options{Policy: policy, LookupAddr: func(_ context.Context, a string) ([]string, error) {
				asked <- a
				return []string{"name"}, nil
			}})
			a := netip.MustParseAddr(tt.addr)
			r.Start(a)
			name := r.Name(t.Context(), a)
			r.Close()
			if (name == "name") != want || (len(asked) == 1) != want {
				t.Errorf("policy %d, %v: name %q after %d look-ups; looked up should be %v", policy, a, name, len(asked), want)
			}
		}
	}
	if New(Options{}).policy != Public {
		t.Error("Public isn't the default")
	}
}

func TestNoAddress(t *testing.T) {
	r := New(Options{Policy: All, LookupAddr: func(_ context.Context, a string) ([]string, error) {
		t.Errorf("looked up %q", a)
		return nil, nil
	}})
	defer r.Close()
	r.Start(netip.Addr{})
	if got := r.Name(t.Context(), netip.Addr{}); got != "" {
		t.Errorf("no address has the name %q", got)
	}
}

func TestOneLookupPerAddress(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	r := New(Options{Policy: All, LookupAddr: func(_ context.Context, a string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[a]++
		return []string{"of-" + a}, nil
	}})
	for range 3 {
		for a, want := range map[string]string{
			"192.0.2.1": "of-192.0.2.1", "::ffff:192.0.2.1": "of-192.0.2.1",
			"fe80::1": "of-fe80::1", "fe80::1%eth0": "of-fe80::1", "fe80::1%eth1": "of-fe80::1",
		} {
			a := netip.MustParseAddr(a)
			r.Start(a)
			if got := r.Name(t.Context(), a); got != want {
				t.Errorf("Name(%v) = %q, want %q", a, got, want)
			}
		}
	}
	r.Close()
	if len(asked) != 2 || asked["192.0.2.1"] != 1 || asked["fe80::1"] != 1 {
		t.Errorf("look-ups: %v, want one of each address", asked)
	}
}

// An answer that comes while nobody waits is there at the next call, and a
// failure is remembered as well.
func TestNameWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		r := New(Options{LookupAddr: func(ctx context.Context, a string) ([]string, error) {
			calls.Add(1)
			if a == addr(2).String() {
				return nil, errors.New("SERVFAIL")
			}
			return after(300*time.Millisecond)(ctx, a)
		}})
		defer r.Close()
		r.Start(addr(1))
		r.Start(addr(2))
		time.Sleep(400 * time.Millisecond)
		for range 2 {
			wants(t, r, addr(1), "198.18.0.1.example", 0)
			wants(t, r, addr(2), "", 0)
		}
		if calls.Load() != 2 {
			t.Errorf("%d look-ups, want 2", calls.Load())
		}
	})
}

func TestDeadResolverCostsOneBudget(t *testing.T) {
	for _, tt := range []struct{ budget, want time.Duration }{
		{0, time.Second},
		{250 * time.Millisecond, 250 * time.Millisecond},
		{-1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := New(Options{Budget: tt.budget, LookupAddr: dead})
			defer r.Close()
			for i := range 30 {
				r.Start(addr(i))
			}
			wants(t, r, addr(0), "", tt.want)
			for i := range 60 { // those started and others
				wants(t, r, addr(i), "", 0)
			}
		})
	}
}

// Many traces wait at the same time: the delay is that of the clock, not a sum.
func TestConcurrentWaitersShareTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{LookupAddr: dead})
		defer r.Close()
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { wants(t, r, addr(i), "", time.Second) })
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("50 at once took %v, want 1s", took)
		}
		wants(t, r, addr(99), "", 0)
	})
}

func TestOverlappingWaitsCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{LookupAddr: func(ctx context.Context, a string) ([]string, error) {
			if a == addr(0).String() {
				return dead(ctx, a)
			}
			return after(600*time.Millisecond)(ctx, a)
		}})
		defer r.Close()
		var wg sync.WaitGroup
		wg.Go(func() { wants(t, r, addr(1), "198.18.0.1.example", 600*time.Millisecond) })
		time.Sleep(300 * time.Millisecond)
		wants(t, r, addr(0), "", 700*time.Millisecond)
		wg.Wait()
		wants(t, r, addr(2), "", 0)
		time.Sleep(700 * time.Millisecond)
		wants(t, r, addr(2), "198.18.0.2.example", 0) // late, but known now
	})
}

func TestOverlapOfWaitersThatGetTheirAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{LookupAddr: after(300 * time.Millisecond)})
		defer r.Close()
		var wg sync.WaitGroup
		for i := range 3 { // from 0 to 300, 100 to 400, 200 to 500 ms
			wg.Go(func() { wants(t, r, addr(i), addr(i).String()+".example", 300*time.Millisecond) })
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
		r.lookup = dead
		wants(t, r, addr(9), "", 500*time.Millisecond)
	})
}

func TestOnlyWaitingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{LookupAddr: after(400 * time.Millisecond)})
		defer r.Close()
		wants(t, r, addr(1), "198.18.0.1.example", 400*time.Millisecond)
		time.Sleep(time.Hour)
		wants(t, r, addr(2), "198.18.0.2.example", 400*time.Millisecond)
		time.Sleep(time.Hour)
		wants(t, r, addr(3), "", 200*time.Millisecond)
		wants(t, r, addr(4), "", 0)
		time.Sleep(time.Hour)
		wants(t, r, addr(4), "198.18.0.4.example", 0)
	})
}

func TestNameObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{LookupAddr: after(500 * time.Millisecond)})
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if got := r.Name(ctx, addr(1)); got != "" || time.Since(start) != 100*time.Millisecond {
			t.Errorf("Name = %q after %v, want nothing after 100ms", got, time.Since(start))
		}
		if got := r.Name(ctx, addr(1)); got != "" || time.Since(start) != 100*time.Millisecond {
			t.Errorf("with the context over, Name = %q, waited till %v", got, time.Since(start))
		}
		// The look-up goes on: it is the Resolver's, not the caller's.
		time.Sleep(time.Second)
		if got := r.Name(ctx, addr(1)); got != "198.18.0.1.example" {
			t.Errorf("Name = %q: what is known is returned even if the context is over", got)
		}
		// 900 ms are left.
		r.lookup = dead
		wants(t, r, addr(2), "", 900*time.Millisecond)
	})
}

func TestStartNeverBlocksAndWorkersAreBounded(t *testing.T) {
	for workers, want := range map[int]int{0: 16, -1: 16, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			var now, most, done int
			var mu sync.Mutex
			r := New(Options{Workers: workers, LookupAddr: func(ctx context.Context, a string) ([]string, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				names, err := after(100*time.Millisecond)(ctx, a)
				mu.Lock()
				now--
				done++
				mu.Unlock()
				return names, err
			}})
			defer r.Close()
			start := time.Now()
			for i := range 48 {
				r.Start(addr(i))
				r.Start(addr(i))
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("Start took %v", took)
			}
			time.Sleep(time.Duration(48/want)*100*time.Millisecond + 1)
			synctest.Wait()
			if most != want || done != 48 || r.running != 0 {
				t.Errorf("%d workers: at most %d at once, %d done, %d still there; want %d, 48, 0", workers, most, done, r.running, want)
			}
			for i := range 48 {
				wants(t, r, addr(i), addr(i).String()+".example", 0)
			}
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, ended atomic.Int32
		r := New(Options{Workers: 2, Budget: time.Hour, LookupAddr: func(ctx context.Context, a string) ([]string, error) {
			if a == addr(0).String() {
				return []string{"known."}, nil
			}
			begun.Add(1)
			defer ended.Add(1)
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond) // slow to obey
			return nil, ctx.Err()
		}})
		wants(t, r, addr(0), "known", 0)
		var wg sync.WaitGroup
		for i := range 10 { // two under way, the others queued
			wg.Go(func() {
				if got := r.Name(t.Context(), addr(1+i)); got != "" {
					t.Errorf("Name = %q", got)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		r.Close()
		if b, e := begun.Load(), ended.Load(); b != 2 || e != 2 {
			t.Errorf("%d look-ups begun, %d ended when Close returned, want 2 and 2", b, e)
		}
		wg.Wait()
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("Close released the last waiter after %v, want 20ms", took)
		}
		r.Close()
		r.Start(addr(50))
		wants(t, r, addr(50), "", 0)
		wants(t, r, addr(1), "", 0)
		wants(t, r, addr(0), "known", 0)
		if begun.Load() != 2 {
			t.Error("a look-up began after Close")
		}
	})
}

func TestAddressesAreBounded(t *testing.T) {
	var calls atomic.Int32
	r := New(Options{LookupAddr: func(context.Context, string) ([]string, error) {
		calls.Add(1)
		return []string{"name"}, nil
	}})
	defer r.Close()
	for i := range maxAddrs {
		r.Start(addr(i))
	}
	if got := r.Name(t.Context(), addr(maxAddrs)); got != "" {
		t.Errorf("one address too many is called %q", got)
	}
	if got := r.Name(t.Context(), addr(maxAddrs-1)); got != "name" {
		t.Errorf("the last address is called %q", got)
	}
	r.Close()
	if n := calls.Load(); n != maxAddrs {
		t.Errorf("%d look-ups, want %d", n, maxAddrs)
	}
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	for range 20 {
		r := New(Options{Workers: 4, LookupAddr: func(ctx context.Context, a string) ([]string, error) {
			return []string{a}, ctx.Err()
		}})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 100 {
					a := addr(g/2*50 + i)
					r.Start(a)
					if got := r.Name(t.Context(), a); got != a.String() && got != "" {
						t.Errorf("Name(%v) = %q", a, got)
					}
				}
			})
			if g == 5 {
				wg.Go(r.Close)
			}
		}
		wg.Wait()
		r.Close()
		if r.running != 0 {
			t.Fatalf("%d workers after Close", r.running)
		}
	}
}

func ExampleResolver() {
	r := New(Options{LookupAddr: func(context.Context, string) ([]string, error) {
		return []string{"gw.example."}, nil // as the default would ask the network
	}})
	defer r.Close()
	hop := netip.MustParseAddr("192.0.2.1")
	r.Start(hop) // as soon as the hop is known
	fmt.Println(r.Name(context.Background(), hop))
	// Output: gw.example
}
