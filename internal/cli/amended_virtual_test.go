package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// injectedFirst has somebody answer in the target's name right before a router answers the first probe of a TTL. With
// the answer to the last one, text and tables are written already.
func injectedFirst(all []trace.Result, ttl uint8) []trace.Result {
	target := all[slices.IndexFunc(all, trace.Result.FromTarget)].Reply
	i := slices.IndexFunc(all, func(r trace.Result) bool {
		return r.Probe.TTL == ttl && r.Outcome == trace.Answered && r.Role == trace.RoleHop
	})
	reset, router := all[i], all[i]
	reset.Reply, reset.Evidence, reset.Recv = target.Clone(), trace.ByFlow, reset.Recv.Add(-time.Microsecond)
	reset.Reply.TCP.Flags = packet.RST | packet.ACK
	router.Outcome = trace.Duplicate
	return slices.Concat(all[:i], []trace.Result{reset, router}, all[i+1:])
}

// refusedLate has the first refusal of each kind of probe come when its probe has been given up.
func refusedLate(all []trace.Result, fate trace.Outcome) (made []trace.Result) {
	told := make(map[trace.Role]bool)
	for _, r := range all {
		if r.Outcome != trace.Answered || !r.Refused() || told[r.Role] {
			made = append(made, r)
			continue
		}
		told[r.Role] = true
		lost, late := r, r
		lost.Outcome, lost.Reply, lost.Evidence, lost.Recv = fate, nil, 0, time.Time{}
		late.Outcome = trace.Late
		made = append(made, lost, late)
	}
	return made
}

// TestAmended: whatever a notice amends reads the same in every format as if the answer had come at once, live, from
// the saved document, and from its lines.
func TestAmended(t *testing.T) {
	t.Parallel()
	const hops = "router 10.0.1.1 delay=1ms\nrouter 10.0.2.1 delay=1ms\n"
	for name, c := range map[string]struct {
		network string
		amend   func([]trace.Result) []trace.Result
	}{
		"a reset before the router's answer": {hops + "router 10.0.3.1\ntarget 198.51.100.9 delay=1ms",
			func(all []trace.Result) []trace.Result { return injectedFirst(all, 2) }},
		"a refusal that came late": {hops + "router 10.0.3.1 reject=13\ntarget 198.51.100.9",
			func(all []trace.Result) []trace.Result { return refusedLate(all, trace.Lost) }},
		"a refusal of a probe that was taken back": {hops + "router 10.0.3.1 reject=13\ntarget 198.51.100.9",
			func(all []trace.Result) []trace.Result { return refusedLate(all, trace.Unknown) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var plain *record.Trace
			runVirtualAs(t, c.network, 1, func(p *program) { p.keep = func(made *record.Trace) { plain = made } }, "--json")
			amended := *plain
			if amended.Results = c.amend(plain.Results); len(amended.Results) == len(plain.Results) {
				t.Fatal("nothing is amended")
			}
			for _, format := range options.FormatNames {
				want, _, _ := replayed(t, saved(t, plain), "--format", format)
				document := saved(t, &amended)
				got, _, _ := replayed(t, document, "--format", format)
				if got, want := spoken(t, format, got), spoken(t, format, want); !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n%v\nwant\n%v", format, got, want)
				}
				lines, _, _ := replayed(t, document, "--jsonl")
				if again, _, _ := replayed(t, lines, "--format", format); again != got {
					t.Errorf("%s: by lines\n%s\nby the document\n%s", format, again, got)
				}
			}
		})
	}
}

func saved(t *testing.T, made *record.Trace) string {
	t.Helper()
	var text bytes.Buffer
	if err := made.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// spoken is what a format says of hops, without notices.
func spoken(t *testing.T, format, text string) any {
	t.Helper()
	switch format {
	case "csv":
		rows := strings.Split(text, "\n")
		return slices.DeleteFunc(rows, func(row string) bool {
			return strings.Contains(row, ",duplicate,") || strings.Contains(row, ",late,")
		})
	case "jsonl":
		lines := strings.Split(strings.TrimSpace(text), "\n")
		text = lines[len(lines)-1]
	case "json", "atlas":
	default:
		return text
	}
	var all any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return withoutNotices(all)
}

// withoutNotices takes away what tells of notices and of the order of events.
func withoutNotices(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"notices", "order", "senders"} {
			delete(v, key)
		}
		for key := range v {
			v[key] = withoutNotices(v[key])
		}
	case []any:
		v = slices.DeleteFunc(v, func(x any) bool {
			m, ok := x.(map[string]any)
			return ok && (m["dup"] != nil || m["late"] != nil)
		})
		for i := range v {
			v[i] = withoutNotices(v[i])
		}
		return v
	}
	return v
}
