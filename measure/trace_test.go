package measure

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// simNetwork is a simNetwork network in the place of raw sockets.
type simNetwork struct {
	*sim.Conn
	port uint16
}

func (s *simNetwork) Route(netip.AddrPort, netip.AddrPort) (wire.Route, error) {
	return wire.Route{Source: netip.MustParseAddr("192.0.2.1"), Interface: "eth0", MTU: 1500}, nil
}

func (s *simNetwork) Use(uint16) error { return nil }

func (s *simNetwork) Reserve(netip.AddrPort) (uint16, error) {
	s.port++
	return 40000 + s.port, nil
}

func (s *simNetwork) Fault(packet.Probe, bool) error { return nil }

// traced makes a request in a simNetwork network, to the address of its target.
func traced(t *testing.T, network string, stop time.Duration, r Request) (made *record.Trace, err error) {
	t.Helper()
	scenario, failed := sim.Parse(network)
	if failed != nil {
		t.Fatal(failed)
	}
	synctest.Test(t, func(t *testing.T) {
		m, failed := sim.New(scenario)
		if failed != nil {
			t.Fatal(failed)
		}
		conn := &simNetwork{Conn: sim.NewConn(m)}
		tracer := Over(conn, Options{})
		defer tracer.Close()
		r.Host, r.Port = scenario.Paths[0].Target.Addr.String(), 443
		r.Path.Rand = rand.New(rand.NewPCG(1, 1))
		ctx, cancel := context.WithTimeoutCause(t.Context(), stop, errStopped)
		defer cancel()
		if r.Rounds == nil {
			made, err = tracer.Trace(ctx, r)
			return
		}
		watched, failed := tracer.Prepare(ctx, r)
		if failed != nil {
			t.Fatal(failed)
		}
		defer watched.Close()
		made, err = watched.Watch(ctx)
	})
	return made, err
}

var errStopped = errors.New("stopped")

const filtered = `
	router 10.0.1.1 delay=1ms
	router 10.0.2.1 delay=2ms drop=443
	router 10.0.3.1 delay=2ms
	target 198.51.100.9 delay=1ms`

// A measurement is a record: what was found, why, what was seen of it on the way, and all of it reads back.
func TestTrace(t *testing.T) {
	var seen int
	var stages []Stage
	made, err := traced(t, filtered, time.Hour, Request{Explain: true, Listener: Listener{
		Seen: func(trace.Result) { seen++ }, Progress: func(p Progress) { stages = append(stages, p.Stage) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Findings) == 0 || made.Findings[0].Code != detect.FilteredPort || made.Explanation == nil ||
		len(made.Explanation.Questions) == 0 {
		t.Errorf("findings %+v, explanation %+v", made.Findings, made.Explanation)
	}
	if seen != len(made.Results) || made.Ending.Reason != record.Spared || made.Ending.ExitCode != 1 ||
		made.Interface != "eth0" {
		t.Errorf("%d of %d results seen, ending %+v", seen, len(made.Results), made.Ending)
	}
	if want := []Stage{Routed, Tracing, Traced, Asking, Announcing, Done}; !slices.Equal(stages, want) {
		t.Errorf("stages %v", stages)
	}
	var first, second bytes.Buffer
	if err := made.WriteJSON(&first); err != nil {
		t.Fatal(err)
	}
	text := first.Bytes()
	again, err := record.ReadJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.WriteJSON(&second); err != nil || !bytes.Equal(text, second.Bytes()) {
		t.Errorf("%v\n%s\nis read back as\n%s", err, text, second.Bytes())
	}
	if !reflect.DeepEqual(again.Findings, made.Findings) {
		t.Errorf("findings %+v, read back %+v", made.Findings, again.Findings)
	}
}

// Without Explain nothing is asked further, and a trace that is stopped says what is known.
func TestTraceStopped(t *testing.T) {
	made, err := traced(t, filtered, time.Hour, Request{})
	if err != nil || made.Explanation != nil || len(made.Findings) == 0 {
		t.Errorf("%v, %+v", err, made)
	}
	made, err = traced(t, filtered, 100*time.Millisecond, Request{Explain: true})
	if !errors.Is(err, errStopped) || made == nil || made.Ending.Reason != record.Interrupted || len(made.Results) == 0 {
		t.Errorf("%v, %+v", err, made)
	}
	made, err = traced(t, filtered, time.Hour, Request{Path: trace.PathOptions{MaxTTL: 300}})
	if err == nil || made != nil {
		t.Errorf("a TTL of 300: %v, %+v", err, made)
	}
}

// How a measurement ended is one of four reasons, with an exit code.
func TestEnding(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx     context.Context
		reached bool
		err     error
		reason  record.Reason
		code    int
	}{
		{t.Context(), false, nil, record.Complete, 1},
		{t.Context(), true, nil, record.Complete, 0},
		{over, true, errStopped, record.Interrupted, 1},
		{t.Context(), false, &trace.SendError{Probes: 20, Err: syscall.EPERM}, record.NotSent, 2},
		{t.Context(), false, ErrNoneSent, record.NotSent, 2},
		{t.Context(), true, errStopped, record.Broken, 1},
	} {
		if e := EndingOf(tt.ctx, trace.Counts{Sent: 3}, tt.reached, tt.err); e.Reason != tt.reason || e.ExitCode != tt.code || e.Counts.Sent != 3 || e.Err != tt.err {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
}

// A search for the path's MTU belongs to the record, and half of one doesn't.
func TestTraceMTU(t *testing.T) {
	const network = "router 10.0.1.1 delay=100ms\ntarget 198.51.100.9 delay=100ms"
	whole, err := traced(t, network, time.Hour, Request{MTU: true})
	if err != nil || whole.MTU == nil || whole.MTU.Size != 1500 || whole.MTU.Narrow {
		t.Fatalf("%v, %+v", err, whole.MTU)
	}
	stopped := 0
	for stop := 100 * time.Millisecond; ; stop += 100 * time.Millisecond {
		made, err := traced(t, network, stop, Request{MTU: true})
		if err == nil {
			break
		}
		if stopped++; made.MTU != nil {
			t.Errorf("stopped after %v: %+v", stop, made.MTU)
		}
	}
	if stopped < 5 {
		t.Errorf("stopped %d times only", stopped)
	}
}
