package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/pcapng"
	"go.example/tcptraceroute/trace"
)

// capture is an open file for packets. The zero value keeps none.
type capture struct {
	file *os.File // nil: standard output
	out  io.Writer
	feed *report.Feed[pcapng.Packet]
}

// openCapture opens the file, by the caller's own rights: what the program was lent must be gone.
func (p *program) openCapture() error {
	switch {
	case p.Pcap == "":
		return nil
	case p.Pcap != "-":
	case p.width.out > 0:
		return errors.New("--pcap -: standard output is a terminal")
	default:
		p.capture.out, p.stdout = p.stdout, p.stderr // the text goes where people see it
		return nil
	}
	f, err := os.OpenFile(p.Pcap, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", record.Printable(p.Pcap), options.Reason(err))
	}
	p.capture.file, p.capture.out = f, f
	p.rescue.Writes(f)
	return nil
}

// captured does what sends and receives, and keeps the packets of it where the user wants that.
func (p *program) captured(of, iface string, do func() error) error {
	err := p.capture.begin(of, iface)
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", record.Printable(p.Pcap), options.Reason(err))
	}
	err = do()
	cerr := p.capture.close()
	switch {
	case cerr == nil:
	case err == nil:
		return fmt.Errorf("--pcap %s: %w", record.Printable(p.Pcap), options.Reason(cerr))
	default:
		fmt.Fprintf(p.stderr, "--pcap %s: %v\n", record.Printable(p.Pcap), options.Reason(cerr))
	}
	return err
}

// begin writes what comes before the packets, and begins to take them.
func (c *capture) begin(of, iface string) error {
	if c.out == nil {
		return nil
	}
	w, err := pcapng.NewWriter(c.out, "tcptraceroute "+version(), iface, of)
	if err != nil {
		return err
	}
	c.feed = report.StartFeed(w.Write, func() error { return nil }, func(error) {})
	return nil
}

// observe is show, and keeps the packets.
func (c *capture) observe(show func(trace.Event)) func(trace.Event) {
	if c.feed == nil {
		return show
	}
	return func(e trace.Event) {
		if packet, ok := pcapng.Of(e); ok {
			c.feed.Add(packet)
		}
		if show != nil {
			show(e)
		}
	}
}

// close waits until everything is written. It may be called again.
func (c *capture) close() (err error) {
	defer func() { *c = capture{} }()
	if c.feed != nil {
		err = c.feed.Close()
	}
	if c.file != nil {
		err = errors.Join(err, c.file.Close())
	}
	return err
}
