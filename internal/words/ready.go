package words

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
)

// Ready says of a measurement that was made ready how it goes, what is odd about it, and where packets leave. length is
// what was asked for.
func Ready(c *options.Config, m *measure.Measurement, length int) (lines []string) {
	if length != 0 && length < m.LeastSize {
		lines = append(lines, fmt.Sprintf("Warning: Increasing packet length to %d bytes", m.LeastSize))
	}
	lines = append(lines, without(m)...)
	if m.Header.Connections {
		lines = append(lines, Connections(c, m.ByRule(), m.NoRawSocket()))
	}
	if c.PortSet && !c.ServiceSet { // somebody may have meant the target's port
		lines = append(lines, sourcePort(c))
	}
	if c.Connection.On() && m.Header.SameKernel() {
		lines = append(lines, fmt.Sprintf("Warning: packets leave by %s, a %s. A router on this machine, as for a "+
			"container, may send the connection another way than the probes: it goes by a hash that this kernel has drawn "+
			"for the connection",
			record.Printable(m.Header.Interface), m.Header.Kind))
	}
	if text := doubt(c, m.Doubt); text != "" {
		lines = append(lines, text)
	}
	device := fmt.Sprintf("Selected device %s, address %s", m.Header.Interface, c.Path.Source.Addr())
	if m.Header.Interface == "" {
		device = fmt.Sprintf("Selected address %s", c.Path.Source.Addr())
	}
	if !c.TrackPort {
		device += fmt.Sprintf(", port %d", c.Path.Source.Port())
	}
	return append(lines, record.Printable(device)+" for outgoing packets")
}

// without says what the kernel refuses.
func without(m *measure.Measurement) (lines []string) {
	for _, err := range m.Without() {
		switch {
		case errors.Is(err, measure.ErrNoPacketSocket):
			lines = append(lines, fmt.Sprintf(
				"Tracing without packet sockets (%v): answers are heard by raw sockets, behind this host's firewall",
				options.Reason(err)))
		case errors.Is(err, measure.ErrNoNetlink):
			lines = append(lines, fmt.Sprintf(
				"Tracing without netlink (%v): the source address is that of a connected socket, the device the one that has it",
				options.Reason(err)))
		case errors.Is(err, measure.ErrNoFilter):
			lines = append(lines, fmt.Sprintf("Tracing without a filter in the kernel (%v): all packets of this host are read",
				options.Reason(err)))
		case errors.Is(err, measure.ErrNoStamps):
			lines = append(lines, fmt.Sprintf("Tracing without the kernel's times (%v): round trips are those of this program",
				options.Reason(err)))
		case errors.Is(err, measure.ErrNotReserved):
			lines = append(lines, fmt.Sprintf("Tracing without reserving the source port (%v): another program may take it",
				options.Reason(err)))
		}
	}
	return lines
}

// Connections says how a trace by connections goes, and why: rule, because a routing rule looks at ports; noRaw,
// because of an error; or because there is no privilege.
func Connections(c *options.Config, rule bool, noRaw error) string {
	why, how := "", "one probe at a time"
	switch {
	case rule:
		why = ", for a routing rule looks at ports"
	case noRaw != nil:
		why = fmt.Sprintf(" (%v)", options.Reason(noRaw))
	}
	if c.TrackPort {
		how = "each from a port of its own"
	}
	wait := measure.ConnectWait
	if c.Path.Wait > 0 {
		wait = min(wait, c.Path.Wait)
	}
	return fmt.Sprintf("Tracing without raw sockets%s: by connections, %s, waiting up to %d ms for each answer", why, how,
		wait.Milliseconds())
}

func sourcePort(c *options.Config) string {
	by := "-p"
	if c.AnyPort {
		by = "-P"
	}
	return fmt.Sprintf(
		"Warning: %s %d is the source port; the target's port is %d. For the target's port %[2]d: tcptraceroute HOST %[2]d",
		by, c.Port, c.Path.Target.Port())
}

// doubt says why no answer may come; "": it may.
func doubt(c *options.Config, why measure.Doubt) string {
	switch why {
	case measure.NobodysTarget:
		return fmt.Sprintf("Warning: %v is %v", c.Path.Target.Addr(), measure.ErrUnspecified)
	case measure.LoopbackDevice:
		return fmt.Sprintf("Warning: -i lo leads to this host only, and %v is not one of its addresses: no answer will come",
			c.Path.Target.Addr())
	case measure.LoopbackSource:
		return fmt.Sprintf("Warning: the source address %v: %s", c.Path.Source.Addr(), onlyItself)
	case measure.ForeignSource:
		return fmt.Sprintf("Warning: no interface of this host has the source address %v: the answers will go elsewhere",
			c.Path.Source.Addr())
	}
	return ""
}

// Target is what is traced: the host, its address, and the port, which stands behind some text. service is the port's
// name; "": it has none.
func Target(c *options.Config, port, service string) string {
	address := c.Path.Target.Addr().String()
	text := address
	if name, err := names.ASCII(c.Host); err == nil && name != address {
		text = fmt.Sprintf("%s (%s)", name, address)
	}
	text += port + strconv.Itoa(int(c.Path.Target.Port()))
	if service != "" {
		text += " (" + service + ")"
	}
	return record.Printable(text)
}

// Others says which address was taken of a name that has more than one; "": it has one.
func Others(c *options.Config) string {
	if len(c.Others) == 0 {
		return ""
	}
	const most = 4 // to be named
	var others []string
	for _, a := range c.Others[:min(len(c.Others), most)] {
		others = append(others, a.String())
	}
	if more := len(c.Others) - most; more > 0 {
		others = append(others, fmt.Sprintf("and %d more", more))
	}
	name, _ := names.ASCII(c.Host) // it has been looked up
	return fmt.Sprintf("%s has %d addresses: tracing to %v, not %s", record.Printable(name), 1+len(c.Others),
		c.Path.Target.Addr(), strings.Join(others, ", "))
}
