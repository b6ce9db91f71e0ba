package test

import (
	"fmt"
	"strings"
	"testing"

	"tcptraceroute/lab"
)

// served is a listening port whose program speaks first, as many do.
func served(t *testing.T, h *lab.Host, port uint16) {
	t.Helper()
	l := h.Listen(t, port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 hello\r\n"))
			t.Cleanup(func() { c.Close() })
		}
	}()
}

// TestInSession traces inside a connection: to a program that speaks and one that doesn't, with and without SACK and
// timestamps, through a firewall that lets no second SYN pass; and by SYNs where there is no connection.
func TestInSession(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		served(t, p.Target, 80)
		p.Target.Listen(t, 82)
		p.Target.Filter(t, "input", "tcp dport 85 reject with icmpx type admin-prohibited")
		p.Routers[2].Drop(t, "tcp dport 86")
		// Stateful: only the first SYN of a connection, and what belongs to one.
		p.Routers[1].Filter(t, "forward", "tcp dport 82 tcp flags & (syn|ack) == syn ct state new accept",
			"tcp dport 82 ct state established accept", "tcp dport 82 drop")
		target := v.of(p.Target)
		open := routers(p, v, 3, 3) + hop(4, fmt.Sprintf("%v [open]", target), 3, "")
		launch(t, p.Source, fmt.Sprintf("-n --in-session %v 82", target)).outcome().expect(t, open, "", 0)
		// The connection is over, in order: the program was told of its end, and nothing was reset.
		if n := p.Target.Counters(t)["TcpEstabResets"]; n != 0 {
			t.Errorf("%d connections were reset", n)
		}
		launch(t, p.Source, fmt.Sprintf("-n --in-session %v 80", target)).outcome().expect(t, open, "", 0)
		for _, sysctl := range []string{"tcp_dsack", "tcp_sack", "tcp_timestamps"} {
			t.Run("without "+sysctl, func(t *testing.T) {
				p.Target.Sysctl(t, "net.ipv4."+sysctl, "0")
				launch(t, p.Source, fmt.Sprintf("-n --in-session %v", target)).outcome().expect(t, open, "", 0)
			})
		}
		for _, tt := range []struct {
			port         int
			why          string
			stdout, rest string
			code         int
		}{
			{81, fmt.Sprintf("refused, says %v", target), routers(p, v, 3, 3) + hop(4, fmt.Sprintf("%v [closed]", target), 3, ""), "", 0},
			{85, fmt.Sprintf("unreachable (code %d), says %v", pick(v, 13, 1), target), routers(p, v, 3, 3) + hop(4, target, 3, " !A"), "", 0},
			{86, "no answer", routers(p, v, 3, 3) + " 4  * * *\n", "Destination not reached\n", 1},
		} {
			got := launch(t, p.Source, fmt.Sprintf("-n -m 4 --in-session %v %d", target, tt.port)).outcome()
			got.expect(t, tt.stdout, tt.rest, tt.code)
			if want := fmt.Sprintf("No connection to probe in (%s): probing by SYNs\n", tt.why); !strings.HasPrefix(got.stderr, want) {
				t.Errorf("%v\nwant stderr to begin with %q", got, want)
			}
		}
	})
}

// TestMTU finds what narrows a path, whether that is told or not.
func TestMTU(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 5})
		served(t, p.Target, 80)
		target := v.of(p.Target)
		says := func(args, want string) {
			t.Helper()
			got := launch(t, p.Source, fmt.Sprintf("-n -q 1 %s %v", args, target)).outcome()
			if _, line, _ := strings.Cut(got.stdout, fmt.Sprintf(" 5  %v", target)); !strings.HasSuffix(line, " ms\n"+want+"\n") || got.code != 0 {
				t.Errorf("%s: %v\nwant %q", args, got, want)
			}
		}
		says("--mtu", "Path MTU 1500 bytes, as the interface's")
		p.Routers[2].IP(t, "link set eth1 mtu 1413")
		p.Routers[3].IP(t, "link set eth0 mtu 1413")
		told := fmt.Sprintf("Path MTU 1413 bytes: hop 3 (%v) says that larger packets don't fit", v.of(p.Hop(3)))
		says("--mtu", told)
		says("--mtu --in-session", told)
		explains := func(line, want, place string) {
			t.Helper()
			got := launch(t, p.Source, fmt.Sprintf("-n -w 1 -q 2 --explain --mtu %v", target)).outcome()
			words := strings.Join(strings.Fields(got.stdout), " ")
			if s := strings.Join(found(t, got), ", "); s != want || !strings.Contains(got.stdout, "\n"+line+"\n\n") || !strings.Contains(words, place) || got.code != 0 {
				t.Errorf("%v\nfound %s\nwant %s, %q after the hops, %q", got, s, want, line, place)
			}
		}
		hop3 := fmt.Sprintf("behind hop 3 (%v), and ", v.of(p.Hop(3)))
		explains(told, "mtu-limit certain, port-open certain", "Packets of more than 1413 bytes don't fit "+hop3+"it says so")
		t.Run("black hole", func(t *testing.T) {
			p.Routers[2].Filter(t, "output", "icmp type destination-unreachable drop", "icmpv6 type packet-too-big drop")
			hole := "Path MTU 1413 bytes, a black hole: larger packets vanish " + hop3 + "nobody says so"
			says("--mtu", hole)
			explains(hole, "mtu-black-hole likely, port-open certain", "Packets of more than 1413 bytes vanish "+hop3+"nobody says so")
		})
		t.Run("no connection", func(t *testing.T) {
			got := launch(t, p.Source, fmt.Sprintf("-n -q 1 --mtu %v 81", target)).outcome()
			if !strings.HasSuffix(got.stdout, told+"\n") || !strings.Contains(got.stderr, "measuring the MTU by SYNs with a payload, which may not pass\n") {
				t.Errorf("%v\nwant %q", got, told)
			}
		})
	})
}

// TestSessionRefusals are options that don't go together.
func TestSessionRefusals(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for args, want := range map[string]string{
		"--in-session -A":           "-A doesn't go with --in-session, whose probes are those of an ordinary connection\n",
		"--in-session --track-port": "--track-port doesn't go with --in-session, whose probes are those of an ordinary connection\n",
		"--mtu --json":              "--mtu doesn't go with --json: its result is a line of text\n",
		"--mtu --report":            "--mtu doesn't go with what goes round by round\n",
		"--unprivileged --mtu":      "--mtu needs raw sockets, which --unprivileged does without\n",
	} {
		if got := launch(t, p.Source, args+" 198.18.1.2").outcome(); got != (outcome{"", want, 1}) {
			t.Errorf("%s: %v\nwant %q", args, got, want)
		}
	}
}
