package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// manyLab is a chain whose target has all addresses of 198.19.0.0/16 and 2001:db8:ff::/48.
func manyLab(t *testing.T) *lab.Path {
	t.Helper()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.IP(t, "route add local 198.19.0.0/16 dev lo")
	p.Target.IP(t, "-6 route add local 2001:db8:ff::/48 dev lo")
	return p
}

// listFile writes a list, and returns its name.
func listFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTargetLists: a list of all kinds is traced, its bad lines are named, and nothing is sent to what is excluded.
func TestTargetLists(t *testing.T) {
	t.Parallel()
	bin := program(t)
	p := manyLab(t)
	p.Target.Listen(t, 443)
	p.Hop(2).Drop(t, "ip daddr 198.19.9.0/24")
	onlyFiles(t, p.Source, "198.19.1.1 www.example\n198.19.7.7 never.example\n")
	list := listFile(t, "\ufeff# all kinds\r\n198.19.0.1\r\n198.19.2.0/30 443 # a network\nwww.example\n[2001:db8:ff::5]:443\n"+
		"198.19.9.1\n198.19.9.2\n198.19.9.3\nnever.example\n198.19.7.0/24\n198.19.0.1 80\nno/net\n1.2.3\na b c\n")
	never := listFile(t, "198.19.7.0/24\n")
	capture := p.Links[0].A.Capture(t)
	got := run(t, p.Source, bin, "-n", "--targets", list, "--exclude", never)
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	for i, line := range lines {
		if j := strings.Index(line, " hops "); j > 0 {
			lines[i] = line[:j+5] // what follows is a time
		}
	}
	last := lines[len(lines)-1]
	lines = lines[:len(lines)-1]
	slices.Sort(lines)
	want := []string{
		"198.19.0.1 80 closed 3 hops", "198.19.2.0 443 open 3 hops", "198.19.2.1 443 open 3 hops", "198.19.2.2 443 open 3 hops",
		"198.19.2.3 443 open 3 hops", "198.19.9.1 80 no answer, silent after hop 2 (198.18.2.2)",
		"198.19.9.2 80 no answer, silent after hop 2 (198.18.2.2)", "198.19.9.3 80 no answer, silent after hop 2 (198.18.2.2)",
		"2001:db8:ff::5 443 open 3 hops", "never.example 80 not traced: the name leads to an address that is excluded",
		"www.example 80 closed 3 hops",
	}
	if !slices.Equal(lines, want) || last != "3 of 3 unreachable targets are silent after 198.18.2.2" || got.code != 1 {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for _, bad := range []string{":12: not a network (as 10.0.0.0/28 is): no/net\n", ":13: not an IPv4 address: 1.2.3\n",
		":14: after host and port nothing may follow: c\n", "7 reached, 3 not reached, 1 named twice, 257 excluded, 3 unreadable\n"} {
		if !strings.Contains(got.stderr, bad) {
			t.Errorf("standard error lacks %q:\n%s", bad, got.stderr)
		}
	}
	excluded := netip.MustParsePrefix("198.19.7.0/24")
	sent := 0
	for _, c := range capture.Stop(t) {
		var r packet.Reply
		if c.Out && packet.Parse(c.Data, &r) == nil && r.Kind == packet.KindTCP {
			sent++
			if excluded.Contains(r.IP.Dst) {
				t.Fatalf("a packet to %v", r.IP.Dst)
			}
		}
	}
	if sent < 50 {
		t.Errorf("only %d probes were captured", sent)
	}
}

// TestTargetListsExplained: targets that share an end are explained, and the verdict over all says why the paths end.
func TestTargetListsExplained(t *testing.T) {
	t.Parallel()
	bin := program(t)
	p := manyLab(t)
	p.Target.Listen(t, 443)
	p.Hop(1).Drop(t, "ip daddr 198.19.9.0/24 tcp dport 80")
	got := run(t, p.Source, bin, "-n", "-w", "1", "-m", "12", "--explain", "--targets",
		listFile(t, "198.19.1.1 443\n198.19.9.1\n198.19.9.2\n"))
	const verdict = "2 of 2 unreachable targets are silent after 198.18.1.2: " +
		"their port is filtered beyond it, likely (all explained)\n"
	const finding = "\n  Port 80 is silently dropped beyond hop 1 (198.18.1.2), on the way there or back. [filtered-port, likely]\n"
	if !strings.HasSuffix(got.stdout, verdict) || strings.Count(got.stdout, finding) != 2 || got.code != 1 ||
		strings.Count(got.stdout, " 80 no answer, silent after hop 1 (198.18.1.2)\n") != 2 {
		t.Errorf("%s", got)
	}
	if !strings.Contains(got.stderr, "Explaining 2 of 2 targets") || strings.Count(got.stderr, ": Up to ") != 2 {
		t.Errorf("%s", got)
	}
}

// TestTargetListsKilled: a run that is killed again and again, and goes on by --resume, traces every target exactly once, and
// leaves whole lines but for the last one.
func TestTargetListsKilled(t *testing.T) {
	t.Parallel()
	bin := program(t)
	p := manyLab(t)
	const targets = 300
	text := ""
	for i := range targets {
		text += fmt.Sprintf("198.19.%d.%d\n", i%250, 1+i/250)
	}
	list, dir := listFile(t, text), t.TempDir()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	rng := rand.New(rand.NewPCG(7, 7))
	args := []string{"-n", "--targets", list, "--json", "--rate", "150"}
	var outputs []string
	killed := 0
	for i := 0; i <= kills; i++ {
		name := filepath.Join(dir, fmt.Sprint(i))
		ctx, cancel := context.WithCancel(t.Context())
		if i < kills {
			ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rng.IntN(2500))*time.Millisecond)
		} else {
			args = append(args, "--rate", "5000") // the last one goes to its end
		}
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		cmd := p.Source.Command(ctx, bin, args...)
		cmd.Stdout = out
		err = cmd.Run()
		out.Close()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() < 0 {
			killed++
		} else if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		if written, err := os.ReadFile(name); err == nil && len(written) > 0 {
			outputs, args = append(outputs, name), append(args, "--resume", name)
		}
	}
	times := make(map[string]int)
	for _, name := range outputs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		for line := range bytes.Lines(text) {
			var l struct {
				Event  string
				Target struct{ Host string }
			}
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if l.Event == "target" {
				times[l.Target.Host]++
			}
		}
	}
	for host, n := range times {
		if n != 1 {
			t.Errorf("%s was traced %d times", host, n)
		}
	}
	t.Logf("%d runs were killed, %d left something", killed, len(outputs)-1)
	if len(times) != targets || killed == 0 {
		t.Errorf("%d targets were traced of %d; %d runs were killed", len(times), targets, killed)
	}
}

