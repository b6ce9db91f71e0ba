package cli

import (
	"errors"
	"fmt"

	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
)

// open opens the way to the network.
func (p *program) open() (*measure.Tracer, error) {
	if p.InterfaceSet && p.Interface == "" {
		return nil, words.NoDevice(p.Interface)
	}
	raw := p.NeedsRaw()
	if raw != "" && p.Unprivileged {
		return nil, words.LacksRaw(&p.Config, raw)
	}
	o := p.Network(raw != "")
	o.Guard = p.rescue.Guard
	t, err := p.opener(o)
	switch {
	case err == nil:
		return t, nil
	case raw != "" && errors.Is(err, measure.ErrPrivilege):
		return nil, words.LacksRaw(&p.Config, raw)
	}
	return nil, words.Unopened(&p.Config, err)
}

// request is what is to be measured.
func (p *program) request() measure.Request {
	r := p.Request(p.kept.Old)
	r.Progress = p.preparing
	r.Unjudged = p.ForPeople() && !p.wantsRecord() // the text has no findings, if it doesn't explain
	return r
}

// preparing says what has to be known of the way out.
func (p *program) preparing(x measure.Progress) {
	p.aside(words.Preparing(x))
	if x.Stage == measure.Routed {
		p.dropTrackPort()
	}
}

// dropTrackPort settles that probes with a given source port can't have ports of their own.
func (p *program) dropTrackPort() {
	if p.TrackPort && p.PortSet {
		p.aside("Warning: --track-id implied by specifying the local source port")
		p.TrackPort = false
	}
}

// sayReady says what was made ready, and what is odd about it.
func (p *program) sayReady(m *measure.Measurement) {
	length := p.Path.Length
	p.Path = m.Header.Path
	p.aside(words.Ready(&p.Config, m, length)...)
}

// aside says lines on standard error; not those that are "".
func (p *program) aside(lines ...string) {
	for _, line := range lines {
		if line != "" {
			fmt.Fprintln(p.stderr, line)
		}
	}
}

// worded is what is wrong with this host's part, in the words of the command line.
func (p *program) worded(err error) error { return words.Unmade(&p.Config, err) }
