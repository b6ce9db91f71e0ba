package detect_test

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
)

// What is advised is about what is wrong in the answer: the address, or the port alone.
func TestElsewhereAdvice(t *testing.T) {
	for as, advice := range map[string]string{
		"198.51.100.77":     "it has to answer from 198.51.100.9",
		"198.51.100.77:444": "it has to answer from 198.51.100.9",
		":444":              "translates port 443 to 444",
	} {
		s := scenario{network: "router 10.0.1.1 delay=1ms\ntarget 198.51.100.9 delay=1ms answers-as=" + as}
		all := detect.Findings(s.evidence(t, 1, nil))
		if len(all) == 0 || all[0].Code != detect.AnsweredFromElsewhere || !strings.Contains(all[0].Advice, advice) {
			t.Errorf("%s: %v\n%s", as, text(all), details(all))
		}
	}
}

// Where an ordinary connection opens, nothing certain says that connections can't.
func TestElsewhereBesideAConnection(t *testing.T) {
	s := scenario{network: "router 10.0.1.1 delay=1ms\ntarget 198.51.100.9 delay=1ms"}
	all := detect.Findings(s.evidence(t, 1, elsewhereOdd))
	for _, x := range all {
		if x.Code != detect.AnsweredFromElsewhere {
			continue
		}
		if x.Confidence != detect.Likely || !strings.Contains(x.Title, "such connections can't") {
			t.Errorf("%v\n%s", text(all), details(all))
		}
		return
	}
	t.Errorf("%v\n%s", text(all), details(all))
}

// elsewhereOdd lets SYN+ACKs to odd ports come from another address.
func elsewhereOdd(b []byte) []byte {
	var r packet.Reply
	if packet.Parse(b, &r) == nil && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN|packet.ACK) &&
		r.TCP.DstPort%2 == 1 {
		b[15]++
		packet.CompleteTCPChecksum(b)
		packet.CompleteIPChecksum(b)
	}
	return b
}
