package pcapng

import (
	"io"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Capture writes the packets of a measurement without holding it up. nil keeps none.
type Capture struct{ feed *report.Feed[Packet] }

// Start begins a capture, see [NewWriter].
func Start(w io.Writer, program, iface, comment string) (*Capture, error) {
	packets, err := NewWriter(w, program, iface, comment)
	if err != nil {
		return nil, err
	}
	return &Capture{report.StartFeed(packets.Write, func() error { return nil }, func(error) {})}, nil
}

// Observing returns what takes in the packets of events, and hands the events on to show; nil: to nobody.
func (c *Capture) Observing(show func(trace.Event)) func(trace.Event) {
	if c == nil {
		return show
	}
	return func(e trace.Event) {
		if packet, ok := Of(e); ok {
			c.feed.Add(packet)
		}
		if show != nil {
			show(e)
		}
	}
}

// Close waits until everything is written, and returns the first error of that.
func (c *Capture) Close() error { return c.feed.Close() }
