package words

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
)

// A LocalError says that this host can send nothing.
type LocalError struct{ text string }

func (e *LocalError) Error() string { return e.text }

// ErrPortInUse says that the source port can't be had.
var ErrPortInUse = errors.New("Sorry, requested local port is already in use.  Use -P, instead of -p, to override.")

const howToRaw = "run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute"

// onlyItself is what is wrong with a loopback address as the source of packets that leave the host.
const onlyItself = "a loopback address, which no other host can answer"

// LacksRaw is the error for an option that connections can't do.
func LacksRaw(c *options.Config, option string) error {
	if err := c.Path.Validate(); err != nil {
		return err // which it would still be with sudo
	}
	if c.Unprivileged {
		return fmt.Errorf("%s needs raw sockets, which --unprivileged does without", option)
	}
	or := ""
	if option == "-P" {
		or = orTarget(c)
	}
	return fmt.Errorf("%s needs raw sockets%s, and they need root or the capability CAP_NET_RAW: %s", option, or, howToRaw)
}

// orTarget says, behind the refusal of a source port, how to give the target's port, which may have been meant.
func orTarget(c *options.Config) string {
	if c.ServiceSet {
		return ""
	}
	return fmt.Sprintf(" (it is the source port; for the target's port: tcptraceroute HOST %d)", c.Port)
}

// What nmap's -iL FILE says here: the interface L.
const (
	listDevice = "L"
	listHint   = "; a list of targets, as nmap's -iL has, is traced by --targets FILE"
)

// NoDevice is the error for an interface that there isn't.
func NoDevice(name string) error {
	hint := ""
	if _, err := strconv.ParseFloat(name, 64); err == nil {
		hint = "; the seconds of a round are set by --interval" // as mtr's -i does
	}
	if name == listDevice {
		hint = listHint
	}
	return fmt.Errorf("error opening device %s: %[1]s: No such device exists (No such device exists)%s", name, hint)
}

// Local is an error of this host's system, which lets it send nothing: that is not the command line's fault.
func Local(err error) error {
	if errors.As(err, new(syscall.Errno)) {
		return &LocalError{err.Error()}
	}
	return err
}

// StillPrivileged is the error of privileges that the user lacks, and that can't be given up; nil: err is nil.
func StillPrivileged(err error) error {
	if err == nil {
		return nil
	}
	return &LocalError{"giving up privileges: " + err.Error()}
}

// NotDropped says that privileges which the user has himself can't be given up; "": they were.
func NotDropped(missing []error) string {
	for _, err := range missing {
		if errors.Is(err, measure.ErrNotDropped) {
			return fmt.Sprintf("Warning: %v; going on with the user's own", err)
		}
	}
	return ""
}

// Unopened is why the network can't be opened.
func Unopened(c *options.Config, err error) error {
	switch {
	// CAP_NET_RAW is there, CAP_NET_BIND_SERVICE isn't
	case errors.Is(err, syscall.EACCES) && c.PortSet && !c.AnyPort && c.Port < 1024:
		return fmt.Errorf("Sorry, must be root to use -p %d%s", c.Port, orTarget(c))
	case errors.Is(err, measure.ErrPrivilege):
		return errors.New("Raw sockets need root or the capability CAP_NET_RAW: " + howToRaw)
	case c.Interface != "" && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) ||
		errors.Is(err, syscall.EINVAL)):
		return NoDevice(c.Interface)
	case errors.Is(err, syscall.EADDRINUSE):
		return ErrPortInUse
	}
	return Local(err)
}

// Unmade is why there can be no measurement, or no more of it.
func Unmade(c *options.Config, err error) error {
	if route, ok := errors.AsType[*measure.RouteError](err); ok {
		text := "connect: " + Capital(options.Reason(route.Err))
		if route.Zone != "" {
			return fmt.Errorf("%s: %s", text, route.Zone)
		}
		if to := c.Path.Target; to.IsValid() && route.Ruled(to.Addr()) { // a rule may look at the port
			text += fmt.Sprintf(": this host's own routing refuses it, see ip rule and ip route get %v ipproto tcp dport %d",
				to.Addr(), to.Port())
		}
		return &LocalError{text}
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
	if c.Connection.On() && (errors.Is(err, measure.ErrTooNear) || errors.As(err, new(*measure.SilentError))) {
		return fmt.Errorf("The connection can't be traced: %w", err)
	}
	if errors.As(err, new(*measure.PortError)) {
		return ErrPortInUse
	}
	return err
}

// Capital is an error as the C library writes it.
func Capital(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// HowToExplain says how to find out why the target was not reached.
func HowToExplain(c *options.Config) string {
	how := "the same with --explain"
	for _, other := range c.NotWith("--explain") {
		how = "--explain in the place of " + other
	}
	return "To find out why, and where: " + how
}
