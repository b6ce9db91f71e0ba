// Command tcptraceroute traces the path that a TCP connection takes.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"tcptraceroute/internal/cli"
)

func main() {
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
