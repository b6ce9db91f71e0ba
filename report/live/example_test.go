package live_test

import (
	"context"
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/report/live"
	"go.example/tcptraceroute/trace"
)

// The screen shows results until its user quits. They come from a run with a plan of package trace, such as
// trace.NewRounds, in another goroutine.
func ExampleScreen() {
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
	}
	colors, utf8, err := live.Terminal(os.Stdin, os.Stdout, os.Getenv)
	if err != nil {
		return // no terminal
	}
	screen := live.New(live.Options{
		Path: o, Target: "203.0.113.9 port 443", Interval: time.Second, Colors: colors, UTF8: utf8,
	})
	go func() {
		// trace.Run(ctx, conn, plan, o.RunOptions(conn), screen.Add)
		screen.Finish()
	}()
	screen.Run(context.Background(), os.Stdin, os.Stdout, os.Getenv("TERM"))
}
