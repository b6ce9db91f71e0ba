package record_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"go.example/tcptraceroute/report/scene"
)

// undone is the text that a JSON string stands for.
func undone(t *testing.T, got, sent string) string {
	t.Helper()
	if utf8.ValidString(sent) {
		return got
	}
	s, err := strconv.Unquote(`"` + got + `"`)
	if err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	return s
}

// Whatever somebody calls himself, it is harmless on a terminal, it stays inside its string, and it reads back as it was.
func TestHostile(t *testing.T) {
	if n := len(scene.Hostile()); n < 120 {
		t.Fatalf("only %d hostile texts", n)
	}
	s := compiled(t, true)
	for _, text := range scene.Hostile() {
		out := document(t, scene.Attack(text))
		if err := scene.Harmless(out); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if i := bytes.IndexAny(out, "<>&"); i >= 0 {
			t.Fatalf("%q: %q may be markup", text, out[i])
		}
		validate(t, s, out)
		var doc struct {
			Target struct{ Host string }
			Hops   []struct {
				Responders []struct {
					Name string
					AS   struct{ Name string }
				}
				Probes []struct {
					Reply struct {
						Extensions struct{ Interfaces []struct{ Name string } }
					}
				}
			}
		}
		if err := json.Unmarshal(out, &doc); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		first := doc.Hops[0]
		ifName := strings.TrimRight(text[:min(len(text), 63)], "\x00")
		for _, c := range []struct{ what, got, want string }{
			{"host", doc.Target.Host, cmp.Or(text, "203.0.113.9")}, // as a scene has it

			{"name", first.Responders[0].Name, text},
			{"AS", first.Responders[0].AS.Name, text},
			{"interface", first.Probes[0].Reply.Extensions.Interfaces[0].Name, ifName},
		} {
			if got := undone(t, c.got, c.want); got != c.want {
				t.Errorf("%s: %q came back as %q", c.what, c.want, got)
			}
		}
		all := lines(t, scene.Attack(text))
		if err := scene.Harmless(all); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for line := range bytes.Lines(all) {
			if !json.Valid(line) {
				t.Errorf("%q: %q", text, line)
			}
		}
	}
}

// An interrupt, whenever it comes, leaves what can be read, with every probe in it.
func TestInterrupted(t *testing.T) {
	s := compiled(t, true)
	whole := scene.Scene{Network: "seed 5\nrouter 198.51.100.1 delay=20ms\nrouter *\nrouter 198.51.100.9 delay=9ms loss=0.3\ntarget 203.0.113.9 open"}
	reasons := make(map[string]bool)
	scene.Interrupts(whole, func(cut scene.Scene) {
		out := document(t, cut)
		validate(t, s, out)
		var doc struct {
			Outcome struct{ Reason string }
			Totals  struct{ Probes, Answered, Lost, Failed, Unknown, Sent int }
			Hops    []struct{ Probes []struct{ Fate string } }
			Beyond  []struct{ Probes []struct{ Fate string } }
		}
		if err := json.Unmarshal(out, &doc); err != nil {
			t.Fatal(err)
		}
		reasons[doc.Outcome.Reason] = true
		n := 0
		for _, h := range slices.Concat(doc.Hops, doc.Beyond) {
			n += len(h.Probes)
		}
		if sum := doc.Totals; n != sum.Probes || sum.Probes != sum.Sent || sum.Answered+sum.Lost+sum.Failed+sum.Unknown != n {
			t.Errorf("after %v: %d probes, totals %+v", cut.Stop, n, sum)
		}
		all := lines(t, cut)
		for line := range bytes.Lines(all) {
			validate(t, s, line)
		}
		if last := all[bytes.LastIndexByte(all[:len(all)-1], '\n')+1:]; !bytes.HasPrefix(last, []byte(`{"event":"end"`)) {
			t.Errorf("after %v the last line is %s", cut.Stop, last)
		}
	})
	if !reasons["complete"] || !reasons["interrupted"] {
		t.Errorf("the instants were badly chosen: %v", reasons)
	}
}
