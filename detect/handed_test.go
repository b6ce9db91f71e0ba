package detect_test

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// Where a port is translated in front of the target, what can't be reached is the machine that is meant, not the target.
func TestTranslatedToTheDead(t *testing.T) {
	const network = `router 2001:db8:b01::1 delay=1ms
		router 2001:db8:b02::1 delay=1ms
		router 2001:db8:b03::1 delay=1ms
		router 2001:db8:b04::1 delay=1ms
		change port=443
		router 2001:db8:b01::1 delay=1ms
		router 2001:db8:b02::1 delay=1ms
		router 2001:db8:99::1 delay=1ms
		router 2001:db8:b05::1 delay=1ms `
	for rule, code := range map[string]detect.Code{
		"unresolved=3s": detect.UnreachableHost, "unresolved=1ms": detect.UnreachableHost, "reject=0": detect.UnreachableNetwork,
	} {
		s := scenario{network: network + rule + "\ntarget 2001:db8:99::1 delay=1ms"}
		all := detect.Findings(s.evidence(t, 1, nil))
		if len(all) == 0 || all[0].Code != code || !strings.Contains(all[0].Title, "What port 443 is translated to") {
			t.Errorf("%s: %v\n%s", rule, text(all), details(all))
		}
	}
}

// A router that translates some packets and lets others pass speaks in both names at one hop: it is there that it
// translates.
func TestTranslatesSome(t *testing.T) {
	s := scenario{network: `router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=1ms
		router 10.0.3.1 delay=1ms
		router 10.0.4.1 delay=1ms
		router 10.0.5.1 delay=1ms
		router 10.0.6.1 delay=1ms
		change port=443
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=1ms
		fork by=packet
		way share=0.5
		router 10.0.3.1 delay=1ms
		way share=0.5
		router 198.51.100.9 delay=1ms
		end
		router 198.51.100.9 delay=1ms
		router 198.51.100.9 delay=1ms drop
		router 10.0.5.1 delay=1ms
		target 198.51.100.9 delay=1ms`, with: []string{"q=8"}}
	all := detect.Findings(s.evidence(t, 1, nil))
	for _, x := range all {
		if x.Code == detect.DNAT && x.After == 2 && x.Before == 3 {
			return
		}
	}
	t.Errorf("%v\n%s", text(all), details(all))
}

// That the machine beyond the target accepts a connection is as sure as that the port is handed on.
func TestBeyondIsAsSureAsForwarded(t *testing.T) {
	sure, words := 0, 0
	for _, s := range scenarios(t) {
		if s.file != "forwarded.txt" {
			continue
		}
		handed := detect.Possible
		all := detect.Findings(s.evidence(t, 1, nil))
		for _, x := range all {
			if x.Code == detect.Forwarded {
				handed = x.Confidence
			}
		}
		for _, x := range all {
			if x.Code != detect.PortOpen && x.Code != detect.PortClosed {
				continue
			}
			sure++
			if strings.Contains(x.Title, "machine beyond") {
				if words++; x.Confidence > handed {
					t.Errorf("%s: %v, and forwarded-port is %v", s.name, x.Title, handed)
				}
			}
		}
	}
	if words == 0 || sure == words {
		t.Errorf("%d of %d say so", words, sure)
	}
}

// What hands a port on and answers other probes itself is not down, whatever becomes of the port beyond it.
func TestWhoHandsOnIsNotDown(t *testing.T) {
	s := scenario{network: `router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=1ms
		router 10.0.3.1 delay=1ms
		change port=443
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=1ms
		router 10.0.3.1 delay=1ms
		router 198.51.100.9 delay=1ms drop
		target 198.51.100.9 delay=1ms`}
	all := detect.Findings(s.evidence(t, 1, nil))
	if said := details(all); !strings.Contains(said, "a machine beyond hop 4 that is down") ||
		strings.Contains(said, "target that is down") || strings.Contains(said, "target is up") {
		t.Errorf("%v\n%s", text(all), said)
	}
}
