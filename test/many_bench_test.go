package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/sim/tun"
)

// What a run over many targets takes, in front of a simulated network with a path of its own to each target. The model
// runs in the test's process, and the program, or its peer, on one processor. On a machine that does something else too,
// give them a priority: nice -n -5 go test -run '^$' -bench Many -benchtime 1x -timeout 60m ./test

// crowd is a network with many targets.
type crowd struct {
	*lab.Host
	device  *os.File
	targets []sim.Target
	hops    []int // how far away each is
	front   *tun.Front
}

// programCPU is the processor that the program has for itself, where there is another one for the network.
const programCPU = 1

// slack is how late the network of many targets is. Round trips take 50 ms.
const slack = 200 * time.Microsecond

// keepOff keeps this process, with its network, off the processor of the program that is measured: there it would take
// turns with it, packet by packet. A machine with one processor has nowhere else.
func keepOff(b *testing.B) {
	b.Helper()
	all := new(unix.CPUSet)
	if err := unix.SchedGetaffinity(0, all); err != nil {
		b.Fatal(err)
	}
	others := *all
	if others.Clear(programCPU); others.Count() == 0 {
		return
	}
	b.Cleanup(func() { setAffinity(b, all) })
	setAffinity(b, &others)
}

// setAffinity lets all threads of this process run on these processors, and so those that they start.
func setAffinity(b *testing.B, set *unix.CPUSet) {
	b.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = unix.SchedSetaffinity(id, set)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
			b.Fatal(err)
		}
	}
}

// newCrowd makes a network of so many targets, from least to most hops away, 25 ms each way. Targets that follow one
// another are in different networks.
func newCrowd(b *testing.B, targets, least, most int, change func(i int, p *sim.Path)) *crowd {
	b.Helper()
	keepOff(b)
	c := &crowd{Host: lab.New(b).Host(b, "source")}
	c.device = c.TUN(b, "tun0")
	c.IP(b, "link set down dev tun0")
	raw, err := c.device.SyscallConn()
	if err == nil { // scamper doesn't know that a TUN device has no link header
		raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETLINK, unix.ARPHRD_SIT) })
	}
	if err != nil {
		b.Fatal(err)
	}
	own := netip.MustParseAddr("10.255.0.1")
	c.IP(b, "link set up txqueuelen 10000 dev tun0")
	c.IP(b, fmt.Sprintf("addr add %v/32 dev tun0", own))
	c.IP(b, fmt.Sprintf("route add default via %v dev tun0 onlink", own.Next()))
	const networks = 512 // of 198.18.0.0/15
	var s sim.Scenario
	for i := range targets {
		n := least + i%(most-least+1)
		p := sim.Path{Target: sim.Target{Addr: netip.AddrFrom4([4]byte{198, byte(18 + i%networks/256), byte(i % 256), byte(1 + i/networks)})}}
		for ttl := 1; ttl < n; ttl++ {
			p.Routers = append(p.Routers, sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(ttl), byte(i >> 8), byte(i)})}})
		}
		if n > 1 {
			p.Routers[0].Link.Delay = 25 * time.Millisecond
		}
		if change != nil {
			change(i, &p)
		}
		s.Paths = append(s.Paths, p)
		c.targets, c.hops = append(c.targets, p.Target), append(c.hops, n)
	}
	s.NoHostRST = true
	m, err := sim.New(s)
	if err != nil {
		b.Fatal(err)
	}
	if c.front, err = tun.Start(c.device, m, tun.Options{Forgetful: targets > 10_000, Slack: slack}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.front.Stop() })
	return c
}

// late says how late the network was: what it loses by that, and wrong hops, are none of the program's. It ends the
// network.
func (c *crowd) late(b *testing.B) {
	b.Helper()
	r, err := c.front.Stop()
	if err != nil {
		b.Fatal(err)
	}
	late := r.Late()
	b.ReportMetric(late.P99.Seconds()*1000, "ms-late-p99")
	b.ReportMetric(late.Max.Seconds()*1000, "ms-late-max")
	_, text, _ := strings.Cut(run(b, c.Host, "cat", "/proc/net/dev").stdout, "tun0:")
	const dropped = 11 // the column of packets that the device has dropped on their way out
	figures := strings.Fields(text)
	if len(figures) <= dropped {
		b.Fatalf("%q", text)
	}
	n, err := strconv.Atoi(figures[dropped])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n), "dropped-in-device")
}

// list is the targets, a line each.
func (c *crowd) list() string {
	var text strings.Builder
	for _, t := range c.targets {
		fmt.Fprintln(&text, t.Addr)
	}
	return text.String()
}

// taken is what a program took.
type taken struct {
	seconds, cpu float64
	memory, half int64 // the most that it had, in bytes, by its end and by half of its time
	packets      uint64
	out          []byte
}

