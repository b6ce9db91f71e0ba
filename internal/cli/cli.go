// Package cli turns a command line into a request to package measure, and its result into a report and an exit code.
//
// The rule of this room: it has no logic of its own, and sees no sockets.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/version"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report/live"
)

// Run is the program. args are those after its name.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, drop: measure.Drop, dropKeeping: measure.DropKeeping,
		opener: measure.Open}
	return p.code(p.run(ctx, args))
}

// Main is Run for a whole process: its standard output and error, and the signals that end it.
func Main(args []string) int {
	if err := measure.Limits(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitLocal
	}
	ctx, rescue := terminal.Process()
	p := &program{stdout: os.Stdout, stderr: os.Stderr, drop: measure.Drop,
		dropKeeping: measure.DropKeeping, opener: measure.Open, rescue: rescue}
	return p.code(p.run(ctx, args))
}

type program struct {
	stdout, stderr io.Writer
	options.Config
	drop func(readable ...func() []string) ([]error, error) // gives every privilege up
	// dropKeeping does the same, but some files can still be replaced; nil: drop is as good.
	dropKeeping func(replaced func() []*measure.Replacement, readable ...func() []string) ([]error, error)
	opener      func(measure.Options) (*measure.Tracer, error)
	ports       *names.Services
	resolve     *names.Resolver
	width       struct{ out, err int } // of the terminals that standard output and error are; 0: they are none

	toTerminal bool        // standard output is a terminal, whatever it can do
	colors     live.Colors // of the screen
	utf8       bool        // the screen can show more than ASCII
	onTerminal bool        // both are terminals, whatever these can do
	unreached  bool        // probes were sent, and the target has not answered
	capture    capture
	rescue     *terminal.Rescue // nil: nothing ends the program but its context

	kept measure.Kept        // that the trace is written to and compared with
	keep func(*record.Trace) // is called with the trace that was made; nil: nobody wants it as a record
}

// usage prints what the old program prints for -h: the version on stdout, the rest on stderr.
func (p *program) usage() {
	fmt.Fprint(p.stdout, version.Text())
	fmt.Fprint(p.stderr, options.UsageText(options.Groups()))
}

func (p *program) run(ctx context.Context, args []string) error {
	who := measure.Caller()
	p.Root = who.RealUID == 0
	p.Lent = who.SetID() && !p.Root
	p.Elevated = who.Elevated && !p.Root
	p.width.out, p.width.err = terminal.Width(p.stdout), terminal.Width(p.stderr)
	p.toTerminal = terminal.Is(p.stdout)
	p.onTerminal = p.toTerminal && terminal.Is(p.stderr)
	operands, err := p.CommandLine(args, who, p.toTerminal, p.stderr)
	switch {
	case err != nil:
		return err
	case p.HelpAll:
		_, err := fmt.Fprint(p.stdout, options.HelpText(options.Groups()))
		return err
	case p.Help:
		return errHelp
	case p.Version:
		_, err := fmt.Fprint(p.stdout, version.Text())
		return err
	}
	if p.Replay != "" {
		if err := p.CheckReplay(operands); err != nil {
			return err
		}
		return p.showSaved()
	}
	switch {
	case p.Diff == "":
	case len(operands) > 0:
		return p.diffFiles(operands)
	default:
		if operands, err = p.likeBefore(); err != nil {
			return err
		}
	}
	if err := p.CheckTogether(); err != nil && p.Connection.On() {
		return err
	}
	if p.Connection.On() {
		err = p.findConnection(operands, who.RealUID)
	} else {
		err = p.Operands(operands)
	}
	if err != nil {
		return err
	}
	if err := cmp.Or(p.CheckTogether(), p.screenTerminal()); err != nil {
		return err
	}
	network, openErr := p.open()
	if openErr == nil {
		defer network.Close()
	}
	// What the user wants written is opened by his own rights: all that root has, or those that are left of a program's.
	var filesErr error
	written := sync.OnceValue(func() (none []string) {
		filesErr = p.openFiles(openErr == nil)
		return none
	})
	defer p.kept.Close()
	if !p.Elevated && !p.Lent {
		written()
	}
	if err := p.dropPrivileges(written, p.files); err != nil {
		return err
	}
	defer p.capture.close()
	if err := cmp.Or(filesErr, words.Kept(p.kept.Read())); err != nil {
		return err
	}

	// From here on there are no privileges, and no answer or name was read before. What is wrong is told in the old
	// program's order: names, the way out, the device and the port, and the numbers at last.
	p.ports = names.NewServices(names.ServicesFile)
	databases, err := p.openDatabases()
	if err != nil {
		return err
	}
	defer databases.Close() // behind those who look into them
	p.resolve = names.New(names.Options{Policy: p.Names, Databases: databases, OwnerDNS: p.Show.AsDNS,
		Guard: p.rescue.Guard})
	defer p.resolve.Close()
	if p.Many.On() {
		return p.traceLists(ctx, network, openErr)
	}
	return p.traceOne(ctx, network, openErr)
}

// traceOne traces one target, if the network could be opened, and keeps the packets.
func (p *program) traceOne(ctx context.Context, network *measure.Tracer, openErr error) error {
	if err := p.address(ctx); err != nil {
		return err
	}
	if openErr != nil {
		if openErr == words.ErrPortInUse {
			p.dropTrackPort()
		}
		return openErr
	}
	m, err := network.Prepare(ctx, p.request())
	if err != nil {
		return cmp.Or(p.explainRoute(ctx, err), words.Local(p.worded(err)))
	}
	defer m.Close()
	p.sayReady(m)
	of := fmt.Sprintf("TCP port %d of %s", p.Path.Target.Port(), record.Printable(m.Header.Target()))
	return p.captured(of, m.Header.Interface, func() error { return p.carryOut(ctx, m) })
}

// dropPrivileges gives every privilege up. What is found can still be read, and what is to be replaced can be.
func (p *program) dropPrivileges(readable ...func() []string) error {
	drop := p.drop
	if p.dropKeeping != nil && (p.Save != "" || p.Baseline != "") {
		drop = func(readable ...func() []string) ([]error, error) { return p.dropKeeping(p.kept.Replaced, readable...) }
	}
	missing, err := drop(readable...)
	p.aside(words.NotDropped(missing))
	return words.StillPrivileged(err)
}

// openFiles opens what the user wants written; packets only if there will be any.
func (p *program) openFiles(packets bool) error {
	if packets {
		if err := p.openCapture(); err != nil {
			return err
		}
	}
	return p.openKept()
}

// files are those that are read later, beyond what names need. It is called with the caller's own rights.
func (p *program) files() (all []string) {
	if p.LinuxSYN() {
		all = append(all, measure.SettingFiles()...)
	}
	return slices.Concat(all, p.findDatabases(), p.Many.Lists, p.Many.Excludes, p.Many.Resumes)
}
