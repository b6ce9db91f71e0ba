package test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// The claims about time, as benchmarks: figures, and where a peer can be run in the time that there is, its own beside
// them from the same network. They assert nothing; "promised" is the figure that the README gives.
//
//	go test -run '^$' -bench . -benchtime 1x ./test

// seconds is how long a run takes, the median of several.
func seconds(b *testing.B, times int, h *lab.Host, name string, args ...string) float64 {
	b.Helper()
	var all []float64
	for range times {
		start := time.Now()
		run(b, h, name, args...)
		all = append(all, time.Since(start).Seconds())
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Nine hops, one silent router, -w 1, three probes a hop: one wait, not one for each probe.
func BenchmarkSilentHop(b *testing.B) {
	ours := program(b)
	for _, silent := range []int{4, 8} {
		b.Run(fmt.Sprintf("hop=%d", silent), func(b *testing.B) {
			p := lab.Chain(b, lab.ChainOptions{Hops: 9, Silent: []int{silent}})
			p.Target.Listen(b, 80)
			for b.Loop() {
				args := []string{"-n", "-w1", p.Target.V4().String()}
				us, peer := seconds(b, 3, p.Source, ours, args...), seconds(b, 1, p.Source, "tcptraceroute", args...)
				b.ReportMetric(us, "s")
				b.ReportMetric(peer, "s-tcptraceroute")
				b.ReportMetric(peer/us, "times-faster")
				b.ReportMetric(1.3, "s-promised")
			}
		})
	}
}

// A target that is filtered behind hop 6, thirty hops, three probes each. The peer needs 24 hops times 3 probes times 3 s.
func BenchmarkFilteredTarget(b *testing.B) {
	ours := program(b)
	p := lab.Chain(b, lab.ChainOptions{Hops: 9})
	p.Routers[6].Filter(b, "prerouting", "tcp dport 80 drop")
	for _, bb := range []struct {
		name     string
		args     []string
		promised float64
	}{
		{"wait=3", []string{"-n", "-w3", "-m30", "-q3"}, 6},
		{"default", []string{"-n", "-m30", "-q3"}, 4},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(seconds(b, 1, p.Source, ours, append(bb.args, p.Target.V4().String())...), "s")
				b.ReportMetric(24*3*3, "s-tcptraceroute-computed")
				b.ReportMetric(bb.promised, "s-promised")
			}
		})
	}
}

// A clean path, beside traceroute -T.
func BenchmarkCleanPath(b *testing.B) {
	ours := program(b)
	p := lab.Chain(b, lab.ChainOptions{Hops: 9})
	p.Target.Listen(b, 80)
	target := p.Target.V4().String()
	for b.Loop() {
		us := seconds(b, 9, p.Source, ours, "-n", target)
		b.ReportMetric(us, "s")
		b.ReportMetric(seconds(b, 9, p.Source, "traceroute", "-T", "-n", "-p", "80", target)/us, "traceroute-ratio")
		b.ReportMetric(seconds(b, 3, p.Source, "tcptraceroute", "-n", target)/us, "tcptraceroute-ratio")
	}
}

var hopTimes = regexp.MustCompile(`([0-9.]+) ms`)

// Round-trip times to hop 1, beside what tcpdump says of the same packets on the same interface.
func BenchmarkRTT(b *testing.B) {
	ours := program(b)
	p := lab.Chain(b, lab.ChainOptions{Hops: 2})
	for _, bb := range []struct{ name, program string }{{"ours", ours}, {"tcptraceroute", "tcptraceroute"}} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				file := filepath.Join(b.TempDir(), "probes.pcap")
				tcpdump := p.Source.Command(b.Context(), "tcpdump", "-i", "eth0", "-n", "-U", "-Z", "root", "--time-stamp-precision=nano", "-w", file, "tcp or icmp")
				stderr, err := tcpdump.StderrPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := tcpdump.Start(); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadAtLeast(stderr, make([]byte, 512), 9); err != nil { // "listening on ..."
					b.Fatal(err)
				}
				o := run(b, p.Source, bb.program, "-n", "-q50", "-m1", p.Target.V4().String())
				want := capturedTimes(b, file, 50)
				tcpdump.Process.Signal(os.Interrupt)
				tcpdump.Wait()
				var errors []float64
				for i, m := range hopTimes.FindAllStringSubmatch(o.stdout, -1) {
					ms, err := strconv.ParseFloat(m[1], 64)
					if err != nil {
						b.Fatal(err)
					}
					errors = append(errors, max(ms*1000-want[i], want[i]-ms*1000))
				}
				if len(errors) != 50 {
					b.Fatalf("%d times in\n%s", len(errors), o)
				}
				slices.Sort(errors)
				b.ReportMetric(errors[25], "µs-median-error")
				b.ReportMetric(errors[49], "µs-worst-error")
			}
		})
	}
}