// TestTargetListsGateway: behind a first router with the kernel's own limits on ICMP, each of 40 traces says rightly who
// stands at hop 1: it answered, or the trace takes over what it answered to others, and says so.
func TestTargetListsGateway(t *testing.T) {
	t.Parallel()
	bin := program(t)
	p := manyLab(t)
	p.Hop(1).DefaultLimits(t)
	text := ""
	for i := range 40 {
		text += fmt.Sprintf("198.19.%d.1\n", i)
	}
	got := run(t, p.Source, bin, "-n", "--json", "--targets", listFile(t, text))
	seen, takenOver := 0, 0
	for line := range strings.Lines(got.stdout) {
		var l struct {
			Event string
			Hops  []struct {
				TTL        int
				Inferred   string
				Responders []struct{ Address string }
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if err := bySchema(t, line); err != nil {
			t.Error(err)
		}
		if l.Event != "target" {
			continue
		}
		first := l.Hops[0]
		switch {
		case first.TTL == 1 && first.Inferred == "198.18.1.2" && len(first.Responders) == 0:
			takenOver++
		case first.TTL == 1 && first.Inferred == "" && len(first.Responders) == 1 && first.Responders[0].Address == "198.18.1.2":
			seen++
		default:
			t.Errorf("hop 1: %s", line[:min(len(line), 2000)])
		}
	}
	if seen+takenOver != 40 || takenOver < 20 || seen < 5 || got.code != 0 {
		t.Errorf("%d saw hop 1, %d took it over\n%s", seen, takenOver, got.stderr)
	}
}

// TestTargetListsNear: who stands at a near hop with the kernel's own limits on ICMP is seen, or taken over from the traces to
// other targets, or left open. Nobody else is said to stand there.
func TestTargetListsNear(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		bin := program(t)
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.IP(t, "route add local 198.19.0.0/16 dev lo")
		p.Target.IP(t, "-6 route add local 2001:db8:ff::/48 dev lo")
		p.Hop(1).DefaultLimits(t)
		p.Hop(2).DefaultLimits(t)
		text := ""
		for i := range 150 {
			text += map[family]string{4: fmt.Sprintf("198.19.%d.1\n", i), 6: fmt.Sprintf("2001:db8:ff:%x::1\n", i)}[v]
		}
		got := run(t, p.Source, bin, "-n", "--json", "--rate", "200", "--targets", listFile(t, text))
		second := map[family]string{4: "198.18.2.2", 6: "2001:db8:2::2"}[v]
		silent, seen, takenOver := 0, 0, 0
		for line := range strings.Lines(got.stdout) {
			var l struct {
				Event string
				Hops  []struct {
					TTL        int
					Inferred   string
					Responders []struct{ Address string }
				}
			}
			if err := errors.Join(json.Unmarshal([]byte(line), &l), bySchema(t, line)); err != nil {
				t.Fatal(err)
			}
			for _, h := range l.Hops {
				switch {
				case h.TTL != 2 || l.Event != "target":
				case h.Inferred == "" && len(h.Responders) == 0:
					silent++
				case h.Inferred == second && len(h.Responders) == 0:
					takenOver++
				case h.Inferred == "" && len(h.Responders) == 1 && h.Responders[0].Address == second:
					seen++
				default:
					t.Errorf("hop 2: %s", line[:min(len(line), 2000)])
				}
			}
		}
		t.Logf("hop 2: %d saw it, %d took it over, for %d it was silent", seen, takenOver, silent)
		if seen+takenOver+silent != 150 || seen == 0 || got.code != 0 {
			t.Errorf("%s", got.stderr)
		}
	})
}

