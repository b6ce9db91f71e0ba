package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/internal/words"
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
	if len(p.Expected) == 0 || !made.Ending.Reason.Whole() {
		return err
	}
	if part := p.Unexpected(made); part != "" {
		return &unexpectedError{part}
	}
	if err == errNotReached {
		return nil // which is as expected
	}
	return err
}

// openKept opens the files that a trace is written to and compared with, by the caller's own rights.
func (p *program) openKept() error {
	p.kept.Save = p.Save
	if p.Baseline != "" {
		p.kept.Baseline = p.BaselineFile()
	}
	return words.Kept(p.kept.Open())
}

// wantsRecord reports whether the trace is wanted as a record.
func (p *program) wantsRecord() bool {
	return p.keep != nil || p.kept.Wanted() || len(p.Expected) > 0
}

// diffFiles compares two saved traces.
func (p *program) diffFiles(files []string) error {
	if err := cmp.Or(p.CheckDiff(files), p.CheckTogether()); err != nil {
		return err
	}
	if err := p.dropPrivileges(func() []string { return []string{p.Diff, files[0]} }); err != nil {
		return err
	}
	var both [2]*record.Trace
	for i, name := range []string{p.Diff, files[0]} {
		var err error
		if both[i], err = measure.ReadTrace(name); err != nil {
			return fmt.Errorf("--diff: %s: %s", record.Printable(name), words.Shortened(err))
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
	old, err := measure.ReadTrace(p.Diff)
	if err != nil {
		return nil, fmt.Errorf("--diff %s: %s", record.Printable(p.Diff), words.Shortened(err))
	}
	p.kept.Old = old
	return p.Again(old)
}

// conclude does with the trace, which ended with err, what was asked for.
func (p *program) conclude(made *record.Trace, err error) error {
	first, kerr := p.kept.Write(made)
	switch {
	case kerr != nil:
		return words.Kept(kerr)
	case !made.Ending.Reason.Whole():
		return err
	case first:
		fmt.Fprintf(p.stderr, "This trace is the baseline from now on: %s\n", record.Printable(p.kept.Baseline))
	case p.kept.Old != nil:
		err = p.compared(made, err)
	}
	return p.judge(made, err)
}

// compared compares a trace, which ended with err, with the one before.
func (p *program) compared(made *record.Trace, err error) error {
	w := p.stdout
	switch {
	case p.Diff != "" && p.Format == "json":
	case p.ForPeople():
		fmt.Fprintln(w)
	default:
		w = p.stderr
	}
	changed := p.sayChanges(w, p.Diff != "" && p.Format == "json", p.kept.Old, made)
	switch {
	case changed != nil:
		return changed
	case p.Diff != "" && err == errNotReached:
		fmt.Fprintln(p.stderr, err)
		return nil
	}
	return err
}
