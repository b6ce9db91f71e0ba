package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// TestThirtyTwoBits runs the program built for 32 bits, where the kernel's structures (times, control messages) have other
// sizes, through real routers: raw, by connections and inside one. amd64 kernels run 386 programs, unless they were told not
// to (ia32_emulation=off). Then qemu runs one for ARM, as far as it knows the calls: it has neither marks nor errors of
// connections, nor raw packets of IPv6.
func TestThirtyTwoBits(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("this machine runs no programs for 386")
	}
	path := filepath.Join(t.TempDir(), "tcptraceroute")
	build := func(arch string) {
		build := exec.Command("go", "build", "-o", path, "../cmd/tcptraceroute")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, out)
		}
	}
	emulated := []string(nil)
	build("386")
	if errors.Is(exec.Command(path, "--version").Run(), unix.ENOEXEC) {
		lab.NeedProgram(t, "qemu-arm")
		build("arm")
		path, emulated = "qemu-arm", []string{path}
	}
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		served(t, p.Target, 80)
		target := v.of(p.Target)
		hows := []string{"", "--track-port", "--in-session", "--unprivileged", "-A", "--mark 4294967295"}
		switch {
		case len(emulated) > 0 && v == ip6:
			return
		case len(emulated) > 0:
			hows = hows[:2]
		}
		for _, how := range hows {
			for port, state := range map[int]string{80: "open", 81: "closed"} {
				if how == "-A" {
					state = "closed" // an ACK is reset in any case
				}
				l := prepare(t, p.Source, path, strings.Join(append(emulated, fmt.Sprintf("-n %s %v %d", how, target, port)), " "))
				l.begin(t)
				got, want := l.outcome(), routers(p, v, 3, 3)+hop(4, fmt.Sprintf("%v [%s]", target, state), 3, "")
				if masked(got.stdout) != want || got.code != 0 {
					t.Errorf("%s, %s: %v\nwant %s", how, state, got, lines(want))
				}
			}
		}
	})
}
