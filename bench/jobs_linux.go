package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

const port = sim.InternetPort

// job is a path that all tools are to be sent through.
type job struct {
	kind   string
	path   int
	target netip.Addr
	slow   bool // a target that is never reached: the old tools need minutes
	make   func() sim.Scenario
}

// internetJobs are the first n paths of the Internet with this seed.
func internetJobs(seed uint64, n int, kind string) []job {
	var first, rest []job // the slow ones first, so that no lane is left with one at the end
	all := sim.Internet(seed, n, sim.InternetOptions{})
	for i, p := range all.Paths {
		j := job{kind: kind, path: i, target: p.Target.Addr}
		j.make = func() sim.Scenario {
			s := sim.Internet(seed, i+1, sim.InternetOptions{}) // a model keeps what it is given
			return onePath(s, i)
		}
		if j.slow = unreached(j); j.slow {
			first = append(first, j)
		} else {
			rest = append(rest, j)
		}
	}
	return append(first, rest...)
}

// reachedJobs are the first n paths of the Internet with this seed whose targets answer, in order: those with the
// machine to themselves are worth no waiting.
func reachedJobs(seed uint64, n int, kind string) []job {
	jobs := slices.DeleteFunc(internetJobs(seed, 2*n, kind), func(j job) bool { return j.slow })
	return jobs[:min(n, len(jobs))]
}

// unreached reports whether the path of a job ends in silence.
func unreached(j job) bool {
	model, err := sim.New(j.make())
	if err != nil {
		return false // whoever runs it will be told
	}
	host := sim.InternetHosts4.Addr().Next()
	if j.target.Is6() {
		host = sim.InternetHosts6.Addr().Next()
	}
	syn := packet.Probe{Src: netip.AddrPortFrom(host, 40000), Dst: netip.AddrPortFrom(j.target, port), Flags: packet.SYN}
	b, err := syn.AppendBinary(nil)
	if err != nil {
		return false
	}
	x, err := model.Expect(b)
	return err == nil && wayOf(x).distance == 0
}

// onePath is the scenario with one of its paths. The host behind a TUN device is a real one, and resets by itself.
func onePath(s sim.Scenario, path int) sim.Scenario {
	return sim.Scenario{Seed: s.Seed ^ uint64(path), NoHostRST: true, Paths: s.Paths[path : path+1]}
}

// filteredHop is the last one that answers on the paths of filteredJobs.
const filteredHop = 10

// filteredJobs are paths of 16 hops on which a firewall drops everything behind hop 10, at different distances.
func filteredJobs(seed uint64, n int) []job {
	var jobs []job
	for i := range n {
		delay := []time.Duration{time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 500 * time.Microsecond}[i%4]
		text := fmt.Sprintf("seed %d\nno-host-rst\n", seed+uint64(i))
		for hop := 1; hop < 16; hop++ {
			text += fmt.Sprintf("router 10.1.%d.1 delay=%v jitter=50us slow=50us", hop, delay)
			if hop == filteredHop {
				text += fmt.Sprintf(" drop=%d", port)
			}
			text += "\n"
		}
		target := sim.InternetTarget(i, true)
		text += fmt.Sprintf("target %v delay=%v open=%d\n", target, delay, port)
		jobs = append(jobs, job{kind: kindFiltered, path: i, target: target, slow: true, make: func() sim.Scenario {
			s, err := sim.Parse(text)
			if err != nil {
				panic(err) // the text is ours
			}
			return s
		}})
	}
	return jobs
}

// runner runs tools and collects trials.
type runner struct {
	tools []tool
	tell  func(done, of int)
	show  func(trial, outcome) // each run; nil: none

	mu     sync.Mutex
	trials []trial
	done   int
	of     int
}

