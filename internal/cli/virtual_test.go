package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/wire"
)

// simMedium is a simulated network in the place of raw sockets.
type simMedium struct {
	*sim.Conn
	kernel *sim.Conn // a network of the same kind, for the connections that this host's kernel opens
	target netip.Addr
	port   uint16 // that was reserved last

	attempts []wire.Attempt // what comes of ordinary connections, each after its Waited; none: as the network has it
	asked    []time.Time    // when they were

	attemptErr error // why none can be asked for

	stop    time.Duration   // when the trace is interrupted; 0: never
	service string          // the target's port; "": 443
	as      measure.Network // what the program is run over; nil: this one
	chance  uint64          // by how much the seed differs that kernel has: else both networks lose their first packets
}

func (m *simMedium) Attempt(ctx context.Context, o wire.AttemptOptions) (wire.Attempt, error) {
	if m.attemptErr != nil {
		return wire.Attempt{}, m.attemptErr
	}
	if len(m.attempts) == 0 {
		return m.connect(ctx, o)
	}
	n := len(m.asked)
	if n >= len(m.attempts) {
		return wire.Attempt{}, wire.ErrPrivilege
	}
	m.asked = append(m.asked, time.Now())
	a := m.attempts[n]
	a.Source, a.Target = netip.AddrPortFrom(o.Source, 50000), o.Target
	select {
	case <-time.After(min(a.Waited, o.Wait)):
		return a, nil
	case <-ctx.Done():
		return wire.Attempt{}, ctx.Err()
	}
}

const simMTU = 1500

func (m *simMedium) Route(dst, src netip.AddrPort) (wire.Route, error) {
	r := wire.Route{Source: netip.MustParseAddr("192.0.2.1"), Interface: "eth0", MTU: simMTU, MSS: simMTU - 40}
	if dst.Addr().Is6() {
		r.Source, r.MSS = netip.MustParseAddr("2001:db8:1::1"), simMTU-60
	}
	r.Local = dst.Addr() == r.Source
	return r, nil
}

func (m *simMedium) Reserve(netip.AddrPort) (uint16, error) {
	m.port++
	return m.port, nil
}

func (m *simMedium) Use(uint16) error               { return nil }
func (m *simMedium) Fault(packet.Probe, bool) error { return nil }
func (m *simMedium) Without() []error               { return nil }

// connect opens a connection as the kernel does: a SYN each second, until there is an answer.
func (m *simMedium) connect(ctx context.Context, o wire.AttemptOptions) (a wire.Attempt, err error) {
	a = wire.Attempt{Source: netip.AddrPortFrom(o.Source, kernelPort), Target: o.Target, Followed: true}
	stack := packet.LinuxStack()
	stack.MSS = simMTU - 40
	p := packet.Probe{Src: a.Source, Dst: o.Target, TTL: 64, TOS: o.TOS, DontFragment: true, Flags: packet.SYN, Seq: 1000}
	p.Options, p.Window = stack.SYN()
	a.Left = &wire.Leaving{
		Ends: packet.Ends{Src: p.Src, Dst: p.Dst}, Interfaces: []string{"eth0"}, TOS: o.TOS, Options: p.Options,
	}
	begun := time.Now()
	defer func() { a.Waited = time.Since(begun) }()
	for end := begun.Add(o.Wait); time.Now().Before(end) && ctx.Err() == nil; {
		a.SYNs++
		p.ID = uint16(a.SYNs)
		if _, err := m.kernel.Send(p); err != nil {
			return a, err
		}
		until := begun.Add(time.Duration(a.SYNs) * time.Second)
		if until.After(end) {
			until = end
		}
		waiting, cancel := context.WithDeadline(ctx, until)
		go func() {
			select {
			case <-o.Enough:
				cancel()
			case <-waiting.Done():
			}
		}()
		m.answer(waiting, &a)
		enough := waiting.Err() == context.Canceled
		cancel()
		if enough || a.State != wire.AttemptSilent {
			break
		}
	}
	return a, nil
}

const kernelPort = 50000

// answer waits for the answer to a connection.
func (m *simMedium) answer(ctx context.Context, a *wire.Attempt) {
	var buf [2048]byte
	for {
		n, _, err := m.kernel.Recv(ctx, buf[:])
		if err != nil {
			return
		}
		var r packet.Reply
		switch {
		case packet.Parse(buf[:n], &r) != nil:
		case r.Kind == packet.KindTCP && netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort) == a.Target:
			a.From, a.State = r.From(), wire.AttemptOpened
			if r.TCP.Flags.Has(packet.RST) {
				a.State = wire.AttemptRefused
			}
			a.Came = append(a.Came, wire.AttemptCame{Reply: *r.Clone()})
			return
		case r.Kind == packet.KindUnreachable:
			a.From, a.State, a.Type, a.Code = r.From(), wire.AttemptRejected, r.Type, r.Code
			return
		}
	}
}

