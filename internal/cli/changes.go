package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// errChanged ends a comparison that has found a difference. What it found is said already.
var errChanged = errors.New("changed")

// An unexpectedError says what of a trace isn't as expected.
type unexpectedError struct{ part string }

func (e *unexpectedError) Error() string { return "Not as expected: " + e.part }

// judge holds a trace that ended with err against what is expected of it.
func (p *program) judge(made *record.Trace, err error) error {
	if len(p.Expected) == 0 || made.Ending.Reason != record.Complete {
		return err
	}
	for _, e := range p.Expected {
		if part := e.Check(made); part != "" {
			return &unexpectedError{part}
		}
	}
	if err == errNotReached {
		return nil // which is as expected
	}
	return err
}

// past is what a trace is compared with, and the files that it is written to.
type past struct {
	old      *record.Trace // nil: there is none
	baseline string        // the file of the target's first trace; "": none
	stored   *os.File      // the same, open; nil: there is none yet
	save     *measure.Replacement
	first    *measure.Replacement // the baseline, if there is none yet
	err      error                // of opening them
}

// open opens the files, by the caller's own rights.
func (x *past) open(p *program) (none []string) {
	if x.save != nil || x.first != nil || x.stored != nil || x.err != nil {
		return none
	}
	if p.Save != "" {
		if x.save, x.err = measure.Replace(p.Save); x.err != nil {
			x.err = fmt.Errorf("--save %s: %w", record.Printable(p.Save), options.Reason(x.err))
			return none
		}
	}
	if p.Config.Baseline == "" {
		return none
	}
	x.baseline = p.BaselineFile()
	switch f, err := os.Open(x.baseline); {
	case err == nil && hasText(f):
		x.stored = f
		return none
	case err == nil: // of a trace that didn't come to its end
		f.Close()
	case !errors.Is(err, os.ErrNotExist):
		x.err = fmt.Errorf("--baseline: %s: %w", record.Printable(x.baseline), options.Reason(err))
		return none
	}
	if err := os.Mkdir(p.Config.Baseline, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		x.err = fmt.Errorf("--baseline %s: %w", record.Printable(p.Config.Baseline), options.Reason(err))
		return none
	}
	if x.first, x.err = measure.Replace(x.baseline); x.err != nil {
		x.err = fmt.Errorf("--baseline %s: %w", record.Printable(p.Config.Baseline), options.Reason(x.err))
	}
	return none
}

// hasText reports whether a file isn't empty.
func hasText(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > 0
}

// replaced are the files that are still written after privileges are gone.
func (x *past) replaced() (all []*measure.Replacement) {
	for _, r := range []*measure.Replacement{x.save, x.first} {
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}

// read reads the baseline, if there is one.
func (x *past) read() {
	if x.stored == nil || x.err != nil {
		return
	}
	if x.old, x.err = record.ReadJSON(x.stored); x.err == nil && x.old.Rounds != nil {
		x.err = errRounds
	}
	if x.err != nil {
		x.err = fmt.Errorf("--baseline: %s: %s", record.Printable(x.baseline), shortened(x.err))
	}
}

func (x *past) close() {
	if x.stored != nil {
		x.stored.Close() // of a file that is only read
	}
	for _, r := range x.replaced() {
		r.Discard()
	}
}

// wantsRecord reports whether the trace is wanted as a record.
func (p *program) wantsRecord() bool {
	return p.keep != nil || p.past.old != nil || p.past.save != nil || p.past.first != nil || len(p.Expected) > 0
}

// readTrace reads a saved trace that is one, and no rounds.
func readTrace(name string) (*record.Trace, error) {
	t, err := readSaved(name)
	if err == nil && t.Rounds != nil {
		return nil, errRounds
	}
	return t, err
}

// diffFiles compares two saved traces.
func (p *program) diffFiles(files []string) error {
	if err := cmp.Or(p.CheckDiff(files), p.CheckTogether()); err != nil {
		return err
	}
	if _, err := p.drop(func() []string { return []string{p.Diff, files[0]} }); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	var both [2]*record.Trace
	for i, name := range []string{p.Diff, files[0]} {
		var err error
		if both[i], err = readTrace(name); err != nil {
			return fmt.Errorf("--diff: %s: %s", record.Printable(name), shortened(err))
		}
	}
	return p.judge(both[1], p.sayChanges(p.stdout, p.Format == "json", both[0], both[1]))
}

// sayChanges says what has changed.
func (p *program) sayChanges(w io.Writer, asJSON bool, old, new *record.Trace) error {
	r := compare.Compare(old, new)
	write := r.WriteText
	if asJSON {
		write = r.WriteJSON
	}
	if err := write(w); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if r.Changed() {
		return errChanged
	}
	return nil
}

// likeBefore makes the command line that of a saved trace, with what was typed beside --diff.
func (p *program) likeBefore() (operands []string, err error) {
	if p.Lent || p.Elevated {
		return nil, errors.New("--diff with one file needs the caller's own rights, for the file says what is sent: " +
			"save the new trace with --save, and compare both files")
	}
	old, err := readTrace(p.Diff)
	if err != nil {
		return nil, fmt.Errorf("--diff %s: %s", record.Printable(p.Diff), shortened(err))
	}
	p.past.old = old
	return p.Again(old)
}

// sameFlow asks for the flow of the trace before, if its source port is free: routers that share out flows then send
// the new one the same way.
func (p *program) sameFlow(r *measure.Request) {
	old := p.past.old
	if old == nil || p.PortSet || p.Lent || len(old.Path.Ports) > 0 || old.Path.Session != nil {
		return
	}
	r.PreferredPort, r.Path.LabelSeed = old.Path.Source.Port(), old.Path.LabelSeed
}

// conclude does with the trace, which ended with err, what was asked for.
func (p *program) conclude(made *record.Trace, err error) error {
	x := &p.past
	if x.save != nil {
		if serr := x.save.Finish(made.WriteJSON); serr != nil {
			return fmt.Errorf("--save %s: %w", record.Printable(p.Save), options.Reason(serr))
		}
	}
	if made.Ending.Reason != record.Complete {
		return err
	}
	return p.judge(made, p.compared(made, err))
}

// compared compares a trace, which ended with err, with the one before.
func (p *program) compared(made *record.Trace, err error) error {
	x := &p.past
	switch {
	case x.first != nil:
		if ferr := x.first.Finish(made.WriteJSON); ferr != nil {
			return fmt.Errorf("--baseline %s: %w", record.Printable(x.baseline), options.Reason(ferr))
		}
		fmt.Fprintf(p.stderr, "This trace is the baseline from now on: %s\n", record.Printable(x.baseline))
		return err
	case x.old == nil:
		return err
	}
	w := p.stdout
	switch {
	case p.Diff != "" && p.Format == "json":
	case p.ForPeople():
		fmt.Fprintln(w)
	default:
		w = p.stderr
	}
	changed := p.sayChanges(w, p.Diff != "" && p.Format == "json", x.old, made)
	switch {
	case changed != nil:
		return changed
	case p.Diff != "" && err == errNotReached:
		fmt.Fprintln(p.stderr, err)
		return nil
	}
	return err
}

// shortened is why a file is no trace. The reason may quote from the file.
func shortened(err error) string {
	const most = 300
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "..."
	}
	return record.Printable(text)
}
