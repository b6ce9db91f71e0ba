package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// What an ordinary user gets: the program without any right, run by somebody who has none.

// noRights runs the program as nobody, without capabilities.
func noRights(t testing.TB, h *lab.Host, path, args string) outcome {
	t.Helper()
	return finish(t, func(ctx context.Context) *lab.Cmd {
		return h.Command(ctx, path, strings.Fields(args)...).As(ordinary, ordinary)
	})
}

const byConnections = "Tracing without raw sockets: by connections, one probe at a time, waiting up to 850 ms for each answer\n"

// oneSYNEach runs the program as an ordinary user, and counts the SYNs that the kernel sent again.
func oneSYNEach(t *testing.T, p *lab.Path, path, args string) (got outcome, repeated int) {
	t.Helper()
	capture := p.Source.Interfaces[0].Capture(t)
	got = noRights(t, p.Source, path, args)
	syns := make(map[uint32]bool)
	for _, port := range []uint16{80, 81, 82, 83, 84, 85, 86} {
		for _, probe := range probesTo(capture.Stop(t), port) {
			if syns[probe.TCP.Seq] {
				repeated++
			}
			syns[probe.TCP.Seq] = true
		}
	}
	return got, repeated
}

// onlyLacks reports whether a list is another one but for answers that are missing in it, each a star.
func onlyLacks(got, want string) bool {
	g, w := strings.Split(masked(got), "\n"), strings.Split(masked(want), "\n")
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		left := strings.Fields(w[i])
		for _, field := range strings.Fields(g[i]) {
			at := slices.Index(left, field)
			switch {
			case at >= 0:
				left = slices.Delete(left, at, at+1)
			case field != "*":
				return false
			}
		}
	}
	return strings.Count(got, "*") > strings.Count(want, "*")
}

// TestUnprivileged traces as an ordinary user and as root: hops, states and codes are the same, each probe is one SYN, and no
// connection ever comes to the target's program.
func TestUnprivileged(t *testing.T) {
	lab.NeedRoot(t)
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 5, Silent: []int{2}})
		p.Target.Listen(t, 80)
		p.Routers[3].Drop(t, "tcp dport 82")
		p.Routers[3].Reset(t, "tcp dport 83")
		p.Target.Filter(t, "input", "tcp dport 85 reject", "tcp dport 86 reject with tcp reset")
		path := program(t)
		same := func(t *testing.T, args string) {
			t.Helper()
			var root, got outcome
			eventually(t, "no SYN is sent again, and no answer missing", func() bool {
				root = launch(t, p.Source, args).outcome()
				var repeated int
				got, repeated = oneSYNEach(t, p, path, args)
				// Where the program got no processor for 150 ms the kernel was sooner to send a SYN again, and where routers got
				// none their answers were too late.
				return repeated == 0 && !onlyLacks(got.stdout, root.stdout) && !onlyLacks(root.stdout, got.stdout)
			})
			if masked(got.stdout) != masked(root.stdout) || got.code != root.code {
				t.Errorf("%v\nas root: %v", got, root)
			}
			rest, ok := strings.CutPrefix(got.stderr, byConnections)
			if _, after, _ := strings.Cut(rest, "\n"); !ok || !strings.HasSuffix(root.stderr, after) {
				t.Errorf("%v\nas root: %v", got, root)
			}
			leftAlone(t, p.Target)
		}
		for _, args := range []string{"80", "81", "82", "83", "85", "86", "80 -f 3 -q 5 -F -t 16", "81 -m 3"} {
			t.Run(args, func(t *testing.T) { same(t, fmt.Sprintf("-n -m 7 %v %s", v.of(p.Target), args)) })
		}
		for _, code := range pick(v, []uint8{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, []uint8{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Run(fmt.Sprintf("code %d", code), func(t *testing.T) {
				p.Routers[3].Reject(t, "tcp dport 80", code, code)
				same(t, fmt.Sprintf("-n -q 1 -f 3 %v", v.of(p.Target)))
			})
		}
		t.Run("--track-port", func(t *testing.T) {
			args := fmt.Sprintf("-n --track-port -m 7 %v", v.of(p.Target))
			var root, got outcome
			eventually(t, "no answer is missing", func() bool {
				root, got = launch(t, p.Source, args).outcome(), noRights(t, p.Source, path, args)
				return !onlyLacks(got.stdout, root.stdout) && !onlyLacks(root.stdout, got.stdout)
			})
			if masked(got.stdout) != masked(root.stdout) || got.code != 0 ||
				!strings.HasPrefix(got.stderr, "Tracing without raw sockets: by connections, each from a port of its own, ") {
				t.Errorf("%v\nas root: %v", got, root)
			}
			leftAlone(t, p.Target)
		})
		t.Run("a port of one's own", func(t *testing.T) {
			got := noRights(t, p.Source, path, fmt.Sprintf("-n -f 5 -p 4711 -i eth0 -s %v %v", v.of(p.Source), v.of(p.Target)))
			want := outcome{hop(5, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, ""), "", 0}
			got.expect(t, want.stdout, want.stderr, want.code)
			if line := fmt.Sprintf("Selected device eth0, address %v, port 4711 for", v.of(p.Source)); !strings.Contains(got.stderr, line) {
				t.Errorf("%v\nwant %q", got, line)
			}
		})
		t.Run("nobody on the link", func(t *testing.T) {
			p.Source.Default(t, p.Links[0].A)
			nobody := pick(v, "198.18.1.77", "2001:db8:1::77")
			got := noRights(t, p.Source, path, "-n -q 1 -m 1 "+nobody)
			if got.stdout != " 1  <EHOSTUNREACH>\n" || !strings.Contains(got.stderr, "next hop "+nobody+" on eth0 does not answer") {
				t.Error(got)
			}
		})
	})
}

