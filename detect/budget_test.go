package detect_test

import (
	"regexp"
	"slices"
	"testing"

	"go.example/tcptraceroute/detect"
)

// The target gets 8 SYNs at the most, those of the trace and of ordinary connections included; where these have been
// more, the questions add none. SYNs to a port that its own firewall drops don't count: the target doesn't see them.
// It holds in all scenarios and random worlds; for more of these:
//
//	go test ./detect -run TestTargetSYNs -v -worlds 2000
func TestTargetSYNs(t *testing.T) {
	const (
		most   = 8
		varies = 2 // from run to run, for what happens at one instant comes in either order
		anew   = 1 // probe that is sent once more, for it is in doubt what it was answered
	)
	unknown := regexp.MustCompile(`\nhome |packet-limit=|answers-as=|set-ttl=|lowest-ttl=`)
	count := map[int]int{}
	check := func(s scenario, e detect.Evidence, seed uint64) {
		got := s.target.SYN - s.target.Unseen
		if unknown.MatchString(s.network) {
			return // this host can't know what the target sees: its answers are lost, or the TTLs are not those that were sent
		}
		if slices.Contains(s.with, "connections") {
			return // the program makes them one after the other, by another plan
		}
		if got <= most {
			count[got]++
			return
		}
		own := s
		own.with = append(slices.Clone(s.with), "alone")
		own.evidence(t, seed, nil)
		limit := own.target.SYN - own.target.Unseen + varies
		if e.Host != nil {
			for _, c := range e.Host.Controls {
				limit += c.SYNs
			}
		}
		unclear := func(x detect.Finding) bool { return x.Code == detect.PortUnclear }
		if slices.ContainsFunc(detect.Findings(e), unclear) {
			limit++ // only another flow tells, and the target has answered none of the trace's SYNs by its port's state
		}
		if count[-1]++; got > max(limit, most+anew) {
			t.Errorf("%s %s, seed %d: %d SYNs at the target, the trace and connections sent %d\n%s",
				s.file, s.name, seed, got, limit, s.network)
		}
	}
	for _, s := range scenarios(t) {
		e := s.evidence(t, 1, nil)
		check(s, e, 1)
	}
	t.Logf("scenarios by SYNs at the target (-1: more than %d, none of them by questions): %v", most, count)
	clear(count)
	for i := range *worlds {
		w := randomWorld(*firstWorld + uint64(i))
		if !w.plainDistance() {
			continue // how far away the target is isn't known before SYNs get there
		}
		s := w.scenario()
		e := s.evidence(t, w.seed, nil)
		check(*s, e, w.seed)
	}
	t.Logf("worlds: %v", count)
}

// Where nobody answers at all and one connection waits for the next, another flow is asked only near by: silence costs
// time at every hop.
func TestSilenceByConnections(t *testing.T) {
	network := ""
	for range 9 {
		network += "router * delay=1ms\n"
	}
	s := scenario{name: "silence", with: []string{"connections"}, network: network + "target 198.51.100.9 filtered\n"}
	asked := false
	for _, x := range s.evidence(t, 1, nil).Further {
		if x.Ask == detect.AskFlow {
			asked = true
			if x.Question.Options.MaxTTL > 5 {
				t.Errorf("another flow is asked up to hop %d", x.Question.Options.MaxTTL)
			}
		}
	}
	if !asked {
		t.Error("no other flow is asked")
	}
}