// TestTargetListsManyFlows: more flows than a kernel's filter has room for are traced all the same, in IPv4 and in IPv6.
func TestTargetListsManyFlows(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		bin := program(t)
		p := manyLab(t)
		text := ""
		for i := range 150 {
			if v == 6 {
				text += fmt.Sprintf("2001:db8:ff:%x::1\n", i)
			} else {
				text += fmt.Sprintf("198.19.%d.1\n", i)
			}
		}
		got := run(t, p.Source, bin, "-n", "--targets", listFile(t, text))
		if !strings.Contains(got.stderr, ": 150 reached\n") || got.code != 0 {
			t.Errorf("%s", got.stderr)
		}
	})
}

// TestTargetListsPace: on the wire no stretch of time has more probes than the rate and the burst allow, and of users who
// are not root never more than 200 a second. A busy machine sends fewer: the one probe beyond the burst is that which had
// its token before the program was stopped.
func TestTargetListsPace(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	bin := program(t)
	for _, tt := range []struct {
		in    install
		rate  int // packets a second
		burst int
	}{{asRoot, 600, 16}, {fileCap, 200, 1}} {
		t.Run(tt.in.name, func(t *testing.T) {
			t.Parallel()
			p := manyLab(t)
			path := tt.in.place(t, bin)
			text := ""
			for i := range tt.rate / 7 { // about a second
				text += fmt.Sprintf("198.19.%d.1\n", i)
			}
			capture := p.Links[0].A.Capture(t)
			o := finish(t, func(ctx context.Context) *lab.Cmd {
				cmd := tt.in.command(ctx, p.Source, path, "-n", "--targets", "-", "--rate", fmt.Sprint(tt.rate))
				cmd.Stdin = strings.NewReader(text)
				return cmd
			})
			segments, all := sentTCP(t, capture.Stop(t))
			var at []time.Time
			for i, s := range segments {
				if s.TCP.Flags.Has(packet.SYN) { // else it is the kernel's reset
					at = append(at, all[i])
				}
			}
			if len(at) < tt.rate/2 || o.code != 0 {
				t.Fatalf("%d probes\n%v", len(at), o)
			}
			for i := range at {
				for j := i; j < len(at); j++ {
					within := at[j].Sub(at[i])
					if n, most := j-i+1, int(within.Seconds()*float64(tt.rate)+0.01)+tt.burst+1; n > most {
						t.Fatalf("%d probes within %v, at most %d are allowed", n, within, most)
					}
				}
			}
		})
	}
}

