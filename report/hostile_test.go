package report_test

import (
	"bytes"
	"regexp"
	"testing"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// ours is a colour of our own.
var ours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// Whatever somebody calls himself, the text of a trace does nothing to a terminal but to colour what is ours to colour.
func TestHostileClassic(t *testing.T) {
	for _, text := range scene.Hostile() {
		for _, color := range []bool{false, true} {
			var out bytes.Buffer
			scene.Attack(text).Play(t, func(run *report.Run, t *trace.Trace) report.Writer {
				return report.NewClassic(&out, t, report.ClassicOptions{
					DNAT: true, Name: run.Name, Extensions: true, Owner: run.Owner, Color: color,
				})
			})
			b := out.Bytes()
			if color {
				b = ours.ReplaceAll(b, nil)
			}
			if err := scene.Harmless(b); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if lines := bytes.Count(b, []byte("\n")); lines < 4 || lines > 9 {
				t.Errorf("%q makes %d lines:\n%s", text, lines, b)
			}
		}
	}
}
