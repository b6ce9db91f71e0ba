// Command tcptraceroute traces the path that a TCP connection takes.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"tcptraceroute/internal/cli"
)

func main() {
	// The program mostly waits, and what it does after a wait is less than what it costs to wake a second thread for it:
	// with one thread at a time a trace takes a quarter less of the processor, and no longer.
	runtime.GOMAXPROCS(1)
	os.Exit(run())
}

func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			interrupted := &cli.Interrupted{Signal: s.(syscall.Signal)}
			if errors.As(context.Cause(ctx), new(*cli.Interrupted)) {
				os.Exit(interrupted.ExitCode()) // the second time at once
			}
			cancel(interrupted)
		}
	}()
	return cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
