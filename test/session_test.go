package test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
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
			got := inConnection(t, p.Source, fmt.Sprintf("-n -q 1 %s %v", args, target))
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
		for _, format := range []string{"--json", "--jsonl"} { // and a saved result is shown as the live one was
			saved := inConnection(t, p.Source, fmt.Sprintf("-n -q 1 --mtu --in-session %s %v", format, target))
			file := filepath.Join(t.TempDir(), "saved")
			if err := os.WriteFile(file, []byte(saved.stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			got := launch(t, p.Source, "--replay "+file).outcome()
			if !strings.HasSuffix(got.stdout, "\n"+told+"\n") || got.code != 0 || !strings.Contains(saved.stdout, `"in_session"`) {
				t.Errorf("%s: %v\nshown as %v\nwant %q", format, saved, got, told)
			}
		}
		explains := func(line, want, place string) {
			t.Helper()
			got := inConnection(t, p.Source, fmt.Sprintf("-n -w 1 -q 2 --explain --mtu %v", target))
			words := strings.Join(strings.Fields(got.stdout), " ")
			if s := strings.Join(found(t, got), ", "); s != want || !strings.Contains(got.stdout, "\n"+line+"\n\n") || !strings.Contains(words, place) || got.code != 0 {
				t.Errorf("%v\nfound %s\nwant %s, %q after the hops, %q", got, s, want, line, place)
			}
		}
		hop3 := fmt.Sprintf("beyond hop 3 (%v), and ", v.of(p.Hop(3)))
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

// inConnection runs the program until its probes in a connection were answered: on a busy machine answers may be too late,
// and it goes on by SYNs then, which it says.
func inConnection(t *testing.T, h *lab.Host, args string) (got outcome) {
	t.Helper()
	eventually(t, "probes in a connection: "+args, func() bool {
		got = launch(t, h, args).outcome()
		return !strings.Contains(got.stderr, "the target does not answer in it")
	})
	return got
}

// TestSessionRefusals are options that don't go together.
func TestSessionRefusals(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for args, want := range map[string]string{
		"--in-session -A":           "-A doesn't go with --in-session, whose probes are those of an ordinary connection\n",
		"--in-session --track-port": "--track-port doesn't go with --in-session, whose probes are those of an ordinary connection\n",
		"--mtu --csv":               "--mtu doesn't go with --csv: its result is shown as text, json or jsonl\n",
		"--mtu --report":            "--mtu doesn't go with --report, which goes round by round\n",
		"--unprivileged --mtu":      "--mtu needs raw sockets, which --unprivileged does without\n",
	} {
		if got := launch(t, p.Source, args+" 198.18.1.2").outcome(); got != (outcome{"", want, 1}) {
			t.Errorf("%s: %v\nwant %q", args, got, want)
		}
	}
}

// serve has a program listen on a port and do something with each connection.
func serve(t *testing.T, h *lab.Host, port uint16, do func(c *net.TCPConn)) {
	t.Helper()
	l := h.Listen(t, port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			do(c.(*net.TCPConn))
		}
	}()
}

// What programs and networks do to a connection as soon as it is open.
const (
	portKept = 80 + iota
	portClosed
	portReset
	portBanner
	portLater
	portHalf
	portBannerReset
	portUnread  // a firewall swallows what is sent in the connection
	portRefused // a firewall resets it then
	portUnended // the ACK that ends the handshake is lost
	portEnd
)

// fickle has the target's programs and the router in front of it do so.
func fickle(t *testing.T, p *lab.Path) {
	t.Helper()
	reset := func(c *net.TCPConn) {
		c.SetLinger(0)
		c.Close()
	}
	for port, do := range map[uint16]func(c *net.TCPConn){
		portKept:   func(*net.TCPConn) {},
		portClosed: func(c *net.TCPConn) { c.Close() },
		portReset:  reset,
		portBanner: func(c *net.TCPConn) {
			c.Write([]byte("421 too many connections\r\n"))
			c.Close()
		},
		portLater: func(c *net.TCPConn) {
			time.AfterFunc(300*time.Millisecond, func() { c.Close() })
		},
		portHalf: func(c *net.TCPConn) { c.CloseWrite() },
		portBannerReset: func(c *net.TCPConn) {
			c.Write([]byte("421 go away\r\n"))
			reset(c)
		},
		portUnread:  func(*net.TCPConn) {},
		portRefused: func(*net.TCPConn) {},
		portUnended: func(*net.TCPConn) {},
	} {
		serve(t, p.Target, port, do)
	}
	const hasData = "tcp flags & (syn|ack|psh) == ack|psh"
	p.Target.Filter(t, "input", fmt.Sprintf("tcp dport %d %s drop", portUnread, hasData),
		fmt.Sprintf("tcp dport %d %s reject with tcp reset", portRefused, hasData),
		fmt.Sprintf("tcp dport %d tcp flags & (syn|ack|psh|fin|rst) == ack drop", portUnended))
}

// leftConnection is the line that says why the trace goes on by SYNs.
var leftConnection = regexp.MustCompile(`(?m)^(?:No connection to probe|The connection can't be probed) in \((.*)\): probing by SYNs.*\n`)

// TestInSessionFickle: whatever becomes of the connection, the hops are those of a trace by SYNs, and so is the port's state.
// Where the routers limit their answers as Linux does by default, too.
func TestInSessionFickle(t *testing.T) {
	why := map[int]string{
		portReset: "reset", portBannerReset: "reset", portRefused: "reset", portUnread: "the target does not answer in it",
	}
	families(t, func(t *testing.T, v family) {
		for hops, first := range map[int]int{1: portClosed, 3: portReset, 7: portBanner} {
			t.Run(fmt.Sprintf("%d hops", hops), func(t *testing.T) {
				t.Parallel()
				p := lab.Chain(t, lab.ChainOptions{Hops: hops})
				fickle(t, p)
				target := v.of(p.Target)
				want := routers(p, v, hops-1, 3) + hop(hops, fmt.Sprintf("%v [open]", target), 3, "")
				check := func(port int) {
					t.Helper()
					got := launch(t, p.Source, fmt.Sprintf("-n --in-session %v %d", target, port)).outcome()
					rest := leftConnection.ReplaceAllString(got.stderr, "")
					said := leftConnection.FindStringSubmatch(got.stderr)
					left := "" // a reset may come too late to be seen
					if said != nil {
						left = said[1]
					}
					early := left == "" && port != portUnread && port != portRefused
					if masked(got.stdout) != want || strings.Count(rest, "\n") != 2 || got.code != 0 ||
						!early && (why[port] == "" || !strings.HasPrefix(left, why[port])) {
						t.Errorf("port %d: %v\nwant\n%sleft for %q", port, got, lines(want), why[port])
					}
				}
				t.Run("routers limit their answers", func(t *testing.T) {
					p.AllowRateLimits()
					for _, r := range p.Routers {
						r.Sysctl(t, "net.ipv4.icmp_ratelimit", "1000")
						r.Sysctl(t, "net.ipv4.icmp_ratemask", "6168")
						r.Sysctl(t, "net.ipv6.icmp.ratelimit", "1000")
					}
					check(first)
				})
				for port := portKept; port < portEnd; port++ {
					check(port)
				}
				peer := run(t, p.Source, "traceroute", "-T", "-n", "-p", fmt.Sprint(portClosed), "-m", "12", target.String())
				rows := strings.Split(strings.TrimSpace(peer.stdout), "\n")
				if last := strings.Fields(rows[len(rows)-1]); len(rows) != hops+1 || last[1] != target.String() {
					t.Errorf("traceroute -T: %v", peer)
				}
			})
		}
	})
}

// TestInSessionFormats: programs read the same state as people.
func TestInSessionFormats(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		fickle(t, p)
		target := v.of(p.Target)
		for _, port := range []int{portKept, portClosed, portReset} {
			var doc struct {
				Outcome struct {
					State string
					TTL   int
				}
				Hops []struct {
					Probes []struct {
						Reply struct{ TCP *struct{ State string } }
					}
				}
				Findings []struct{ Code, Title string }
			}
			got := launch(t, p.Source, fmt.Sprintf("-n --in-session --json %v %d", target, port)).outcome()
			if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
				t.Fatalf("%v: %v", err, got)
			}
			if doc.Outcome.State != "open" || doc.Outcome.TTL != 3 || len(doc.Hops) != 3 {
				t.Errorf("port %d: state %q at TTL %d, %d hops", port, doc.Outcome.State, doc.Outcome.TTL, len(doc.Hops))
			}
			for _, probe := range doc.Hops[len(doc.Hops)-1].Probes {
				if probe.Reply.TCP == nil || probe.Reply.TCP.State != "open" {
					t.Errorf("port %d: %v", port, probe.Reply.TCP)
				}
			}
			if len(doc.Findings) != 1 || doc.Findings[0].Code != "port-open" || port == portKept && strings.Contains(doc.Findings[0].Title, "SYN") {
				t.Errorf("port %d: %v", port, doc.Findings)
			}
			for format, open := range map[string]*regexp.Regexp{
				"csv": regexp.MustCompile(`(?m)^3,.*,open,`), "dot": regexp.MustCompile(`open`), "mermaid": regexp.MustCompile(`open`), "svg": regexp.MustCompile(`open`),
			} {
				got := launch(t, p.Source, fmt.Sprintf("-n --in-session --format %s %v %d", format, target, port)).outcome()
				if !open.MatchString(got.stdout) || strings.Contains(got.stdout, "unknown, ACK") || got.code != 0 {
					t.Errorf("port %d, %s: %v", port, format, got)
				}
			}
		}
	})
}

