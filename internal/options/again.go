package options

import (
	"fmt"
	"slices"
	"strconv"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
)

// Again makes the command line that of the trace before, with what was typed beside --diff.
func (c *Config) Again(before *record.Trace) (operands []string, err error) {
	again := Config{Root: c.Root, Lent: c.Lent, Elevated: c.Elevated}
	if operands, err = Parse(Options(), ArgumentsOf(before), &again); err != nil {
		return nil, fmt.Errorf("--diff %s: the trace can't be made again: %w", record.Printable(c.Diff), err)
	}
	typed := slices.DeleteFunc(slices.Clone(c.Given), func(s Setting) bool { return s.Where != "" })
	if err := again.Apply(typed); err != nil {
		return nil, err
	}
	*c = again
	return operands, nil
}

// ArgumentsOf is the command line that makes a trace like a saved one.
func ArgumentsOf(t *record.Trace) (args []string) {
	o := t.Path.Effective()
	flag := func(so bool, name ...string) {
		if so {
			args = append(args, name...)
		}
	}
	number := func(name string, n int) { args = append(args, name, strconv.Itoa(n)) }
	number("-f", o.FirstTTL)
	number("-m", o.MaxTTL)
	if t.Graph == nil { // else -q is how many probes each path gets, which isn't saved, and not those per hop
		number("-q", o.Queries)
	}
	flag(o.Target.Addr().Is4(), "-4")
	flag(o.Target.Addr().Is6(), "-6")
	flag(o.Patient, "-w", strconv.FormatFloat(max(o.Wait.Seconds(), 0.5), 'f', -1, 64))
	flag(o.TOS != 0, "-t", strconv.Itoa(o.TOS))
	inSession := o.Flags == packet.PSH|packet.ACK
	flag(inSession, "--in-session")
	flag(o.Flags.Has(packet.ACK) && !inSession, "-A")
	flag(o.Flags.Has(packet.ACK|packet.SYN), "-S")
	switch {
	case o.Flags.Has(packet.AE):
		args = append(args, "--accecn")
	case o.Flags.Has(packet.ECE | packet.CWR):
		args = append(args, "-E")
	}
	mss, _ := o.Options.MSS()
	linux := o.Options.SACKPermitted() // which a SYN that only tells an MSS lacks
	flag(linux, "--syn", ShapeLinux)
	flag(o.DontFragment && !linux, "-F")
	flag(!linux && mss > 0, "--mss", strconv.Itoa(int(mss)))
	flag(o.Strict, "--no-dnat-strict")
	flag(o.Loose, "--loose")
	flag(len(o.Ports) > 0, "--track-port")
	flag(o.Parallel == 1, "--parallel", "1")
	flag(t.Mark != 0, "--mark", strconv.FormatUint(uint64(t.Mark), 10))
	flag(t.Connections, "--unprivileged")
	flag(t.Numeric, "-n")
	flag(t.OwnersAsked, "-a")
	flag(t.Explanation != nil, "--explain")
	flag(t.MTU != nil, "--mtu")
	flag(t.Graph != nil, "--paths")
	return append(args, "--", t.Host, strconv.Itoa(int(o.Target.Port())))
}
