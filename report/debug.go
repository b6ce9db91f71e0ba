package report

import (
	"fmt"
	"io"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// mostIgnored is how many packets of a verdict are shown that were no answers: a flood shall fill nobody's disk.
const mostIgnored = 200

// Debug returns what writes a line for each packet sent and received; of a connection only what is known of it.
func Debug(w io.Writer, connecting bool) func(trace.Event) {
	probeText, replyText := probeText, replyText
	if connecting {
		probeText, replyText = connectionText, toldText
	}
	ignored := make(map[trace.Verdict]int)
	return func(e trace.Event) {
		if received := e.Packet != nil; received && e.Verdict != trace.Believed {
			if ignored[e.Verdict]++; ignored[e.Verdict] > mostIgnored {
				if ignored[e.Verdict] == mostIgnored+1 {
					fmt.Fprintf(w, "debug: ignored: %s: more of these are not shown\n", e.Verdict)
				}
				return
			}
		}
		switch {
		case e.Reply == nil && e.Probe != nil && e.Err != nil:
			fmt.Fprintf(w, "debug: not sent: ttl %d %s: %s\n", e.Probe.TTL, probeText(e.Probe), record.Printable(e.Err.Error()))
		case e.Reply == nil && e.Probe != nil:
			fmt.Fprintf(w, "debug: sent: ttl %d %s\n", e.Probe.TTL, probeText(e.Probe))
		case e.Reply == nil:
			fmt.Fprintf(w, "debug: received: unreadable: %s\n", record.Printable(e.Err.Error()))
		case e.Verdict == trace.Believed:
			fmt.Fprintf(w, "debug: received: %s: answers ttl %d\n", replyText(e.Reply), e.Probe.TTL)
		default:
			fmt.Fprintf(w, "debug: ignored: %s: %s\n", replyText(e.Reply), e.Verdict)
		}
	}
}

// OnlyOurs keeps from users who are not root what has nothing to do with our probes: the packet socket sees more than
// they may, and sequence numbers are all that it takes to speak in another's connection (RFC 5961).
func OnlyOurs(show func(trace.Event)) func(trace.Event) {
	return func(e trace.Event) {
		if e.Verdict != trace.Unrelated {
			show(e)
		}
	}
}

func probeText(p *packet.Probe) string {
	tag := fmt.Sprintf("id %d", p.ID)
	if p.Src.Addr().Is6() {
		tag = fmt.Sprintf("tag %d, label %#05x", p.Key().Tag, p.FlowLabel)
	}
	if p.Protocol == packet.ProtoEcho {
		return fmt.Sprintf("%v > %v echo request %d of %d, %s", p.Src.Addr(), p.Dst.Addr(), p.EchoSeq, p.Src.Port(), tag)
	}
	return fmt.Sprintf("%v > %v %v seq %d %s", p.Src, p.Dst, p.Flags, p.Seq, tag)
}

func connectionText(p *packet.Probe) string { return fmt.Sprintf("%v > %v", p.Src, p.Dst) }

func toldText(r *packet.Reply) string {
	if r.Kind == packet.KindTCP {
		return fmt.Sprintf("%v TCP [%s]", r.From(), record.State(r.TCP.Flags))
	}
	return fmt.Sprintf("%v %v (type %d code %d)", r.From(), r.Kind, r.Type, r.Code)
}

func replyText(r *packet.Reply) string {
	if r.Kind == packet.KindTCP {
		return fmt.Sprintf("%v TCP [%s] seq %d ack %d", r.From(), record.State(r.TCP.Flags), r.TCP.Seq, r.TCP.Ack)
	}
	if r.Kind == packet.KindEcho {
		return fmt.Sprintf("%v %v %d of %d", r.From(), r.Kind, r.Echo.Seq, r.Echo.ID)
	}
	if q := &r.Quote.Echo; q.HasID() {
		return fmt.Sprintf("%v %v (type %d code %d), quoting %v > %v echo request %d of %d", r.From(), r.Kind, r.Type, r.Code,
			r.Quote.IP.Src, r.Quote.IP.Dst, q.Seq, q.ID)
	}
	return fmt.Sprintf("%v %v (type %d code %d), quoting %v > %v seq %d", r.From(), r.Kind, r.Type, r.Code,
		r.Quote.IP.Src, r.Quote.IP.Dst, r.Quote.TCP.Seq)
}
