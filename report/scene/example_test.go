package scene_test

import (
	"os"
	"testing"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// In a test of a report, a scene is played in a simulated network and fed to it.
func ExampleScene_Play() {
	test := func(t *testing.T) {
		s := scene.Scene{Network: "router 10.0.0.1 delay=1ms\ntarget 203.0.113.9 delay=5ms closed open=443"}
		s.Play(t, func(run *report.Run, found *trace.Trace) report.Writer {
			return report.NewClassic(os.Stdout, found, report.ClassicOptions{})
		})
	}
	_ = test // is called by go test
}
