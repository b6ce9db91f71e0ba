package cli

import (
	"errors"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// medium is a way to the network: by raw sockets, or without.
type medium interface {
	trace.Conn
	Route(dst, src netip.AddrPort) (wire.Route, error)
	Reserve(netip.AddrPort) (uint16, error)
	Use(port uint16) error
	Fault(packet.Probe) error
	Without() []error
	Close() error
}

// plan is what is asked of whatever decides on the probes.
type plan interface {
	trace.Plan
	Length(wanted int) int // in bytes, at least what the headers need
	Last() int             // the last TTL that may be asked
}

// unprivilegedConfig is what the command line asks for in this matter.
type unprivilegedConfig struct {
	unprivileged  bool   // don't even try to open raw sockets
	connecting    bool   // the trace goes by connections
	why           string // it does so although raw sockets are there
	departureSaid bool   // see sayDepartures
}

func unprivilegedOptions() []option {
	return []option{
		{long: "unprivileged",
			help: "trace by ordinary connections, as is done anyway where the program has no right to raw sockets",
			set:  do(func(c *config) { c.unprivileged = true })},
	}
}

const howToRaw = "run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute"

// openNetwork opens raw sockets where that is allowed and wanted, and else does without.
func (p *program) openNetwork(o wire.Options) (medium, error) {
	if !p.unprivileged {
		conn, err := wire.Open(o)
		switch {
		case err == nil:
			if !p.root {
				p.path.Spacing, p.pace = userSpacing, trace.NewPace(userRate, 1)
			}
			return conn, nil
		case !errors.Is(err, wire.ErrPrivilege):
			return nil, p.socketError(err)
		}
	}
	if err := p.path.Validate(); err != nil {
		return nil, err // which it would still be with sudo
	}
	if name := p.needsRaw(); name != "" && p.unprivileged {
		return nil, fmt.Errorf("%s needs raw sockets, which --unprivileged does without", name)
	} else if name == "-P" && !p.serviceSet {
		return nil, fmt.Errorf("-P needs raw sockets%s, and they need root or the capability CAP_NET_RAW: %s", p.orTarget(),
			howToRaw)
	} else if name != "" {
		return nil, fmt.Errorf("%s needs raw sockets, and they need root or the capability CAP_NET_RAW: %s", name, howToRaw)
	}
	conn, err := wire.OpenUnprivileged(o)
	if err != nil {
		return nil, p.socketError(err)
	}
	p.connecting = true
	return conn, nil
}

// newPlan is the plan for the network that there is.
func (p *program) newPlan() (plan, error) {
	switch {
	case p.connecting:
		return trace.NewSerial(p.path, wire.ConnectWait)
	case p.watch.on():
		p.watch.defaults()
		return trace.NewRounds(p.path, p.watch.interval, p.watch.count)
	}
	return trace.NewPath(p.path)
}

// sayHow says what the trace does without: privileges, or what the kernel refuses.
func (p *program) sayHow(conn medium) {
	for _, err := range conn.Without() {
		switch {
		case errors.Is(err, wire.ErrNoPacketSocket):
			fmt.Fprintf(p.stderr,
				"Tracing without packet sockets (%v): answers are heard by raw sockets, behind this host's firewall\n", reason(err))
		case errors.Is(err, wire.ErrNoNetlink):
			fmt.Fprintf(p.stderr,
				"Tracing without netlink (%v): the source address is that of a connected socket, the device the one that has it\n",
				reason(err))
		}
	}
	if !p.connecting {
		return
	}
	how := "one probe at a time"
	if p.trackPort {
		how = "each from a port of its own"
	}
	wait := wire.ConnectWait
	if p.path.Wait > 0 {
		wait = min(wait, p.path.Wait)
	}
	fmt.Fprintf(p.stderr, "Tracing without raw sockets%s: by connections, %s, waiting up to %d ms for each answer\n",
		p.why, how, wait.Milliseconds())
}
