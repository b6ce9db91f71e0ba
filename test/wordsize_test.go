package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"go.example/tcptraceroute/lab"
)

// TestThirtyTwoBits runs the program built for 32 bits, where the kernel's structures (times, control messages) have other
// sizes, through real routers: raw, by connections and inside one. amd64 kernels run 386 programs.
func TestThirtyTwoBits(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("this machine runs no programs for 386")
	}
	path := filepath.Join(t.TempDir(), "tcptraceroute")
	build := exec.Command("go", "build", "-o", path, "../cmd/tcptraceroute")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=386")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		served(t, p.Target, 80)
		target := v.of(p.Target)
		for _, how := range []string{"", "--unprivileged", "--in-session", "--track-port", "-A", "--mark 4294967295"} {
			for port, state := range map[int]string{80: "open", 81: "closed"} {
				if how == "-A" {
					state = "closed" // an ACK is reset in any case
				}
				l := prepare(t, p.Source, path, fmt.Sprintf("-n %s %v %d", how, target, port))
				l.begin(t)
				got, want := l.outcome(), routers(p, v, 3, 3)+hop(4, fmt.Sprintf("%v [%s]", target, state), 3, "")
				if masked(got.stdout) != want || got.code != 0 {
					t.Errorf("%s, %s: %v\nwant %s", how, state, got, lines(want))
				}
			}
		}
	})
}
