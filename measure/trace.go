package measure

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// DefaultPort is the target's port if none is given.
const DefaultPort = 80

// Options say how the network is reached.
type Options struct {
	Wire         wire.Options // with Attempts explanations ask this host for ordinary connections too
	Unprivileged bool         // trace by connections, and try no raw sockets
}

// Tracer makes measurements over one way to the network, one after the other. Close it in the end.
type Tracer struct {
	o    Options
	conn network
}

// network is what package wire opens.
type network interface {
	Network
	Source(target netip.AddrPort) (netip.AddrPort, error)
	Route(dst, src netip.AddrPort) (wire.Route, error)
	Close() error
}

var (
	_ network         = (*wire.Conn)(nil)
	_ network         = (*wire.Unprivileged)(nil)
	_ trace.Connector = (*wire.Unprivileged)(nil)
)

// Open opens raw sockets, or does without if they are refused: each probe is then a connection, and a trace is slower
// (see [wire.Unprivileged]). Only Open needs privileges, and it gives up none.
func Open(o Options) (*Tracer, error) {
	if !o.Unprivileged {
		conn, err := wire.Open(o.Wire)
		if err == nil {
			return &Tracer{o, conn}, nil
		}
		if !errors.Is(err, wire.ErrPrivilege) {
			return nil, err
		}
	}
	conn, err := wire.OpenUnprivileged(o.Wire)
	if err != nil {
		return nil, err
	}
	return &Tracer{o, conn}, nil
}

// Close closes the sockets.
func (t *Tracer) Close() error { return t.conn.Close() }

// Request is what is to be measured. The zero value of all but Host is what the command does without options.
type Request struct {
	Host   string       // a name or an address
	Port   uint16       // of the target; 0: DefaultPort
	Family names.Family // IPv4 or IPv6 only; names.Any: IPv4 if this host has it

	Path trace.PathOptions // Target and Source are filled in

	Explain bool // ask further, of the network and of this host, why the path ends as it does

	Seen     func(trace.Result) // is called with each result when it is known; nil: nobody wants them yet
	Progress func(Progress)     // is called with what is done to explain; nil: nobody wants to know
}

// Trace finds the path to a host, and says what the answers mean. If ctx ends, it returns what is known by then, with
// ctx's cause as the error. There is no record if no probe could be sent: no such host, no route, options that make no
// sense. The record has no names of routers, and no version of a program: who has them adds them.
func (t *Tracer) Trace(ctx context.Context, r Request) (*record.Trace, error) {
	o := r.Path
	err := o.Validate()
	if err != nil {
		return nil, err
	}
	if o.Target, err = t.lookUp(ctx, r); err != nil {
		return nil, err
	}
	if o.Source, err = t.conn.Source(o.Target); err != nil {
		return nil, fmt.Errorf("source for %v: %w", o.Target, err)
	}
	o = o.Prepare(t.conn)
	plan, length, err := t.plan(o)
	if err != nil {
		return nil, err
	}
	made := &record.Trace{Header: record.Header{Started: time.Now(), Host: r.Host, Path: o, Length: length,
		Connections: t.connects(), Mark: t.o.Wire.Mark, Numeric: true}}
	known := detect.View{Trace: trace.NewTrace(o), Options: o}
	e := t.explainer(&made.Header, r.Progress)
	if r.Explain {
		e.Begin(ctx)
	}
	defer e.End()
	known.Counts, err = trace.Run(ctx, t.conn, plan, o.RunOptions(t.conn), func(res trace.Result) {
		known.Add(res)
		made.Results = append(made.Results, res)
		if r.Seen != nil {
			r.Seen(res)
		}
	})
	known.Trace.Finish()
	if r.Explain && err == nil {
		err = e.Ask(ctx, known)
	}
	made.Findings = append([]detect.Finding{}, detect.Findings(e.Evidence(known))...)
	if r.Explain {
		made.Explanation = new(e.Diagnosis())
	}
	made.Ending = ending(ctx, known, err)
	return made, err
}

// lookUp finds the target's address.
func (t *Tracer) lookUp(ctx context.Context, r Request) (target netip.AddrPort, err error) {
	ascii, err := names.ASCII(r.Host)
	if err != nil {
		return target, err
	}
	resolver := names.New(names.Options{Policy: names.Never})
	defer resolver.Close()
	addrs, err := resolver.Host(ctx, ascii, r.Family)
	if err != nil {
		return target, err
	}
	port := r.Port
	if port == 0 {
		port = DefaultPort
	}
	a := addrs[0]
	if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		a = a.WithZone(t.o.Wire.Interface)
	}
	return netip.AddrPortFrom(a, port), nil
}

// connects reports whether probes are connections.
func (t *Tracer) connects() bool {
	_, ok := t.conn.(trace.Connector)
	return ok
}

// plan is the plan that suits the network, and the length of its probes; 0: the kernel's choice.
func (t *Tracer) plan(o trace.PathOptions) (trace.Plan, int, error) {
	if c, ok := t.conn.(trace.Connector); ok {
		plan, err := trace.NewSerial(o, c.ConnectWait())
		return plan, 0, err
	}
	plan, err := trace.NewPath(o)
	if err != nil {
		return nil, 0, err
	}
	return plan, plan.Length(o.Length), nil
}

func (t *Tracer) explainer(h *record.Header, progress func(Progress)) *Explainer {
	o := h.Path
	e := &Explainer{Conn: t.conn, Path: o, Own: o.Source.Addr(), Interface: t.o.Wire.Interface, Mark: h.Mark,
		Connections: h.Connections, Progress: progress}
	if route, err := t.conn.Route(o.Target, o.Source); err == nil {
		e.Out, e.Local = route.Interface, route.Local
		h.Interface = route.Interface
	}
	if e.Own.IsLinkLocalUnicast() && e.Own.Is6() && e.Own.Zone() == "" {
		e.Own = e.Own.WithZone(e.Out) // an address of the link, not of the host
	}
	e.Port = func() (uint16, error) { return t.conn.Reserve(netip.AddrPortFrom(e.Own, 0)) }
	e.Run = func(ctx context.Context, plan trace.Plan, seen func(trace.Result)) (trace.Counts, error) {
		return trace.Run(ctx, t.conn, plan, o.RunOptions(t.conn), seen)
	}
	return e
}

// ending says how a measurement ended that gave this error.
func ending(ctx context.Context, v detect.View, err error) record.Ending {
	e := record.Ending{Time: time.Now(), Reason: record.Complete, Err: err, Counts: v.Counts, ExitCode: 1}
	switch {
	case err == nil && v.Trace.Reached():
		e.ExitCode = 0
	case err == nil:
	case ctx.Err() != nil:
		e.Reason = record.Interrupted
	case errors.As(err, new(*trace.SendError)):
		e.Reason, e.ExitCode = record.NotSent, 2
	default:
		e.Reason = record.Broken
	}
	return e
}
