package measure

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Unsent is the record of a measurement that sent nothing, and why: Prepare has refused it. Without a way the source
// address isn't known, unless the user has given one: it is then the unspecified address.
func Unsent(host string, path trace.PathOptions, why error, found []detect.Finding) *record.Trace {
	now := time.Now()
	if !path.Source.Addr().IsValid() {
		unknown := netip.IPv4Unspecified()
		if path.Target.Addr().Is6() {
			unknown = netip.IPv6Unspecified()
		}
		path.Source = netip.AddrPortFrom(unknown, path.Source.Port())
	}
	return &record.Trace{
		Header:   record.Header{Host: host, Path: path, Started: now},
		Findings: found,
		Ending:   record.Ending{Time: now, Reason: record.NotSent, Err: why, ExitCode: exitLocal},
	}
}
