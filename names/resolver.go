package names

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultBudget is how long the calls of [Resolver.Name] wait in all, where
	// [Options] doesn't say otherwise.
	DefaultBudget = time.Second
	// DefaultWorkers is how many look-ups run at once, where [Options] doesn't
	// say otherwise.
	DefaultWorkers = 16

	// maxAddrs bounds the memory of a Resolver that runs for days, or for very
	// many targets: further addresses stay without a name.
	maxAddrs = 1 << 16
	// maxName is the longest name there is, in bytes: RFC 1035 section 2.3.4.
	maxName = 255
)

// Policy says which addresses are looked up.
type Policy uint8

const (
	// Public looks up all but the addresses that mean something else in every
	// network, and so would only tell a foreign server about this one: 10/8,
	// 172.16/12 and 192.168/16 (RFC 1918), fc00::/7 (RFC 4193) and fe80::/10
	// (RFC 4291). These exactly: loopback, 169.254/16 and 100.64/10 are looked up.
	Public Policy = iota
	// Never looks up nothing.
	Never
	// All looks up every address.
	All
)

func (p Policy) allows(a netip.Addr) bool {
	switch p {
	case Public:
		return !a.IsPrivate() && !(a.Is6() && a.IsLinkLocalUnicast())
	case All:
		return true
	default:
		return false
	}
}

// Options of a [Resolver]. The zero value is what the program does by default.
type Options struct {
	Policy Policy
	// Budget bounds the waiting of all calls of Name together.
	// 0: DefaultBudget. Below 0: Name never waits.
	Budget time.Duration
	// Workers is how many look-ups run at once. Below 1: DefaultWorkers.
	Workers int
	// LookupAddr finds the names of an address, as [net.Resolver.LookupAddr]
	// does. It must return soon after its context is done.
	// nil: Go's own resolver, by the system's settings.
	LookupAddr func(ctx context.Context, addr string) ([]string, error)
	// Databases say who owns an address, the first that knows it. They stay the
	// caller's to close, after Close.
	Databases []*Database
	// OwnerDNS lets the DNS be asked who owns an address: Team Cymru's zones then
	// learn the public ones.
	OwnerDNS bool
	// LookupTXT finds the TXT records of a name, as [net.Resolver.LookupTXT] does.
	// It must return soon after its context is done. nil: as for LookupAddr.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// Dial connects the system's resolver to a name server: network is "udp" or
	// "tcp". nil: a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Guard, where it is set, is deferred in every goroutine of the Resolver: it may
	// put something right before a panic ends the program.
	Guard func()
}

// Resolver finds the names of addresses in the background, and the addresses of
// hosts. It is made by [New], ended by [Resolver.Close], and safe for concurrent
// use.
type Resolver struct {
	policy    Policy
	lookup    func(context.Context, string) ([]string, error)
	databases []*Database
	ownerDNS  bool
	txt       func(context.Context, string) ([]string, error)
	as        asNames
	system    system
	workers   int
	guard     func()

	ctx    context.Context // of every look-up in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup // the workers

	mu      sync.Mutex
	entries map[subject]*entry
	queue   []*entry // not yet taken by a worker
	running int      // workers
	closed  bool
	budget  budget
}

// subject is what is looked up of an address.
type subject struct {
	addr netip.Addr
	ask  ask
}

type ask uint8

const (
	askName ask = iota
	askOwner
)

// entry is one look-up. What it found may be read once done is closed.
type entry struct {
	subject
	done  chan struct{}
	name  string
	owner Owner
}

