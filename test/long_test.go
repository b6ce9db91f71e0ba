package test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

var longRun = flag.Duration("long", 0, "how long BenchmarkLiveForLong runs, two minutes or more; 0: it doesn't")

// BenchmarkLiveForLong runs the screen for ten minutes, at ten rounds a second, and reports the program's memory after the
// first minute and at the end, how much it had grown by then, and the share of a core that it took.
func BenchmarkLiveForLong(b *testing.B) {
	if *longRun == 0 {
		b.Skip("only when asked for: -long 10m")
	}
	p := lab.Chain(b, lab.ChainOptions{Hops: 8, Silent: []int{4}})
	p.Target.Listen(b, 80)
	for b.Loop() {
		x := inTerminal(b, p.Source, 120, 40, "LC_ALL=C.UTF-8 TERM=xterm-256color", "-n --live --interval 0.1 "+p.Target.V4().String())
		x.await(`round \d\d`)
		time.Sleep(time.Minute)
		first, before, start := x.memory(), x.cpu(), time.Now()
		most := first
		for time.Since(start) < *longRun-time.Minute {
			time.Sleep(10 * time.Second)
			most = max(most, x.memory())
		}
		last := x.memory()
		share := float64(x.cpu()-before) / float64(time.Since(start))
		x.keys("q")
		x.ended(0, 8)
		b.ReportMetric(float64(first)/1024, "KiB-after-1-min")
		b.ReportMetric(float64(last)/1024, "KiB-at-the-end")
		b.ReportMetric(float64(most-first)/1024, "KiB-grown-at-most")
		b.ReportMetric(100*share, "%CPU")
	}
}

// memory is the program's resident set, in bytes.
func (x *pane) memory() int {
	x.t.Helper()
	return x.proc("statm", 1) * os.Getpagesize()
}

// cpu is the processor time that the program has used.
func (x *pane) cpu() time.Duration {
	x.t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ, proc_pid_stat(5)
	return time.Duration(x.proc("stat", 13)+x.proc("stat", 14)) * tick
}

// proc is a field of one of the program's files in /proc; the name of the program has no blank.
func (x *pane) proc(file string, field int) int {
	x.t.Helper()
	pid, err := os.ReadFile(filepath.Join(x.dir, "pid"))
	if err != nil {
		x.t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/%s", bytes.TrimSpace(pid), file))
	if err != nil {
		x.t.Fatal(err)
	}
	n, err := strconv.Atoi(string(bytes.Fields(b)[field]))
	if err != nil {
		x.t.Fatal(err)
	}
	return n
}
