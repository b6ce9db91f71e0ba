package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/version"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report/pcapng"
)

// capture is an open file for packets. The zero value keeps none.
type capture struct {
	file    *os.File // nil: standard output
	out     io.Writer
	packets *pcapng.Capture // nil: it has not begun
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
		return p.captureError(err)
	}
	p.capture.file, p.capture.out = f, f
	p.rescue.Writes(f)
	return nil
}

func (p *program) captureError(err error) error {
	return fmt.Errorf("--pcap %s: %w", record.Printable(p.Pcap), options.Reason(err))
}

// captured does what sends and receives, and keeps the packets of it where the user wants that.
func (p *program) captured(of, iface string, do func() error) (err error) {
	if p.capture.out == nil {
		return do()
	}
	p.capture.packets, err = pcapng.Start(p.capture.out, "tcptraceroute "+version.Get(), iface, of)
	if err != nil {
		return p.captureError(err)
	}
	err = do()
	switch cerr := p.capture.close(); {
	case cerr == nil:
	case err == nil:
		return p.captureError(cerr)
	default:
		fmt.Fprintln(p.stderr, p.captureError(cerr))
	}
	return err
}

// close waits until everything is written. It may be called again.
func (c *capture) close() (err error) {
	defer func() { *c = capture{} }()
	if c.packets != nil {
		err = c.packets.Close()
	}
	if c.file != nil {
		err = errors.Join(err, c.file.Close())
	}
	return err
}
