package measure

import (
	"context"
	"errors"
	"time"

	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// overhearWait is how long to wait for packets of a connection. Most programs that are at work send some in that time.
const overhearWait = 10 * time.Second

// An Established is a TCP connection of this host that is open.
type Established = wire.Established

// Connections are the open TCP connections of this host; with a process only those that it holds. It needs no
// privileges for the user's own.
func Connections(process int) ([]Established, error) { return wire.Connections(process) }

// A SilentError says that packets of a connection were waited for in vain.
type SilentError = wire.SessionError

// ErrTooNear says that there is no router between this host and the other end of a connection.
var ErrTooNear = errors.New("there is no router on its way")

// overhear makes the path options those of probes that look like packets of a connection which other programs hold.
// Each repeats one byte that the other end has acknowledged, as networks do that deliver a packet twice, and goes to
// the routers only.
func (m *Measurement) overhear(ctx context.Context) error {
	raw, ok := m.t.conn.(*wire.Conn)
	if !ok {
		return ErrPrivilege
	}
	o := &m.Header.Path
	m.progress(Progress{Stage: Overhearing})
	seen, err := raw.Overhear(ctx, o.Source, o.Target, overhearWait)
	if err != nil {
		return err
	}
	m.Away = trace.HopsAway(seen.TTL)
	o.Session = &trace.Session{Next: seen.Next, Ack: seen.Ack, Timestamps: seen.Timestamps, TSval: seen.TSval,
		TSecr: seen.TSecr, FlowLabel: seen.FlowLabel}
	o.TOS, o.ProbePorts = int(seen.TOS), nil
	if o.MaxTTL = min(o.Effective().MaxTTL, m.Away-1); o.MaxTTL < o.Effective().FirstTTL {
		return ErrTooNear
	}
	m.silent = wire.Silent{Conn: raw}
	return raw.Use(o.Source.Port())
}

// conn is the network that the trace goes over.
func (m *Measurement) conn() trace.Conn {
	if m.silent != nil {
		return m.silent
	}
	return m.t.conn
}