// TestMTUFickle: no MTU is wrong, whatever becomes of the connection.
func TestMTUFickle(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		fickle(t, p)
		serve(t, p.Target, 90, func(c *net.TCPConn) { // in the midst of the search
			time.AfterFunc(700*time.Millisecond, func() {
				c.SetLinger(0)
				c.Close()
			})
		})
		p.Routers[1].IP(t, "link set eth1 mtu 1413")
		p.Routers[2].IP(t, "link set eth0 mtu 1413")
		p.Routers[1].Filter(t, "output", "icmp type destination-unreachable drop", "icmpv6 type packet-too-big drop")
		hole := fmt.Sprintf("Path MTU 1413 bytes, a black hole: larger packets vanish beyond hop 2 (%v), and nobody says so\n", v.of(p.Hop(2)))
		const least = "Path MTU 1413 bytes at least: larger SYNs are not answered, which may have another reason\n"
		const unknown = "Path MTU not known: the target did not answer probes with a payload\n" // a busy machine's answers are late
		var all sideBySide
		for port := portKept; port <= 90; port++ {
			for _, args := range []string{"--mtu", "--mtu --in-session"} {
				all.begin(t, fmt.Sprintf("%d %s", port, args), func(t *testing.T) func(t *testing.T) {
					l := launch(t, p.Source, fmt.Sprintf("-n -q 1 %s %v %d", args, v.of(p.Target), port))
					return func(t *testing.T) {
						got := l.outcome()
						if line := got.stdout[strings.LastIndex(strings.TrimSuffix(got.stdout, "\n"), "\n")+1:]; line != hole && line != least && line != unknown || got.code != 0 {
							t.Errorf("%v\nwant %q, %q or %q", got, hole, least, unknown)
						}
					}
				})
			}
		}
		all.finish(t)
	})
}