// TestUnprivilegedOdd traces to what isn't behind routers, and where there is no way at all.
func TestUnprivilegedOdd(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Source.Listen(t, 80)
	p.Routers[0].Listen(t, 80)
	p.Source.Add(t, "route", "unreachable 198.18.50.1")
	p.Source.Add(t, "route", "prohibit 198.18.50.2")
	p.Source.Add(t, "-6 route", "unreachable 2001:db8:50::1")
	path := program(t)
	eth0 := p.Source.Interfaces[0]
	neighbour := eth0.Peer.LinkLocal.String() + "%eth0"
	for _, tt := range []struct{ args, stdout string }{
		{"127.0.0.1", hop(1, "127.0.0.1 [open]", 3, "")},
		{"127.0.0.1 81", hop(1, "127.0.0.1 [closed]", 3, "")},
		{"::1", hop(1, "::1 [open]", 3, "")},
		{"::1 81", hop(1, "::1 [closed]", 3, "")},
		{eth0.V4.String(), hop(1, eth0.V4.String()+" [open]", 3, "")},
		{neighbour, hop(1, neighbour+" [open]", 3, "")},
		{neighbour + " 81", hop(1, neighbour+" [closed]", 3, "")},
	} {
		noRights(t, p.Source, path, "-n "+tt.args).expect(t, tt.stdout, "", 0)
	}
	for _, tt := range []struct{ args, stderr string }{
		{"198.18.50.1", "connect: No route to host: this host's own routing refuses it, see ip rule and ip route get 198.18.50.1 ipproto tcp dport 80\n"},
		{"198.18.50.2", "connect: Permission denied: this host's own routing refuses it, see ip rule and ip route get 198.18.50.2 ipproto tcp dport 80\n"},
		{"2001:db8:50::1", "connect: No route to host: this host's own routing refuses it, see ip rule and ip route get 2001:db8:50::1 ipproto tcp dport 80\n"},
		{"-p 80 198.18.3.2", "Sorry, must be root to use -p 80 (it is the source port; for the target's port: tcptraceroute HOST 80)\n"},
		{"-p 80 198.18.3.2:443", "Sorry, must be root to use -p 80\n"},
		{"-P 4433 198.18.3.2", "-P needs raw sockets (it is the source port; for the target's port: tcptraceroute HOST 4433), and they need root or the capability CAP_NET_RAW: run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute\n"},
		{"-s 198.18.1.99 198.18.3.2", "Bad source address: 198.18.1.99 is not an address of this host\n"},
		{"-i eth9 198.18.3.2", "error opening device eth9: eth9: No such device exists (No such device exists)\n"},
	} {
		code := 1
		if strings.HasPrefix(tt.stderr, "connect: ") {
			code = 2
		}
		if got := noRights(t, p.Source, path, "-n "+tt.args); got != (outcome{"", tt.stderr, code}) {
			t.Errorf("%s: %v\nwant %q", tt.args, got, tt.stderr)
		}
	}
	for _, args := range []string{"-A", "-E", "-l 100", "-t 1", "-P 5000", "--dnat", "--no-dnat-strict", "--loose", "--mark 7", "--syn linux", "--mss 1400", "--accecn", "--report", "--pcap -"} {
		option, _, _ := strings.Cut(args, " ")
		switch option {
		case "-t":
			option += " with the ECN bits"
		case "--syn":
			option = args
		}
		want := option + " needs raw sockets, and they need root or the capability CAP_NET_RAW: run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute\n"
		if got := noRights(t, p.Source, path, args+" 198.18.3.2 25"); got != (outcome{"", want, 1}) {
			t.Errorf("%s: %v\nwant %q", args, got, want)
		}
		want = option + " needs raw sockets, which --unprivileged does without\n"
		if got := launch(t, p.Source, "--unprivileged "+args+" 198.18.3.2").outcome(); got != (outcome{"", want, 1}) {
			t.Errorf("%s: %v\nwant %q", args, got, want)
		}
	}
	got := launch(t, p.Source, "-n --unprivileged -d -q 1 198.18.3.2 81").outcome()
	if want := "debug: received: 198.18.1.2 time exceeded (type 11 code 0): answers ttl 1\n"; !strings.Contains(got.stderr, want) ||
		!strings.Contains(got.stderr, "debug: received: 198.18.3.2 TCP [closed]: answers ttl 3\n") {
		t.Errorf("%v\nwant %q", got, want)
	}
	leftAlone(t, p.Target)
}