// measured runs a program on one processor, with the targets as its input.
func (c *crowd) measured(b *testing.B, input string, command ...string) taken {
	b.Helper()
	packets := func() (n uint64) {
		c.front.Do(func(m *sim.Model) { n = m.Injected() })
		return n
	}
	cmd := c.Command(b.Context(), "taskset", append([]string{"-c", strconv.Itoa(programCPU)}, command...)...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &stderr
	before, begin := packets(), time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended, peaks := make(chan struct{}), make(chan []int64)
	go func() { peaks <- peaksOf(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	memory := append([]int64{0}, <-peaks...)
	if err != nil {
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() > 1 {
			b.Fatalf("%v: %v\n%s", command, err, stderr.String())
		}
	}
	x := taken{seconds: time.Since(begin).Seconds(), packets: packets() - before, out: out.Bytes(),
		memory: memory[len(memory)-1], half: memory[len(memory)/2]}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	x.cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	return x
}

// peaksOf is the most memory that a process has had, again and again until its end. What wait4(2) says is that of the
// process which started it, if that had more.
func peaksOf(pid int, ended <-chan struct{}) (peaks []int64) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // an error: it has ended
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			var kB int64
			if n, err := fmt.Sscan(after, &kB); n == 1 && err == nil {
				peaks = append(peaks, kB<<10)
			}
		}
		select {
		case <-ended:
			return peaks
		case <-look.C:
		}
	}
}

// judged compares lines of scamper's JSON with the truth: how many hops are right, how many are wrong, and how many
// targets are seen where they are.
func (c *crowd) judged(b *testing.B, out []byte) (right, wrong, ends int) {
	b.Helper()
	index := map[string]int{}
	for i, t := range c.targets {
		index[t.Addr.String()] = i
	}
	for line := range bytes.Lines(out) {
		var l struct {
			Type, Dst string
			Hops      []struct {
				Addr string
				TTL  int `json:"probe_ttl"`
			}
		}
		if err := json.Unmarshal(line, &l); err != nil {
			b.Fatalf("%v: %.100s", err, line)
		}
		if l.Type != "trace" {
			continue
		}
		i := index[l.Dst]
		for _, h := range l.Hops {
			at := netip.AddrFrom4([4]byte{10, byte(h.TTL), byte(i >> 8), byte(i)}).String()
			switch {
			case h.Addr == l.Dst && h.TTL == c.hops[i]:
				right++
				ends++
			case h.Addr == at && h.TTL < c.hops[i]:
				right++
			default:
				wrong++
			}
		}
	}
	return right, wrong, ends
}

// BenchmarkManyRate: 4,000 targets at a rate that is out of reach, on one processor: what comes about, and what is lost.
// Promised are 15,000 probes a second, 30 µs of the processor each, all targets at their true distance, no answer lost.
func BenchmarkManyRate(b *testing.B) {
	c := newCrowd(b, 4000, 8, 24, nil)
	file, bin := listFile(b, c.list()), program(b)
	for b.Loop() {
		x := c.measured(b, "", bin, "-n", "--targets", file, "--rate", "20000", "-q", "3", "--format", "scamper")
		_, wrong, ends := c.judged(b, x.out)
		x.report(b, "")
		b.ReportMetric(float64(wrong), "wrong-hops")
		b.ReportMetric(float64(ends), "targets-at-their-hop")
	}
	c.late(b)
}

// BenchmarkManyLab: what BenchmarkManyRate's network carries, however little its user takes of the processor: a plain loop
// sends the same probes, as fast as they are taken, and reads no answer. A program can't have a higher rate in this network.
func BenchmarkManyLab(b *testing.B) {
	c := newCrowd(b, 4000, 8, 24, nil)
	var probes [][]byte
	for ttl := 1; ttl <= 24; ttl++ {
		for i, t := range c.targets {
			if ttl > c.hops[i] {
				continue
			}
			p, err := packet.Probe{Src: netip.MustParseAddrPort("10.255.0.1:40000"), Dst: netip.AddrPortFrom(t.Addr, 80),
				TTL: uint8(ttl), ID: uint16(len(probes)), Seq: 1, Flags: packet.SYN}.AppendBinary(nil)
			if err != nil {
				b.Fatal(err)
			}
			probes = append(probes, p)
		}
	}
	var fd int
	c.Do(b, func() {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			b.Fatal(err)
		}
	})
	defer unix.Close(fd)
	taken := func() (n int) {
		c.front.Do(func(m *sim.Model) { n = int(m.Injected()) })
		return n
	}
	const inQueue = 4000 // of the device's 10,000
	first, sent := taken(), 0
	for b.Loop() {
		for _, p := range probes {
			if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}); err != nil {
				b.Fatal(err)
			}
			if sent++; sent%500 == 0 {
				for sent-(taken()-first) > inQueue {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}
	b.ReportMetric(float64(taken()-first)/b.Elapsed().Seconds(), "packets/s")
	c.late(b)
}

func (x *taken) report(b *testing.B, of string) {
	b.ReportMetric(float64(x.packets)/x.seconds, "packets/s"+of)
	b.ReportMetric(x.cpu/float64(x.packets)*1e6, "cpu-µs/packet"+of)
	b.ReportMetric(x.seconds, "s"+of)
}

