package options

import (
	"net/netip"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// inSession is the option that needs raw sockets for something that may fail anyway.
const inSession = "--in-session"

// Network says how the network is to be reached. raw: by raw sockets only, see [Config.NeedsRaw].
func (c *Config) Network(raw bool) measure.Options {
	o := measure.Options{Unprivileged: c.Unprivileged, RawOnly: raw, SessionOnly: c.NeedsRaw(inSession) == "",
		Lent: !c.Root}
	o.Wire.Interface, o.Wire.Mark, o.Wire.TOS = c.Interface, c.Mark, uint8(c.Path.TOS)
	o.Wire.Sessions = c.InSession || c.MTU
	o.Wire.Attempts, o.Wire.Chains = c.Explain || c.Connection.On(), c.Explain && c.Root
	if c.PortSet && c.Port < 1024 && !c.AnyPort {
		o.Wire.Port = uint16(c.Port)
	}
	return o
}

// Request is what is to be measured. before is the trace that it is compared with; nil: there is none.
func (c *Config) Request(before *record.Trace) measure.Request {
	r := measure.Request{
		Host: c.Host, Path: c.Path, AnyPort: c.AnyPort, TrackPort: c.TrackPort, HostSYN: c.LinuxSYN(),
		MSS: uint16(c.SYN.MSS), InSession: c.InSession, MTU: c.MTU, Explain: c.Explain,
	}
	r.Path.Source = netip.AddrPortFrom(c.Path.Source.Addr(), uint16(c.Port))
	if c.Connection.On() {
		r.Overhear, r.Path.Source, r.Path.Target = true, c.Connection.Source, c.Connection.Target
	}
	if c.AllPaths.Paths {
		r.Paths = &measure.Paths{
			Flows: c.AllPaths.Flows, TargetSYNs: c.AllPaths.TargetSYNs, Confidence: c.AllPaths.Confidence,
			Probes: c.Path.Queries}
		r.Path.Queries = min(c.Path.Queries, 0) // those of -q are sent by each path; below 0 they are invalid
		if c.AllPaths.PortFor != "" {
			r.Paths.Probes = -1
		}
	}
	if c.Watch.On() {
		c.Watch.Defaults()
		r.Rounds = &measure.Rounds{Interval: c.Watch.Interval, Count: c.Watch.Count, Persist: c.Watch.Live,
			Once: !c.Watch.Live}
	}
	if before != nil && !c.PortSet && !c.Lent {
		r.SameFlow(before)
	}
	return r
}