// New returns a Resolver. It starts nothing: an idle Resolver has no goroutine.
func New(o Options) *Resolver {
	r := &Resolver{
		policy:    o.Policy,
		lookup:    o.LookupAddr,
		databases: o.Databases,
		ownerDNS:  o.OwnerDNS,
		txt:       o.LookupTXT,
		system:    system{dial: o.Dial},
		workers:   o.Workers,
		guard:     o.Guard,
		entries:   make(map[subject]*entry),
		budget:    budget{left: o.Budget},
	}
	if r.system.dial == nil {
		r.system.dial = new(net.Dialer).DialContext
	}
	if r.lookup == nil {
		r.lookup = r.system.lookupAddr
	}
	if r.txt == nil {
		r.txt = r.system.lookupTXT
	}
	if r.workers < 1 {
		r.workers = DefaultWorkers
	}
	if o.Budget == 0 {
		r.budget.left = DefaultBudget
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Start begins to look up the name of addr in the background, unless that was
// done before or the policy forbids it. It never blocks. After Close, and
// beyond 65536 addresses, it does nothing.
func (r *Resolver) Start(addr netip.Addr) { r.start(subject{addr, askName}) }

// start returns the entry of a look-up, nil where there is and will be none.
func (r *Resolver) start(s subject) *entry {
	// The zone says where the address lives, but no reverse zone knows it.
	s.addr = s.addr.Unmap().WithZone("")
	if !s.addr.IsValid() || !r.allows(s) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[s]
	if e != nil || r.closed || len(r.entries) >= maxAddrs {
		return e
	}
	e = &entry{subject: s, done: make(chan struct{})}
	r.entries[s] = e
	r.queue = append(r.queue, e)
	if r.running < r.workers {
		r.running++
		r.wg.Go(r.work)
	}
	return e
}

func (r *Resolver) allows(s subject) bool {
	if s.ask == askOwner {
		return r.ownerDNS && public(s.addr)
	}
	return r.policy.allows(s.addr)
}

// work looks up what is queued, and ends when nothing is.
func (r *Resolver) work() {
	if r.guard != nil {
		defer r.guard()
	}
	for e := r.next(); e != nil; e = r.next() {
		if e.ask == askOwner {
			e.owner = r.ownerByDNS(r.ctx, e.addr)
		} else {
			e.name = r.nameOf(e.addr)
		}
		close(e.done)
	}
}

func (r *Resolver) nameOf(a netip.Addr) string {
	// An error may come with names, where only some were unfit; without any it
	// means the same to the reader as an address that has no name.
	names, _ := r.lookup(r.ctx, a.String())
	if len(names) == 0 {
		return ""
	}
	name := strings.TrimSuffix(names[0], ".")
	return name[:min(len(name), maxName)]
}

// next takes an entry from the queue; nil tells the worker to end.
func (r *Resolver) next() *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.running--
		return nil
	}
	e := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	return e
}

// Name returns the first name of addr without its trailing dot, or "" where
// there is none, the policy forbids the look-up, or the answer isn't there in
// time. It is as the network gave it, cut at 255 bytes: any byte may be in it.
//
// Name starts the look-up if [Resolver.Start] didn't, and waits for it until
// ctx is done, the Resolver is closed, or the budget is spent: the time in which
// at least one Name waits counts against the budget, so that a dead resolver
// delays the run by no more than that. Once it is spent no Name waits again:
// what is known by then is returned. A known name is returned even if ctx is
// done.
func (r *Resolver) Name(ctx context.Context, addr netip.Addr) string {
	if e := r.start(subject{addr, askName}); e != nil && r.wait(ctx, e) {
		return e.name
	}
	return ""
}

// wait waits for a look-up as long as that is allowed, and reports whether it is
// done.
func (r *Resolver) wait(ctx context.Context, e *entry) bool {
	select {
	case <-e.done:
		return true
	default:
	}
	if limit, ok := r.beginWait(); ok {
		timer := time.NewTimer(limit)
		select {
		case <-e.done:
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		r.endWait()
	}
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func (r *Resolver) beginWait() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.budget.begin(time.Now())
}

func (r *Resolver) endWait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget.end(time.Now())
}

// Close cancels the look-ups and returns when the last of their goroutines has
// ended. Names known by then can still be read. It may be called again.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, e := range r.queue {
		close(e.done)
	}
	r.queue = nil
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// budget bounds the time in which at least one of any number of waiters waits.
type budget struct {
	left    time.Duration // when nobody waited last
	waiters int
	since   time.Time // waiters > 0: since when
}

// begin admits a waiter for at most the duration that it returns, which is above
// 0; ok is false where the budget is spent, and then end must not be called.
func (b *budget) begin(now time.Time) (limit time.Duration, ok bool) {
	limit = b.left
	if b.waiters > 0 {
		limit -= now.Sub(b.since)
	}
	if limit <= 0 {
		return 0, false
	}
	if b.waiters == 0 {
		b.since = now
	}
	b.waiters++
	return limit, true
}

// end takes a waiter out.
func (b *budget) end(now time.Time) {
	b.waiters--
	if b.waiters == 0 {
		b.left -= now.Sub(b.since)
	}
}
