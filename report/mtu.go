package report

import (
	"fmt"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// MTU is what a search for the path's MTU has found, as a line. Outside of a session silence to a large packet may have
// another reason.
func MTU(m *record.MTU) string {
	hop := ""
	switch {
	case m.TTL > 0:
		hop = fmt.Sprintf("hop %d (%v)", m.TTL, m.From)
	case m.From.IsValid():
		hop = m.From.String()
	}
	switch {
	case m.Size == 0:
		return "Path MTU not known: the target did not answer probes with a payload"
	case !m.Narrow && m.Size == trace.MTUMost:
		return fmt.Sprintf("Path MTU %d bytes at least: no larger packets were tried", m.Size)
	case !m.Narrow:
		return fmt.Sprintf("Path MTU %d bytes, as the interface's", m.Size)
	case m.BlackHole && !m.InSession:
		return fmt.Sprintf("Path MTU %d bytes at least: larger SYNs are not answered, which may have another reason", m.Size)
	case m.BlackHole && hop == "":
		return fmt.Sprintf("Path MTU %d bytes, a black hole: larger packets vanish, and nobody says so", m.Size)
	case m.BlackHole:
		return fmt.Sprintf("Path MTU %d bytes, a black hole: larger packets vanish beyond %s, and nobody says so", m.Size,
			hop)
	}
	return fmt.Sprintf("Path MTU %d bytes: %s says that larger packets don't fit", m.Size, hop)
}