// lanes works the jobs off, side by side in as many networks.
func (r *runner) lanes(ctx context.Context, tb testing.TB, l *lab.Lab, jobs []job, lanes int, tools []tool) error {
	queue := make(chan job)
	r.of += len(jobs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range min(lanes, len(jobs)) {
		n := newInternet(tb, l, fmt.Sprintf("%s%d", jobs[0].kind, i))
		all.Go(func() {
			guarded(cancel, func() error {
				for j := range queue {
					n.scenario = j.make
					if err := r.path(ctx, tb, n, j, tools, false); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	for _, j := range jobs {
		select {
		case queue <- j:
		case <-ctx.Done():
		}
	}
	close(queue)
	all.Wait()
	return context.Cause(ctx)
}

// errLab is what ends the others where the lab failed; the bed knows more.
var errLab = errors.New("the lab failed")

// guarded runs f, and cancels the others where it fails, or where a failing lab ends the goroutine.
func guarded(cancel context.CancelCauseFunc, f func() error) {
	err := errLab
	defer func() {
		if err != nil {
			cancel(err)
		}
	}()
	err = f()
}

// path sends the tools through one path, one after the other. Who begins changes from path to path.
func (r *runner) path(ctx context.Context, tb testing.TB, s stage, j job, tools []tool, peak bool) error {
	for i := range tools {
		t := tools[(i+j.path)%len(tools)]
		if t.only4 && j.target.Is6() || j.kind == kindOne && t.one == nil {
			continue
		}
		if err := r.trial(ctx, tb, s, j, t, peak); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.tell != nil {
		r.tell(r.done, r.of)
	}
	return nil
}

func (r *runner) trial(ctx context.Context, tb testing.TB, s stage, j job, t tool, peak bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.begin(tb); err != nil {
		return err
	}
	args := t.args(netip.AddrPortFrom(j.target, port))
	if j.kind == kindOne {
		args = append(slices.Clone(t.one), args...)
	}
	o, err := execute(ctx, s.host(), t, args, peak)
	e, serr := s.end(tb)
	if serr != nil {
		return serr
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	result := judged(t, o, e, t.parse(o.stdout), trial{Kind: j.kind, Path: j.path, IPv6: j.target.Is6(), target: j.target})
	if err != nil {
		result.Error = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trials = append(r.trials, result)
	if r.show != nil {
		r.show(result, o)
	}
	return nil
}

// alone runs the quick tools with the machine to themselves.
func (r *runner) alone(ctx context.Context, tb testing.TB, l *lab.Lab, jobs []job, tools []tool) error {
	n := newInternet(tb, l, "alone")
	for _, j := range jobs {
		r.of++
		if j.kind == kindAlone {
			r.of++
		}
	}
	for _, j := range jobs {
		n.scenario = j.make
		if err := r.path(ctx, tb, n, j, tools, true); err != nil {
			return err
		}
		if j.kind == kindAlone {
			j.kind = kindOne
			if err := r.path(ctx, tb, n, j, tools, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// others is how many other traces run beside the one that is looked at, on a busy machine.
const others = 5

// busy runs our own program beside others of its kind, with every core busy.
func (r *runner) busy(ctx context.Context, tb testing.TB, l *lab.Lab, jobs []job, tools []tool, cores int) error {
	stop, err := burn(cores)
	if err != nil {
		return err
	}
	defer stop()
	beside, enough := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer enough()
	for i := range others {
		n := newInternet(tb, l, fmt.Sprintf("other%d", i))
		all.Go(func() {
			noise := runner{tools: tools}
			for k := i; beside.Err() == nil; k++ {
				j := jobs[k%len(jobs)]
				n.scenario = j.make
				if noise.path(beside, tb, n, j, tools, false) != nil {
					return
				}
			}
		})
	}
	return r.alone(ctx, tb, l, jobs, tools)
}

// labHops and labSilent are what the lab's paths are like.
const labHops, labSilent = 9, 4

// labs sends the tools through chains of real routers, side by side.
func (r *runner) labs(ctx context.Context, tb testing.TB, chains int, tools []tool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.of += 2 * chains
	var all sync.WaitGroup
	for i := range chains {
		p := lab.Chain(tb, lab.ChainOptions{Hops: labHops, Silent: []int{labSilent}})
		p.Target.Listen(tb, port)
		all.Go(func() {
			guarded(cancel, func() error {
				for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
					s := &routers{path: p, silent: labSilent, targetIs: target}
					if err := r.path(ctx, tb, s, job{kind: kindLab, path: i, target: target}, tools, false); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
