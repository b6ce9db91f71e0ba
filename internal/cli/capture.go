package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/pcapng"
	"go.example/tcptraceroute/trace"
)

// captureConfig is where the packets of the trace are kept.
type captureConfig struct{ pcap string } // "": nowhere, "-": standard output

func captureOptions() []option {
	return []option{
		{long: "pcap", typed: true,
			facts: []fact{
				{on: func(c *config) bool { return c.pcap != "" }, raw: true},
				{words: "-", on: func(c *config) bool { return c.pcap == "-" }, not: []conflict{
					{"--format", "--pcap - takes standard output, and so does {}: name a file"},
					{"--report, --live", "--pcap - takes standard output, and so does the table: name a file"},
				}},
			},
			arg: "file", help: "write every probe and every answer to it, as pcapng; -: standard output",
			set: func(c *config, v string) error {
				switch {
				case v == "":
					return errors.New("Argument of --pcap must be the name of a file, or - for standard output")
				case c.pcap != "" && c.pcap != v:
					return fmt.Errorf("Only one file for --pcap: %s and %s", quoted(c.pcap), quoted(v))
				}
				c.pcap = v
				return nil
			}},
	}
}

// capture is an open file for packets. The zero value keeps none.
type capture struct {
	file *os.File // nil: standard output
	out  io.Writer
	feed *report.Feed[pcapng.Packet]
}

// openCapture opens the file, by the caller's own rights: what the program was lent must be gone.
func (p *program) openCapture() error {
	switch {
	case p.pcap == "":
		return nil
	case p.pcap != "-":
	case p.width.out > 0:
		return errors.New("--pcap -: standard output is a terminal")
	default:
		p.capture.out, p.stdout = p.stdout, p.stderr // the text goes where people see it
		return nil
	}
	f, err := os.OpenFile(p.pcap, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", quoted(p.pcap), reason(err))
	}
	p.capture.file, p.capture.out = f, f
	p.rescue.Writes(f)
	return nil
}

// captured does what sends and receives, and keeps the packets of it where the user wants that.
func (p *program) captured(of, iface string, do func() error) error {
	err := p.capture.begin(of, iface)
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", quoted(p.pcap), reason(err))
	}
	err = do()
	cerr := p.capture.close()
	switch {
	case cerr == nil:
	case err == nil:
		return fmt.Errorf("--pcap %s: %w", quoted(p.pcap), reason(cerr))
	default:
		fmt.Fprintf(p.stderr, "--pcap %s: %v\n", quoted(p.pcap), reason(cerr))
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
