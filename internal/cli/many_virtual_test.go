package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/wire"
)

// listMedium is a simulated network with many targets.
type listMedium struct {
	simMedium
	lose     int64 // one packet in so many is lost on this host; 0: none
	received atomic.Int64
	routed   bool
}

// Route takes a moment at first, so that the list has been read by then, as far as it is read ahead.
func (m *listMedium) Route(dst, src netip.AddrPort) (wire.Route, error) {
	if !m.routed {
		m.routed = true
		time.Sleep(time.Millisecond)
	}
	return m.simMedium.Route(dst, src)
}

func (m *listMedium) Recv(ctx context.Context, buf []byte) (n int, at time.Time, err error) {
	for {
		n, at, err = m.simMedium.Recv(ctx, buf)
		if err != nil || m.received.Add(1)%m.lose != 0 {
			return n, at, err
		}
	}
}

func (m *listMedium) LostHere() int { return int(m.received.Load() / m.lose) }

// runList traces the targets of a list, as the program does, in a network in the text form of package sim. The host
// loses one packet in so many.
func runList(t *testing.T, network, list string, lose int64, args ...string) (v virtual) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect(network)
		if err != nil {
			t.Fatal(err)
		}
		kernel, err := sim.Connect(network)
		if err != nil {
			t.Fatal(err)
		}
		defer kernel.Close()
		m := &listMedium{simMedium: simMedium{Conn: conn, kernel: kernel, port: 40000}, lose: lose}
		var stdout, stderr bytes.Buffer
		p := &program{stdout: &stdout, stderr: &stderr, ports: names.NewServices(""),
			resolve: names.New(names.Options{Policy: names.Never}), Config: options.Config{Root: true}}
		defer p.resolve.Close()
		operands, err := options.Parse(options.Options(), append([]string{"-n", "--targets", list}, args...), &p.Config)
		if err = errors.Join(err, p.Operands(operands), p.CheckTogether()); err != nil {
			t.Fatal(err)
		}
		p.Path.Rand, p.Path.LabelSeed = rand.New(rand.NewPCG(1, 1)), 1
		tracer := measure.Over(m, p.Network(false))
		defer tracer.Close()
		v.code = p.code(p.traceMany(t.Context(), tracer))
		v.stdout, v.stderr, v.sent = stdout.String(), stderr.String(), m.Sent()
		for _, c := range []*sim.Conn{m.Conn, kernel} {
			v.arrived += c.Truth(0).Target.SYN
		}
	})
	return v
}

// listOfChains is a network of chains of routers, of different lengths, and a file with the list of its targets. One
// target in ten is filtered.
func listOfChains(t *testing.T, targets int) (network, file string) {
	t.Helper()
	list := ""
	for i := range targets {
		for ttl := 1; ttl < chainHops(i); ttl++ {
			// No answer comes at the very instant at which a probe may leave, for which of both is first would be chance.
			network += fmt.Sprintf("router %s delay=%dns\n", chainHop(i, ttl), 1_000_011+1000*(i*7+ttl*13)%4001)
		}
		state := "open"
		if i%10 == 9 {
			state = "filtered"
		}
		network += fmt.Sprintf("target %s %s\n", chainHop(i, chainHops(i)), state)
		list += chainHop(i, chainHops(i)) + "\n"
	}
	return network, writeFile(t, filepath.Join(t.TempDir(), "list"), list)
}

// chainHops is how many hops away the target i of listOfChains is, and chainHop who stands at a hop.
func chainHops(i int) int { return 3 + i%9 }

func chainHop(i, ttl int) string {
	if ttl == chainHops(i) {
		return fmt.Sprintf("198.18.%d.%d", i%250, 1+i/250)
	}
	return fmt.Sprintf("10.%d.%d.%d", ttl, i/250, i%250)
}

// listLine is a line of the JSON of a list.
type listLine struct {
	Event string
	Index int
	Hops  []struct {
		TTL, Answered, Lost int
		Responders          []struct{ Address string }
	}
	LostHere int `json:"lost_here"`
}

// TestListLosingHost: if this host loses one answer in fifty, no hop is lost or wrong for that, and the last line says how
// many were lost, in words and in JSON.
func TestListLosingHost(t *testing.T) {
	t.Parallel()
	const targets = 100
	network, list := listOfChains(t, targets)
	v := runList(t, network, list, 50, "--rate", "2000", "--json")
	var last listLine
	traced := 0
	for line := range strings.Lines(v.stdout) {
		last = listLine{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatal(err)
		}
		if last.Event != "target" {
			continue
		}
		traced++
		i := last.Index - 1
		for _, h := range last.Hops {
			filtered := i%10 == 9 && h.TTL >= chainHops(i)
			switch {
			case filtered && h.Answered == 0:
			case h.TTL > chainHops(i) || h.Lost > 0 || h.Answered == 0 || len(h.Responders) != 1 ||
				h.Responders[0].Address != chainHop(i, h.TTL):
				t.Errorf("target %d of %d hops: %+v", i, chainHops(i), h)
			}
		}
	}
	words := fmt.Sprintf("%d answers were lost on this host (slower: --rate 1000)\n", last.LostHere)
	if traced != targets || last.Event != "end" || last.LostHere < len(v.sent)/100 || !strings.HasSuffix(v.stderr, words) {
		t.Errorf("%d targets, %d probes, %+v\n%s", traced, len(v.sent), last, v.stderr)
	}
}

// TestListSameAgain: with equal random numbers, a list is traced to the same bytes of JSON again.
func TestListSameAgain(t *testing.T) {
	t.Parallel()
	network, list := listOfChains(t, 120)
	first := runList(t, network, list, 1<<62, "--rate", "5000", "--jobs", "50", "--json")
	again := runList(t, network, list, 1<<62, "--rate", "5000", "--jobs", "50", "--json")
	a, b := strings.Split(first.stdout, "\n"), strings.Split(again.stdout, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d:\n%.2000s\n%.2000s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) || len(a) != 123 || len(first.sent) != len(again.sent) {
		t.Errorf("%d and %d lines, %d and %d probes", len(a), len(b), len(first.sent), len(again.sent))
	}
}
