package cli

import (
	"errors"
	"fmt"

	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Exit codes.
const (
	exitReached    = 0
	exitNotReached = 1 // or the command line was wrong
	exitLocal      = 2 // this host could send nothing, or nothing more
	exitChanged    = 3 // something has changed since another trace
	exitUnexpected = 4 // the trace is not as expected
)

// errNotReached ends a trace whose target gave no answer.
var errNotReached = errors.New("Destination not reached")

// code says on stderr what went wrong, and is the exit code for it.
func (p *program) code(err error) int {
	switch {
	case err == nil, err == errSomeNotReached, err == errChanged: // the last line has said so
	case errors.As(err, new(*terminal.Interrupted)):
		fmt.Fprintln(p.stderr, "Interrupted")
	case err == errHelp:
		p.usage()
	default:
		fmt.Fprintln(p.stderr, record.Printable(err.Error()))
	}
	if p.unreached && p.onTerminal && !p.Explain { // somebody sits there, and may want to know why
		fmt.Fprintln(p.stderr, words.HowToExplain(&p.Config))
	}
	return exitCode(err)
}

// exitCode is what an error means to the shell.
func exitCode(err error) int {
	var interrupted *terminal.Interrupted
	var saved *savedEnding
	switch {
	case err == nil:
		return exitReached
	case err == errChanged:
		return exitChanged
	case errors.As(err, new(*unexpectedError)):
		return exitUnexpected
	case errors.As(err, &saved):
		return saved.ExitCode
	case errors.As(err, &interrupted):
		return interrupted.ExitCode()
	case errors.As(err, new(*trace.SendError)), errors.As(err, new(*words.LocalError)), err == measure.ErrNoneSent,
		errors.Is(err, measure.ErrReceiving):
		return exitLocal
	}
	return exitNotReached
}

// errHelp ends a command line that asks for the short help.
var errHelp = errors.New("help")
