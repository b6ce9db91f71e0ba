package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.example/tcptraceroute/lab"
)

// peakPolls is how often a tool's peak memory is read while it runs. What wait4(2) tells is no use: it begins with
// the peak of the process that started the tool.
const peakPolls = 2 * time.Millisecond

// execute runs a tool inside a host. Where peak is asked for, its memory is watched, which costs the machine a little
// time.
func execute(ctx context.Context, h *lab.Host, t tool, args []string, peak bool) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	cmd := h.Command(ctx, t.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	o := outcome{start: time.Now()}
	if err := cmd.Start(); err != nil {
		return o, err
	}
	watched := make(chan int, 1)
	stop := make(chan struct{})
	if peak {
		go func() { watched <- watchPeak(cmd.Process.Pid, stop) }()
	}
	err := cmd.Wait()
	o.wall = time.Since(o.start)
	close(stop)
	if peak {
		o.peak = <-watched
	}
	o.stdout, o.code = stdout.String(), cmd.ProcessState.ExitCode()
	o.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return o, fmt.Errorf("%s: %w", t.name, ctx.Err())
	case err != nil && !errors.As(err, &exit):
		return o, fmt.Errorf("%s: %w", t.name, err)
	case o.stdout == "":
		return o, fmt.Errorf("%s: no output, exit code %d: %s", t.name, o.code, strings.TrimSpace(stderr.String()))
	}
	return o, nil
}

// watchPeak is the peak of a process's resident memory in KiB, until it ends.
func watchPeak(pid int, stop <-chan struct{}) (peak int) {
	file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	tick := time.NewTicker(peakPolls)
	defer tick.Stop()
	buf := make([]byte, 4096)
	for {
		n, _ := file.ReadAt(buf, 0)
		if kib, ok := statusField(string(buf[:n]), "VmHWM:"); ok {
			peak = max(peak, kib)
		}
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
	}
}

// statusField reads a size from the text of proc_pid_status(5). A process that has ended has none.
func statusField(text, name string) (kib int, ok bool) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == name {
			n, err := strconv.Atoi(words[1])
			return n, err == nil
		}
	}
	return 0, false
}

// burn keeps n cores busy until stop is called. The processes die with this one.
func burn(n int) (stop func(), err error) {
	var all []*exec.Cmd
	stop = func() {
		for _, c := range all {
			c.Process.Kill() // an error: it has ended
			c.Wait()         // an error: killed
		}
	}
	for range n {
		c := exec.Command("sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		all = append(all, c)
	}
	return stop, nil
}
