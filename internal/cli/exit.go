package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Exit codes.
const (
	exitReached    = 0
	exitNotReached = 1 // or the command line was wrong
	exitLocal      = 2 // this host could send nothing, or nothing more
	exitSignal     = 128
)

// Interrupted is the cause with which a context is cancelled by a signal.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return "interrupted" }

// ExitCode is the shell's convention for a program ended by a signal.
func (e *Interrupted) ExitCode() int { return exitSignal + int(e.Signal) }

// pointToExplain says, to somebody who sits before a terminal, how to find out why the target was not reached.
func (p *program) pointToExplain() {
	if !p.onTerminal || p.explain {
		return
	}
	how := "the same with --explain"
	for _, other := range p.notWith("--explain") {
		how = "--explain in the place of " + other
	}
	fmt.Fprintln(p.stderr, "To find out why, and where: "+how)
}

// errNotReached ends a trace whose target gave no answer.
var errNotReached = errors.New("Destination not reached")

// code says on stderr what went wrong, and is the exit code for it.
func (p *program) code(err error) int {
	switch {
	case err == nil:
	case errors.As(err, new(*Interrupted)):
		fmt.Fprintln(p.stderr, "Interrupted")
	case err == errHelp:
		p.usage()
	default:
		fmt.Fprintln(p.stderr, quoted(err.Error()))
	}
	if p.unreached {
		p.pointToExplain()
	}
	return exitCode(err)
}

// exitCode is what an error means to the shell.
func exitCode(err error) int {
	var interrupted *Interrupted
	var saved *savedEnding
	switch {
	case err == nil:
		return exitReached
	case errors.As(err, &saved):
		return saved.ExitCode
	case errors.As(err, &interrupted):
		return interrupted.ExitCode()
	case errors.As(err, new(*trace.SendError)), errors.As(err, new(*routeError)):
		return exitLocal
	}
	return exitNotReached
}

// A routeError says that the kernel has no way to the target: nothing can be sent.
type routeError struct{ err error }

func (e *routeError) Error() string { return "connect: " + capital(e.err) }

var errPortInUse = errors.New("Sorry, requested local port is already in use.  Use -P, instead of -p, to override.")

func (p *program) socketError(err error) error {
	switch {
	// CAP_NET_RAW is there, CAP_NET_BIND_SERVICE isn't
	case errors.Is(err, syscall.EACCES) && p.portSet && !p.anyPort && p.port < 1024:
		return fmt.Errorf("Sorry, must be root to use -p %d%s", p.port, p.orTarget())
	case errors.Is(err, wire.ErrPrivilege):
		return errors.New("Raw sockets need root or the capability CAP_NET_RAW: " + howToRaw)
	case p.iface != "" && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) ||
		errors.Is(err, syscall.EINVAL)):
		return p.noDevice()
	case errors.Is(err, syscall.EADDRINUSE):
		return errPortInUse
	}
	return err
}

func (p *program) noDevice() error {
	hint := ""
	if _, err := strconv.ParseFloat(p.iface, 64); err == nil {
		hint = "; the seconds of a round are set by --interval" // as mtr's -i does
	}
	return fmt.Errorf("error opening device %s: %[1]s: No such device exists (No such device exists)%s", p.iface, hint)
}

// reason is the innermost error: what the system said.
func reason(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// capital writes an error as the C library does.
func capital(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