// virtual is a run of the program in a simulated network, in virtual time.
type virtual struct {
	stdout, stderr string
	code           int
	took           time.Duration
	sent           []sim.Sent
	asked          []time.Time // ordinary connections
	syns           int         // that the target got at ports that answer
	arrived        int         // at any
}

// runVirtual runs the program with options, in a network in the text form of package sim. Its first target is traced,
// at port 443 unless the options end with another.
func runVirtual(t *testing.T, network string, seed uint64, args ...string) (v virtual) {
	t.Helper()
	return runVirtualAs(t, network, seed, func(*program) {}, args...)
}

// runVirtualWith is runVirtual on a host that has these ordinary connections to give.
func runVirtualWith(t *testing.T, network string, attempts []wire.Attempt, args ...string) (v virtual) {
	t.Helper()
	return runVirtualOn(t, network, 1, &simMedium{attempts: attempts}, func(*program) {}, args...)
}

// runVirtualAs runs a program that is changed before.
func runVirtualAs(t *testing.T, network string, seed uint64, change func(*program), args ...string) (v virtual) {
	t.Helper()
	return runVirtualOn(t, network, seed, new(simMedium), change, args...)
}

func runVirtualOn(t *testing.T, network string, seed uint64, m *simMedium, change func(*program), args ...string) (v virtual) {
	t.Helper()
	scenario, err := sim.Parse(network)
	if err != nil {
		t.Fatal(err)
	}
	scenario.Seed = seed
	synctest.Test(t, func(t *testing.T) {
		model, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		scenario.Seed += m.chance
		same, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		m.Conn, m.kernel, m.target, m.port = sim.NewConn(model), sim.NewConn(same), scenario.Paths[0].Target.Addr, 40000
		defer m.Close()
		defer m.kernel.Close()
		v = m.run(t, seed, change, args)
		v.sent, v.asked = append(m.Sent(), m.kernel.Sent()...), m.asked
		for _, c := range []*sim.Conn{m.Conn, m.kernel} {
			v.syns += c.Truth(0).Target.SYN - c.Truth(0).Target.Unseen
			v.arrived += c.Truth(0).Target.SYN
		}
	})
	return v
}

// run does what program.run does, but for what it opens.
func (m *simMedium) run(t *testing.T, seed uint64, change func(*program), args []string) (v virtual) {
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr}
	change(p)
	operands, err := options.Parse(options.Options(), append([]string{"-n", m.target.String(), cmp.Or(m.service, "443")}, args...), &p.Config)
	if err = errors.Join(err, p.Operands(operands), p.CheckTogether()); err != nil {
		t.Fatal(err)
	}
	p.ports = names.NewServices("")
	p.resolve = names.New(names.Options{Policy: names.Never})
	defer p.resolve.Close()
	if err := p.address(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Path.Rand, p.Path.LabelSeed = rand.New(rand.NewPCG(seed, 1)), seed
	over := measure.Network(m)
	if m.as != nil {
		over = m.as
	}
	made, err := measure.Over(over, p.Network(false)).Prepare(t.Context(), p.request())
	if err != nil {
		t.Fatal(err)
	}
	p.sayReady(made)
	ctx := t.Context()
	if m.stop > 0 {
		c, cancel := context.WithTimeout(ctx, m.stop)
		defer cancel()
		ctx = c
	}
	begun := time.Now()
	v.code = p.code(p.carryOut(ctx, made))
	v.took = time.Since(begun)
	v.stdout, v.stderr = stdout.String(), stderr.String()
	return v
}

// A whole run in a simulated network prints what the network is, and takes the time that the network makes it take.
func TestVirtual(t *testing.T) {
	t.Parallel()
	const network = "router 10.0.1.1 delay=10ms\ntarget 198.51.100.9 delay=5ms"
	v := runVirtual(t, network, 1)
	const want = " 1  10.0.1.1  20.000 ms  20.000 ms  20.000 ms\n 2  198.51.100.9 [open]  30.000 ms  30.000 ms  30.000 ms\n"
	if v.stdout != want || v.code != 0 || v.took < 30*time.Millisecond || v.took > time.Second || len(v.sent) < 6 {
		t.Errorf("exit code %d after %v and %d probes\n%s%s", v.code, v.took, len(v.sent), v.stdout, v.stderr)
	}
}
