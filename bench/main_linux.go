package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.example/tcptraceroute/lab"
)

type options struct {
	paths, alone, busy, filtered, lab int
	lanes                             int
	tools, parts                      string
	seed                              uint64
	only                              int
	quick, verbose                    bool
	json, program, before             string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func readFlags() (o options) {
	flag.IntVar(&o.paths, "paths", 200, "simulated `paths` that each tool is sent through")
	flag.IntVar(&o.alone, "alone", 40, "of them, those that the quick tools go once more with the machine to themselves")
	flag.IntVar(&o.busy, "busy", 20, "of them, those that ours goes once more on a busy machine")
	flag.IntVar(&o.filtered, "filtered", 12, "paths that are filtered behind hop 10")
	flag.IntVar(&o.lab, "lab", 3, "`chains` of real routers")
	flag.IntVar(&o.lanes, "lanes", 24, "simulated networks side by side: tools mostly wait")
	flag.StringVar(&o.tools, "tools", "", "`names` with commas between; all that are on this machine")
	flag.StringVar(&o.parts, "parts", "internet,alone,busy,filtered,lab", "what to run")
	flag.Uint64Var(&o.seed, "seed", 1, "of the simulated Internet")
	flag.BoolVar(&o.quick, "quick", false, "few paths, quick tools, under a minute: does it work?")
	flag.IntVar(&o.only, "path", -1, "only this `path` of the simulated Internet")
	flag.BoolVar(&o.verbose, "v", false, "show what the tools print, and what they missed")
	flag.StringVar(&o.json, "json", "bench.json", "`file` for all that was measured; \"\" for none")
	flag.StringVar(&o.program, "ours", "", "our `program`; it is built where none is given")
	flag.StringVar(&o.before, "before", "", "our `program` as it was before, to be measured beside it")
	flag.Parse()
	if o.only >= 0 {
		o.parts = kindInternet
	}
	if o.quick {
		o.paths, o.alone, o.busy, o.filtered, o.lab = 6, 3, 2, 0, 1
		if o.tools == "" {
			o.tools = ours + ",traceroute"
		}
	}
	return o
}

func run() error {
	o := readFlags()
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.program == "" {
		o.program = filepath.Join(dir, ours)
		if err := build(ctx, o.program); err != nil {
			return err
		}
	}
	tools, err := findTools(o.tools, o.program, o.before)
	if err != nil {
		return err
	}
	for _, t := range tools {
		fmt.Printf("%-20s %s\n%-20s %s\n", t.name, t.command(), "", t.says())
	}
	r := &runner{}
	if o.verbose {
		r.show = show
	}
	err = withBed(func(b *bed) error { return r.everything(ctx, b, o, tools) })
	results(r.trials).write(os.Stdout, tools)
	fmt.Println()
	results(r.trials).writeClaims(os.Stdout)
	return errors.Join(err, failures(r.trials), writeJSON(o, tools, r.trials))
}

// failures tells of tools that didn't come to an end of their own.
func failures(trials []trial) error {
	failed := slices.DeleteFunc(slices.Clone(trials), func(t trial) bool { return t.Error == "" })
	if len(failed) == 0 {
		return nil
	}
	t := failed[0]
	return fmt.Errorf("%d runs failed, the first of them of %s, %s, path %d: %s", len(failed), t.Tool, t.Kind, t.Path,
		t.Error)
}

// show prints one run.
func show(t trial, o outcome) {
	fmt.Printf("\n%s, %s, path %d: %.3f s, %d packets, %d SYNs at the target, missed %v, wrong %v %s\n%s",
		t.Tool, t.Kind, t.Path, t.WallSeconds, t.Packets, t.TargetSYNs, t.Missed, t.Wrong, t.Error, o.stdout)
}

// build makes our program as it is released: without cgo, which it needs to give up its privileges.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "go.example/tcptraceroute/cmd/tcptraceroute")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building ours: %w\n%s", err, out)
	}
	return nil
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const clearLine = "\r\x1b[K"

func (r *runner) everything(ctx context.Context, b *bed, o options, tools []tool) error {
	l := lab.New(b)
	quick := slices.DeleteFunc(slices.Clone(tools), func(t tool) bool { return !t.quick })
	mine := slices.DeleteFunc(slices.Clone(tools), func(t tool) bool { return t.name != ours })
	began := time.Now()
	parts := []struct {
		name string
		size int
		run  func() error
	}{
		// What is measured in microseconds comes first, while the machine is quiet.
		{kindAlone, o.alone, func() error { return r.alone(ctx, b, l, reachedJobs(o.seed, o.alone, kindAlone), quick) }},
		{kindBusy, o.busy, func() error {
			return r.busy(ctx, b, l, reachedJobs(o.seed, o.busy, kindBusy), mine, runtime.NumCPU())
		}},
		{kindFiltered, o.filtered, func() error {
			return r.lanes(ctx, b, l, filteredJobs(o.seed, o.filtered), o.lanes, quick)
		}},
		{kindLab, o.lab, func() error { return r.labs(ctx, b, o.lab, tools) }},
		{kindInternet, o.paths, func() error {
			jobs := internetJobs(o.seed, max(o.paths, o.only+1), kindInternet)
			if o.only >= 0 {
				jobs = slices.DeleteFunc(jobs, func(j job) bool { return j.path != o.only })
			}
			return r.lanes(ctx, b, l, jobs, o.lanes, tools)
		}},
	}
	wanted := strings.Split(o.parts, ",")
	for _, w := range wanted {
		if !slices.ContainsFunc(parts, func(p struct {
			name string
			size int
			run  func() error
		}) bool {
			return p.name == w
		}) {
			return fmt.Errorf("-parts: %q is none of internet, alone, busy, filtered, lab", w)
		}
	}
	for _, p := range parts {
		if p.size == 0 || !slices.Contains(wanted, p.name) {
			continue
		}
		r.done, r.of = 0, 0
		if terminal(os.Stderr) {
			r.tell = func(done, of int) {
				fmt.Fprintf(os.Stderr, "%s%s: %d of %d paths, %v", clearLine, p.name, done, of,
					time.Since(began).Round(time.Second))
			}
			defer fmt.Fprint(os.Stderr, clearLine)
		}
		if err := p.run(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// report is the JSON file.
type report struct {
	Date   time.Time         `json:"date"`
	Cores  int               `json:"cores"`
	Seed   uint64            `json:"seed"`
	Tools  map[string]string `json:"tools"` // how they were called
	Claims []claimReport     `json:"claims"`
	Trials []trial           `json:"trials"`
}

type claimReport struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	AtLeast  bool    `json:"limit_is_least"`
	Holds    bool    `json:"holds"`
}

func writeJSON(o options, tools []tool, trials []trial) error {
	if o.json == "" {
		return nil
	}
	out := report{Date: time.Now().UTC(), Cores: runtime.NumCPU(), Seed: o.seed, Tools: map[string]string{},
		Trials: trials}
	for _, t := range tools {
		out.Tools[t.name] = t.command()
	}
	for _, c := range results(trials).claims() {
		out.Claims = append(out.Claims, claimReport{c.what, c.measured, c.limit, c.least, c.holds()})
	}
	data, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(data, '\n'), 0o644)
}