// Round-trip times without raw sockets beside those with them, on one path: the medians of a router, of an open and of a
// closed port. The kernel tells when an answer came, and not when the SYN left, so they are a little longer.
func BenchmarkUnprivilegedRTT(b *testing.B) {
	ours := program(b)
	p := lab.Chain(b, lab.ChainOptions{Hops: 4})
	p.Target.Listen(b, 80)
	time := regexp.MustCompile(`([0-9.]+) ms`)
	median := func(args string) float64 {
		var all []float64
		for _, m := range time.FindAllStringSubmatch(run(b, p.Source, ours, strings.Fields(args)...).stdout, -1) {
			ms, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, ms*1000)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	for _, what := range []struct{ name, args string }{
		{"router", "-n -q 100 -f 2 -m 2 198.18.4.2 80"}, {"open", "-n -q 100 -f 4 198.18.4.2 80"},
		{"closed", "-n -q 100 -f 4 198.18.4.2 81"}, {"IPv6", "-n -q 100 -f 4 2001:db8:4::2 80"},
	} {
		b.Run(what.name, func(b *testing.B) {
			for b.Loop() {
				raw, told := median(what.args), median("--unprivileged "+what.args)
				b.ReportMetric(raw, "us-raw")
				b.ReportMetric(told, "us-unprivileged")
				b.ReportMetric(100, "us-promised-difference")
			}
		})
	}
}

// capturedTimes are the round-trip times in microseconds of the probes in a capture file, in order of sending, once it
// holds that many answers.
func capturedTimes(b *testing.B, file string, n int) []float64 {
	b.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		if times := roundTrips(b, data); len(times) == n {
			return times
		}
		if time.Now().After(deadline) {
			b.Fatalf("tcpdump did not see %d answers", n)
		}
	}
}

// roundTrips reads a capture file with times in ns (pcap-savefile(5), Ethernet).
func roundTrips(b *testing.B, data []byte) []float64 {
	const fileHeader, recordHeader, ethernet = 24, 16, 14
	var times []float64
	sent := make(map[uint16]int64) // by IP ID
	order := make(map[uint16]int)
	answered := 0
	for len(data) > 0 && len(data) < fileHeader {
		return nil
	}
	if len(data) == 0 {
		return nil
	}
	for data = data[fileHeader:]; len(data) >= recordHeader; {
		at := int64(binary.LittleEndian.Uint32(data))*1e9 + int64(binary.LittleEndian.Uint32(data[4:]))
		length := int(binary.LittleEndian.Uint32(data[8:]))
		if len(data) < recordHeader+length {
			break
		}
		var r packet.Reply
		if err := packet.Parse(data[recordHeader+ethernet:recordHeader+length], &r); err != nil {
			b.Fatal(err)
		}
		switch {
		case r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN):
			sent[r.IP.ID], order[r.IP.ID] = at, len(times)
			times = append(times, 0)
		case r.Kind == packet.KindTimeExceeded:
			if start, ok := sent[r.Quote.IP.ID]; ok {
				times[order[r.Quote.IP.ID]] = float64(at-start) / 1000
				answered++
			}
		}
		data = data[recordHeader+length:]
	}
	return times[:answered]
}

// The target gets few SYNs more than were asked for: on a path of 9 hops no more than 3 + 8.
func TestFewSYNsAtTheTarget(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 9})
	p.Target.Listen(t, 80)
	for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
		for _, port := range []string{"80", "81"} { // open, closed
			capture := p.Target.Interfaces[0].Capture(t)
			o := run(t, p.Source, program(t), "-n", target.String(), port)
			if o.code != 0 || !strings.Contains(o.stdout, "\n 9  "+target.String()) {
				t.Errorf("%v port %s: %v", target, port, o)
			}
			syns := 0
			for _, pk := range capture.Stop(t) {
				var r packet.Reply
				if packet.Parse(pk.Data, &r) == nil && !pk.Out && r.Kind == packet.KindTCP && r.TCP.Flags == packet.SYN {
					syns++
				}
			}
			if syns < 3 || syns > 3+8 {
				t.Errorf("%v port %s: %d SYNs", target, port, syns)
			}
			t.Logf("%v port %s: %d SYNs at the target", target, port, syns)
		}
	}
}