// BenchmarkManyMemory: targets that come by a pipe. Promised are less than 150 MB with 100,000, which is held here, and
// the same after half of them, within a fifth: a target that has come to its end takes about twenty bytes. With 10,000 it
// is less, for the run ends before much is forgotten: probes are remembered for two seconds after their target's end, and
// for up to 15 where answers come late, as they do on a busy machine.
func BenchmarkManyMemory(b *testing.B) {
	c := newCrowd(b, 100_000, 3, 4, nil)
	list, bin := c.list(), program(b)
	few := strings.Join(strings.SplitAfter(list, "\n")[:10_000], "")
	for b.Loop() {
		for of, input := range map[string]string{"-10000": few, "-100000": list} {
			x := c.measured(b, input, bin, "-n", "--targets", "-", "--rate", "20000", "--jobs", "1000", "--json")
			traced := bytes.Count(x.out, []byte(`"event":"target"`))
			if n := strings.Count(input, "\n"); traced != n {
				b.Errorf("%d of %d targets are in the output", traced, n)
			}
			if x.memory >= 150<<20 {
				b.Errorf("%d targets take %d MB", traced, x.memory>>20)
			}
			if traced > 10_000 && x.memory > x.half*6/5 {
				b.Errorf("%d targets take %d MB, and half of them %d MB", traced, x.memory>>20, x.half>>20)
			}
			b.ReportMetric(float64(x.memory)/(1<<20), "MB"+of)
			b.ReportMetric(float64(x.half)/(1<<20), "MB-by-half"+of)
			x.report(b, of)
		}
	}
}

// BenchmarkManyTraceroute: 240 targets beside sixteen programs of traceroute at a time, one probe per hop for both: all of
// them open, and one in twenty or in five filtered behind its last router. Promised is a fifth of their time. Silence
// decides what that is: a silent target alone takes 3.3 s, so a list with one of them takes no less, while traceroute waits
// 5 s for every sixteen silent hops, and sixteen targets share its programs.
func BenchmarkManyTraceroute(b *testing.B) {
	for _, filtered := range []int{0, 20, 5} {
		b.Run(fmt.Sprintf("filtered=%d", filtered), func(b *testing.B) { besideTraceroute(b, filtered) })
	}
}

// besideTraceroute measures both, with one of so many targets filtered; 0: none. The rate is out of reach, so that it isn't
// what the run waits for. With -benchtime 5x the figures are medians of five runs of each, in turn.
func besideTraceroute(b *testing.B, filtered int) {
	c := newCrowd(b, 240, 8, 24, func(i int, p *sim.Path) {
		if filtered > 0 && i%filtered == 0 {
			p.Target.State = sim.Filtered
		}
	})
	list, bin := c.list(), program(b)
	ours := []string{bin, "-n", "--targets", "-", "--rate", "1000000", "--jobs", "240", "-q"}
	var one, two, theirs []float64
	for b.Loop() {
		one = append(one, c.measured(b, list, append(ours, "1")...).seconds)
		two = append(two, c.measured(b, list, append(ours, "2")...).seconds)
		theirs = append(theirs, c.measured(b, list, "xargs", "-P16", "-n1", "traceroute", "-T", "-n", "-q1").seconds)
	}
	median := func(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }
	b.ReportMetric(median(one), "s")
	b.ReportMetric(median(two), "s-two-per-hop")
	b.ReportMetric(median(theirs), "s-traceroute")
	b.ReportMetric(median(one)/median(theirs), "of-traceroute's-time")
	b.ReportMetric(median(two)/median(theirs), "of-traceroute's-time-two-per-hop")
	c.late(b)
}

// BenchmarkManyScamper: 2,000 targets beside scamper at 10,000 packets a second, one probe per hop. Promised are at least
// as many traces a second, at most 0.8 of its processor time a probe, and no fewer right hops.
func BenchmarkManyScamper(b *testing.B) {
	lab.NeedProgram(b, "scamper")
	c := newCrowd(b, 2000, 8, 24, nil)
	file, bin := listFile(b, c.list()), program(b)
	for b.Loop() {
		ours := c.measured(b, "", bin, "-n", "-q", "1", "--targets", file, "--rate", "10000", "--format", "scamper")
		right, wrong, ends := c.judged(b, ours.out)
		warts := filepath.Join(b.TempDir(), "out")
		theirs := c.measured(b, "", "scamper", "-p", "10000", "-O", "json", "-o", warts, "-c", "trace -P tcp -q 1 -d 80", "-f", file)
		out, err := os.ReadFile(warts)
		if err != nil {
			b.Fatal(err)
		}
		theirRight, theirWrong, theirEnds := c.judged(b, out)
		ours.report(b, "")
		theirs.report(b, "-scamper")
		for of, n := range map[string]int{"right-hops": right, "wrong-hops": wrong, "targets-at-their-hop": ends,
			"right-hops-scamper": theirRight, "wrong-hops-scamper": theirWrong, "targets-at-their-hop-scamper": theirEnds} {
			b.ReportMetric(float64(n), of)
		}
		b.ReportMetric((ours.cpu/float64(ours.packets))/(theirs.cpu/float64(theirs.packets)), "of-scamper's-cpu/packet")
	}
	c.late(b)
}
