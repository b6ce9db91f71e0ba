package cli

import (
	"errors"
	"fmt"
	"syscall"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// open opens the way to the network.
func (p *program) open() (*measure.Tracer, error) {
	if p.InterfaceSet && p.Interface == "" {
		return nil, p.noDevice()
	}
	raw := p.NeedsRaw()
	if raw != "" && p.Unprivileged {
		return nil, p.lacksRaw(raw)
	}
	o := p.Network(raw != "")
	o.Guard = p.rescue.Guard
	t, err := p.opener(o)
	switch {
	case err == nil:
		return t, nil
	case raw != "" && errors.Is(err, measure.ErrPrivilege):
		return nil, p.lacksRaw(raw)
	}
	return nil, p.socketError(err)
}

// lacksRaw is the error for an option that connections can't do.
func (p *program) lacksRaw(option string) error {
	if err := p.Path.Validate(); err != nil {
		return err // which it would still be with sudo
	}
	if p.Unprivileged {
		return fmt.Errorf("%s needs raw sockets, which --unprivileged does without", option)
	}
	or := ""
	if option == "-P" {
		or = p.orTarget()
	}
	return fmt.Errorf("%s needs raw sockets%s, and they need root or the capability CAP_NET_RAW: %s", option, or, howToRaw)
}

// request is what is to be measured.
func (p *program) request() measure.Request {
	r := p.Request(p.kept.Old)
	r.Progress = p.preparing
	return r
}

// preparing says what has to be known of the way out.
func (p *program) preparing(x measure.Progress) {
	switch x.Stage {
	case measure.Routed:
		if x.Elsewhere != "" {
			fmt.Fprintf(p.stderr,
				"Warning: a routing rule that looks at ports sends such connections by %s; the probes go by %s\n",
				record.Printable(x.Elsewhere), record.Printable(x.Interface))
		}
		p.dropTrackPort()
	case measure.Overhearing:
		fmt.Fprintln(p.stderr, "Waiting for a packet of the connection in each direction, 10 s at the most")
	case measure.NoSession:
		fmt.Fprintf(p.stderr, "No connection to probe in (%s): probing by SYNs\n", record.Printable(x.Err.Error()))
	}
}

// dropTrackPort settles that probes with a given source port can't have ports of their own.
func (p *program) dropTrackPort() {
	if p.TrackPort && p.PortSet {
		fmt.Fprintln(p.stderr, "Warning: --track-id implied by specifying the local source port")
		p.TrackPort = false
	}
}

// sayReady says what was made ready, and what is odd about it.
func (p *program) sayReady(m *measure.Measurement) {
	if p.Path.Length != 0 && p.Path.Length < m.LeastSize {
		fmt.Fprintf(p.stderr, "Warning: Increasing packet length to %d bytes\n", m.LeastSize)
	}
	p.Path = m.Header.Path
	p.sayHow(m)
	p.saySourcePort()
	p.sayNoAnswer(m.Doubt)
	device := fmt.Sprintf("Selected device %s, address %s", m.Header.Interface, p.Path.Source.Addr())
	if m.Header.Interface == "" {
		device = fmt.Sprintf("Selected address %s", p.Path.Source.Addr())
	}
	if !p.TrackPort {
		device += fmt.Sprintf(", port %d", p.Path.Source.Port())
	}
	fmt.Fprintf(p.stderr, "%s for outgoing packets\n", record.Printable(device))
}

// saySourcePort says what -p is, where somebody may have meant the target's port.
func (p *program) saySourcePort() {
	if !p.PortSet || p.ServiceSet {
		return
	}
	by := "-p"
	if p.AnyPort {
		by = "-P"
	}
	fmt.Fprintf(p.stderr,
		"Warning: %s %d is the source port; the target's port is %d. For the target's port %[2]d: tcptraceroute HOST %[2]d\n",
		by, p.Port, p.Path.Target.Port())
}

// orTarget says, behind the refusal of a source port, how to give the target's port, which may have been meant.
func (p *program) orTarget() string {
	if p.ServiceSet {
		return ""
	}
	return fmt.Sprintf(" (it is the source port; for the target's port: tcptraceroute HOST %d)", p.Port)
}

// onlyItself is what is wrong with a loopback address as the source of packets that leave the host.
const onlyItself = "a loopback address, which no other host can answer"

// sayNoAnswer warns before a trace that can't be answered.
func (p *program) sayNoAnswer(why measure.Doubt) {
	switch why {
	case measure.LoopbackDevice:
		fmt.Fprintf(p.stderr,
			"Warning: -i lo leads to this host only, and %v is not one of its addresses: no answer will come\n",
			p.Path.Target.Addr())
	case measure.LoopbackSource:
		fmt.Fprintf(p.stderr, "Warning: the source address %v: %s\n", p.Path.Source.Addr(), onlyItself)
	case measure.ForeignSource:
		fmt.Fprintf(p.stderr, "Warning: no interface of this host has the source address %v: the answers will go elsewhere\n",
			p.Path.Source.Addr())
	}
}

// sayHow says what the trace does without: privileges, or what the kernel refuses.
func (p *program) sayHow(m *measure.Measurement) {
	for _, err := range m.Without() {
		switch {
		case errors.Is(err, measure.ErrNoPacketSocket):
			fmt.Fprintf(p.stderr,
				"Tracing without packet sockets (%v): answers are heard by raw sockets, behind this host's firewall\n",
				options.Reason(err))
		case errors.Is(err, measure.ErrNoNetlink):
			fmt.Fprintf(p.stderr,
				"Tracing without netlink (%v): the source address is that of a connected socket, the device the one that has it\n",
				options.Reason(err))
		}
	}
	if m.Header.Connections {
		p.sayConnections(m.ByRule())
	}
}

// sayConnections says how a trace by connections goes, and why.
func (p *program) sayConnections(rule bool) {
	why, how := "", "one probe at a time"
	if rule {
		why = ", for a routing rule looks at ports"
	}
	if p.TrackPort {
		how = "each from a port of its own"
	}
	wait := measure.ConnectWait
	if p.Path.Wait > 0 {
		wait = min(wait, p.Path.Wait)
	}
	fmt.Fprintf(p.stderr, "Tracing without raw sockets%s: by connections, %s, waiting up to %d ms for each answer\n",
		why, how, wait.Milliseconds())
}

// worded is what is wrong with this host's part, in the words of the command line.
func (p *program) worded(err error) error {
	if route, ok := errors.AsType[*measure.RouteError](err); ok {
		text := "connect: " + capital(options.Reason(route.Err))
		if route.Zone != "" {
			return fmt.Errorf("%s: %s", text, route.Zone)
		}
		if to := p.Path.Target.Addr(); to.IsValid() && route.Ruled(to) {
			text += fmt.Sprintf(": this host's own routing refuses it, see ip rule and ip route get %v", to)
		}
		return &localError{text}
	}
	if source, ok := errors.AsType[*measure.SourceError](err); ok {
		why := "not an address of this host"
		switch source.Reason {
		case measure.LoopbackSource:
			return fmt.Errorf("Bad source address: %s (%s)", source.Addr, onlyItself)
		case measure.ElsewhereSource:
			why = "not an address of " + source.Device
		}
		return fmt.Errorf("Bad source address: %s is %s", source.Addr, why)
	}
	if p.Connection.On() && (errors.Is(err, measure.ErrTooNear) || errors.As(err, new(*measure.SilentError))) {
		return fmt.Errorf("The connection can't be traced: %w", err)
	}
	if errors.As(err, new(*measure.PortError)) {
		return errPortInUse
	}
	return err
}

const howToRaw = "run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute"

var errPortInUse = errors.New("Sorry, requested local port is already in use.  Use -P, instead of -p, to override.")

// socketError is why the network can't be opened.
func (p *program) socketError(err error) error {
	switch {
	// CAP_NET_RAW is there, CAP_NET_BIND_SERVICE isn't
	case errors.Is(err, syscall.EACCES) && p.PortSet && !p.AnyPort && p.Port < 1024:
		return fmt.Errorf("Sorry, must be root to use -p %d%s", p.Port, p.orTarget())
	case errors.Is(err, measure.ErrPrivilege):
		return errors.New("Raw sockets need root or the capability CAP_NET_RAW: " + howToRaw)
	case p.Interface != "" && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) ||
		errors.Is(err, syscall.EINVAL)):
		return p.noDevice()
	case errors.Is(err, syscall.EADDRINUSE):
		return errPortInUse
	}
	return err
}
