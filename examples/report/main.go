// The command report traces the path to a host and prints it in a form of its own, a table in Markdown:
//
//	go build ./examples/report && sudo ./report www.example.com
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.example/tcptraceroute"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s HOST\n", os.Args[0])
		os.Exit(1)
	}
	found, err := tcptraceroute.Trace(context.Background(), os.Args[1], tcptraceroute.Options{Port: 443})
	if found != nil {
		err = errors.Join(err, writeTable(os.Stdout, found))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeTable writes a row for each hop: who answered, the times, and what a router or the target said beside that.
func writeTable(w io.Writer, found *trace.Trace) error {
	var b strings.Builder
	b.WriteString("| hop | who | times |\n|---|---|---|\n")
	for hop := range found.Hops() {
		who, times := "no answer", []string{}
		for _, r := range hop.Probes {
			if r.Outcome != trace.Answered {
				times = append(times, "lost")
				continue
			}
			who = r.From().String()
			if r.FromTarget() {
				who += " [" + record.StateOf(r) + "]"
			}
			who += record.Mark(r.Reply)
			times = append(times, fmt.Sprint(r.RTT().Round(10*time.Microsecond)))
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", hop.TTL, who, strings.Join(times, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