// TestTargetListsLive: the targets of a list are watched on one screen: an overview, and a tab for each, on black and on
// white.
func TestTargetListsLive(t *testing.T) {
	t.Parallel()
	p := manyLab(t)
	p.Target.Listen(t, 80)
	p.Hop(2).Drop(t, "ip daddr 198.19.9.0/24")
	list := listFile(t, "198.19.0.1\n198.19.9.1\n198.19.0.2 81\n198.19.0.1 # again\n")
	var loss = regexp.MustCompile(`(?m)(%|closed\]|open\]) .*$`)
	masked := func(s string) string { return loss.ReplaceAllString(maskedScreen(s), "$1 ...") }
	for theme, colour := range map[string]string{"dark": "\x1b[38;5;78m", "light": "\x1b[38;5;"} {
		x := inTerminal(t, p.Source, 80, 34, "LC_ALL=C.UTF-8 TERM=xterm-256color",
			"-n -m 8 --live --interval 0.1 --theme "+theme+" --targets "+list)
		x.await(`(?s)2 reached · 1 not reached.*198\.19\.9\.1 80 +silent after hop 2 \(198\.18\.2\.2\)`)
		x.keys("p")
		const overview = `tcptraceroute 3 targets                                                 T
 0 all  1 198.19.0.1●  2 198.19.9.1×  3 198.19.0.2●
 PAUSED  2 reached · 1 not reached · every 0.1 s
     Target         State          Hops  Loss  Last   Avg  Wrst  History
  1● 198.19.0.1 80  [open] ...
  2× 198.19.9.1 80  silent after hop 2 (198.18.2.2)
  3● 198.19.0.2 81  [closed] ...

 q quit  p pause  0-9 left right target  ? help  j/k choose  enter show
`
		if got := masked(x.await(` PAUSED `)); got != overview {
			t.Errorf("%s:\n%s\nwant\n%s", theme, got, overview)
		}
		if got := x.colored(); !strings.Contains(got, colour) || theme == "light" && strings.Contains(got, "\x1b[38;5;78m") {
			t.Errorf("%s: %q", theme, got)
		}
		x.keys("Space", "Right")
		x.await(`(?s)^tcptraceroute 198\.19\.0\.1 80 .*\[open\] · 3 hops .* 3  198\.19\.0\.1 \[open\]`)
		for _, width := range []int{60, 120, 250} {
			x.resize(width, 34)
			x.await(`(?s) 3  198\.19\.0\.1 \[open\]`)
		}
		x.keys("3")
		x.await(`(?s)^tcptraceroute 198\.19\.0\.2 81 .* 3  198\.19\.0\.2 \[closed\]`)
		x.resize(80, 34)
		x.keys("0", "j", "j", "Enter")
		x.await(`(?s)^tcptraceroute 198\.19\.9\.1 80 .*no answer from the target`)
		x.keys("q")
		x.ended(1, 9)
	}
}

// TestTargetListsLiveMany: twenty targets fit an overview; the screen says which one has trouble.
func TestTargetListsLiveMany(t *testing.T) {
	t.Parallel()
	p := manyLab(t)
	p.Target.Listen(t, 80)
	text := ""
	for i := range 20 {
		text += fmt.Sprintf("198.19.0.%d\n", 1+i)
	}
	x := inTerminal(t, p.Source, 120, 30, "LC_ALL=C.UTF-8 TERM=xterm-256color", "-n --live --interval 0.2 --targets "+listFile(t, text))
	x.await(`(?s)^tcptraceroute 20 targets .*20 reached`)
	p.Target.Run(t, "nft", "table ip lost { chain in { type filter hook prerouting priority 0; ip daddr 198.19.0.7 drop; }; }")
	x.await(`(?s)19 reached · 1 with loss.* 7! 198\.19\.0\.7`)
	x.keys("C-c")
	x.await(`exit code 0`)
}
