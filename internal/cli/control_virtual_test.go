package cli

import (
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/wire"
)

// A path of 60 ms.
const (
	cleanPath = "router 10.0.1.1 delay=10ms\nrouter 10.0.2.1 delay=10ms\n" +
		"router 10.0.3.1 delay=5ms\ntarget 198.51.100.9 delay=5ms"
	roundTrip = 60 * time.Millisecond
)

// followed is an ordinary connection whose packets were followed.
func followed(state wire.AttemptState, waited time.Duration, syns int, came ...wire.AttemptCame) wire.Attempt {
	return wire.Attempt{
		State: state, Waited: waited, SYNs: syns, Followed: true,
		Left: &wire.Leaving{Interfaces: []string{"eth0"}}, Came: came,
	}
}

// The ordinary connection goes beside the trace: it begins with it, and a clean path takes no longer for it.
func TestControlTime(t *testing.T) {
	t.Parallel()
	plain := runVirtual(t, cleanPath, 1)
	without := runVirtual(t, cleanPath, 1, "--explain")
	v := runVirtualWith(t, cleanPath, []wire.Attempt{followed(wire.AttemptOpened, roundTrip, 1)}, "--explain")
	if len(v.asked) != 1 || v.asked[0].After(v.sent[0].At) {
		t.Errorf("asked at %v, the first probe went at %v", v.asked, v.sent[0].At)
	}
	if v.took != without.took || v.took > plain.took+roundTrip+10*time.Millisecond {
		t.Errorf("took %v; %v without the connection, %v without --explain", v.took, without.took, plain.took)
	}
	if !strings.Contains(v.stdout, "\n\nAn ordinary connection from this host opens in 60 ms.\n\nPort 443 is open") {
		t.Errorf("%s%s", v.stdout, v.stderr)
	}
	// Where nothing comes back, it waits while the trace does.
	filtered := strings.Replace(cleanPath, "10.0.2.1", "10.0.2.1 drop=443", 1)
	without = runVirtual(t, filtered, 1, "--explain")
	v = runVirtualWith(t, filtered, []wire.Attempt{followed(wire.AttemptSilent, measure.ControlWait, 3)}, "--explain")
	if len(v.asked) != 1 || v.took != without.took || !strings.Contains(v.stdout, "gets no answer in 2.9 s, to 3 SYNs.") {
		t.Errorf("took %v; %v without the connection\n%s%s", v.took, without.took, v.stdout, v.stderr)
	}
}

// A second connection is asked for only if the first fares otherwise than the trace, and nothing proves why.
func TestControlAgain(t *testing.T) {
	t.Parallel()
	opened, silent := followed(wire.AttemptOpened, roundTrip, 1), followed(wire.AttemptSilent, measure.ControlWait, 3)
	came := wire.AttemptCame{Reply: packet.Reply{
		Kind: packet.KindTCP, Checksum: packet.CheckGood, TCP: packet.TCP{Flags: packet.SYN | packet.ACK},
	}}
	signed := came
	signed.Reply.TCP.Options, _ = signed.Reply.TCP.Options.With(19, make([]byte, 16)...)
	answered := followed(wire.AttemptSilent, measure.ControlWait, 3, came, came)
	refused := followed(wire.AttemptSilent, measure.ControlWait, 3, signed, signed)
	for _, tt := range []struct {
		name     string
		attempts []wire.Attempt
		asked    int
		want     string
	}{
		{"it opens", []wire.Attempt{opened, opened}, 1, "[port-open, certain]"},
		{"lost, and opens", []wire.Attempt{silent, opened}, 2, "[broken-branch, possible]"},
		{"silent, and silent", []wire.Attempt{silent, silent}, 2, "[broken-branch, possible]"},
		{"answers are dropped here", []wire.Attempt{answered, opened}, 1, "[this-host, certain]"},
		{"answers are signed", []wire.Attempt{refused, opened}, 1, "[header-rewritten, likely]"},
		{"it can't be asked for", nil, 0, "[port-open, certain]"},
	} {
		v := runVirtualWith(t, cleanPath, tt.attempts, "--explain")
		if len(v.asked) != tt.asked || !strings.Contains(strings.Join(strings.Fields(v.stdout), " "), tt.want) {
			t.Errorf("%s: asked %d times, want %d\n%s%s", tt.name, len(v.asked), tt.asked, v.stdout, v.stderr)
		}
	}
}

// The JSON has what came of the connection.
func TestControlJSON(t *testing.T) {
	t.Parallel()
	silent := strings.Replace(cleanPath, "10.0.1.1", "10.0.1.1 drop", 1)
	v := runVirtualWith(t, silent, []wire.Attempt{followed(wire.AttemptSilent, measure.ControlWait, 3)}, "--explain", "--json")
	if !strings.Contains(v.stdout, `"controls": [`) || !strings.Contains(v.stdout, `"outcome": "silent"`) {
		t.Errorf("%s", v.stdout)
	}
}

// With a mark there is an ordinary connection where it can be set. Else it is said why there is none: as text, and in JSON.
func TestControlWithMark(t *testing.T) {
	t.Parallel()
	const why = "What becomes of an ordinary connection with this mark isn't known"
	attempts := []wire.Attempt{followed(wire.AttemptOpened, roundTrip, 1)}
	m := &simMedium{attemptErr: wire.ErrPrivilege}
	v := runVirtualOn(t, cleanPath, 1, m, func(*program) {}, "--explain", "--json", "--mark", "7")
	if strings.Count(v.stderr, why) != 1 || strings.Count(v.stdout, why) != 1 {
		t.Errorf("asked %d times\n%s%s", len(v.asked), v.stdout, v.stderr)
	}
	if v = runVirtualWith(t, cleanPath, attempts, "--explain", "--json", "--mark", "7"); len(v.asked) != 1 || strings.Contains(v.stdout, `"unknown": [`) {
		t.Errorf("asked %d times: %s", len(v.asked), v.stdout)
	}
}
