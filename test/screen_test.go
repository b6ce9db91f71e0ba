package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// pane is a run of the program in a terminal of a host: a pane of tmux.
type pane struct {
	t      testing.TB
	host   *lab.Host
	dir    string
	socket string
}

// inTerminal starts the program in a terminal of this size. The shell around it says afterwards what it left behind.
func inTerminal(t testing.TB, h *lab.Host, width, height int, env, args string) *pane {
	t.Helper()
	return newPane(t, h, width, height, fmt.Sprintf(`stty -g >DIR/before
env -u NO_COLOR %[1]s sh -c 'echo $$ >DIR/pid; exec %[2]s %[3]s 2>DIR/stderr'
code=$?
stty -g >DIR/after
cmp DIR/before DIR/after && echo "the same terminal"
echo "exit code $code"
exec cat
`, env, program(t), args))
}

// newPane runs a shell script in a terminal of this size. DIR in it is a directory of its own.
func newPane(t testing.TB, h *lab.Host, width, height int, script string) *pane {
	t.Helper()
	lab.NeedProgram(t, "tmux")
	dir, err := os.MkdirTemp("", "screen") // short: the path of a socket is no longer than 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	x := &pane{t: t, host: h, dir: dir, socket: filepath.Join(dir, "tmux")}
	script = "PS1=\n" + strings.ReplaceAll(script, "DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.tmux("kill-server") // an error: it has ended
		os.RemoveAll(dir)
	})
	if out, err := x.tmux("new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "sh "+filepath.Join(dir, "script")); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	return x
}

// tmux runs one of its commands.
func (x *pane) tmux(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	cmd := x.host.Command(ctx, "tmux", append([]string{"-u", "-S", x.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm-256color", "SHELL=/bin/sh", "COLUMNS=", "LINES=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// screen is what is seen, without blanks at the ends of lines.
func (x *pane) screen() string {
	x.t.Helper()
	out, err := x.tmux("capture-pane", "-p")
	if err != nil {
		x.t.Fatalf("tmux: %v\n%s", err, out)
	}
	return out
}

// await waits until the screen matches, and returns it.
func (x *pane) await(expression string) string {
	x.t.Helper()
	re := regexp.MustCompile(expression)
	var seen string
	defer func() {
		if x.t.Failed() {
			x.t.Logf("%s", x.colored())
		}
	}()
	eventually(x.t, expression, func() bool {
		seen = x.screen()
		return re.MatchString(seen)
	})
	return seen
}

// keys presses keys, by tmux's names of them.
func (x *pane) keys(keys ...string) {
	x.t.Helper()
	if out, err := x.tmux(append([]string{"send-keys"}, keys...)...); err != nil {
		x.t.Fatalf("tmux: %v\n%s", err, out)
	}
}

// resize makes the terminal another size.
func (x *pane) resize(width, height int) {
	x.t.Helper()
	if out, err := x.tmux("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height)); err != nil {
		x.t.Fatalf("tmux: %v\n%s", err, out)
	}
}

// colored is what is seen, with its colours.
func (x *pane) colored() string {
	x.t.Helper()
	out, err := x.tmux("capture-pane", "-p", "-e")
	if err != nil {
		x.t.Fatalf("tmux: %v\n%s", err, out)
	}
	return out
}

// state asks tmux what it knows of the terminal, by its names for that.
func (x *pane) state(format string) string {
	x.t.Helper()
	out, err := x.tmux("display-message", "-p", format)
	if err != nil {
		x.t.Fatalf("tmux: %v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// signal sends a signal to the program.
func (x *pane) signal(s unix.Signal) {
	x.t.Helper()
	var pid int
	eventually(x.t, "the program's id", func() bool {
		b, err := os.ReadFile(filepath.Join(x.dir, "pid"))
		n, _ := fmt.Sscan(string(b), &pid)
		return err == nil && n == 1
	})
	if err := unix.Kill(pid, s); err != nil {
		x.t.Fatal(err)
	}
}

// ended waits for the program's end, and checks what it has left behind: the terminal as it was, and the table (hops is 0: none).
func (x *pane) ended(code, hops int) {
	x.t.Helper()
	seen := x.await(`exit code \d+`)
	stderr, _ := os.ReadFile(filepath.Join(x.dir, "stderr"))
	if !strings.Contains(seen, "the same terminal") || !strings.Contains(seen, fmt.Sprintf("exit code %d\n", code)) {
		x.t.Errorf("%s\n%s\nwant exit code %d", seen, stderr, code)
	}
	if n := strings.Count(seen, ".|-- "); n != hops || strings.Contains(seen, "Loss%   Snt") != (hops > 0) {
		x.t.Errorf("%s\nthe table has %d hops, want %d", seen, n, hops)
	}
	if s := x.state("#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag}"); s != "0 1 0 0" {
		x.t.Errorf("alternate screen, cursor, mouse, keypad: %s", s)
	}
}

var (
	clock  = regexp.MustCompile(`\d\d:\d\d:\d\d`)
	counts = regexp.MustCompile(`[\d.]+ ms · round \d+ · every ([\d.]+) s.*`)
	row    = regexp.MustCompile(`(?m)^(.\s?\d+[ ~!] .*?%) .*$`)
	blank  = regexp.MustCompile(`\n(\n+)`)
)

// maskedScreen is a screen without what differs from run to run: times, counts, histories, and how many blank lines there are.
func maskedScreen(s string) string {
	s = clock.ReplaceAllString(s, "T")
	s = counts.ReplaceAllString(s, "T ms · round N · every $1 s")
	s = row.ReplaceAllString(s, "$1 ...")
	return blank.ReplaceAllString(s, "\n\n")
}

// TestLive drives the screen as a user does.
func TestLive(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2}})
	p.Target.Listen(t, 80)
	onlyFiles(t, p.Source, p.Hop(1).V4().String()+" gw.example.net\n"+p.Target.V4().String()+" www.example.com\n")
	x := inTerminal(t, p.Source, 80, 14, "LC_ALL=C.UTF-8 TERM=xterm-256color", "--live --interval 0.05 www.example.com")
	expect := func(name, got, want string) {
		t.Helper()
		if got = maskedScreen(got); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	x.await(`(?s)round \d\d.*2~ \(no answer\)`)
	x.keys("p")
	x.await(`(?s) PAUSED .*certain +Port 80 is open`)
	expect("80 columns", x.screen(), `tcptraceroute www.example.com (198.18.4.2) port 80 (http)               T
 PAUSED  [open] · 4 hops · 0% loss · T ms · round N · every 0.05 s
     Host                      Loss   Snt  Last   Avg  Best  Wrst  History
  1  gw.example.net              0% ...
  2~ (no answer)               100% ...
  3  198.18.3.2                  0% ...
  4  www.example.com [open]      0% ...

────────────────────────────────────────────────────────────────────────────────
 certain  Port 80 is open: the target's address accepts the connection
     ~ only limits its answers  × lost   0.2  1  5  20  50  100  200  more  ms
 q quit  p pause  v whiskers  ? help  j/k choose  enter details  r reset
`)
	if s := x.colored(); !strings.Contains(s, "\x1b[38;5;26m▁") && !strings.Contains(s, "\x1b[38;5;26m") {
		t.Errorf("no colours: %q", s)
	}

	x.resize(120, 20)
	expect("120 columns", x.await("StDev"), `tcptraceroute www.example.com (198.18.4.2) port 80 (http)                                                       T
 PAUSED  [open] · 4 hops · 0% loss · T ms · round N · every 0.05 s
     Host                                  Loss   Snt  Last   Avg  Best  Wrst StDev  Jttr  History
  1  gw.example.net (198.18.1.2)             0% ...
  2~ (no answer)                           100% ...
  3  198.18.3.2                              0% ...
  4  www.example.com (198.18.4.2) [open]     0% ...

────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 certain  Port 80 is open: the target's address accepts the connection
     ~ only limits its answers  × lost   0.2  1  5  20  50  100  200  more  ms
 q quit  p pause  v whiskers  ? help  j/k choose  enter details  r reset  n names  s silent  o order  [ ] back
`)
	x.keys("s")
	x.await("silent hops hidden: 1")
	x.keys("s", "n")
	x.await(`(?m)^  1  198\.18\.1\.2 +0%`)
	x.keys("n", "v")
	x.await(`0─.* ms`)
	x.keys("v")
	x.await(`(?s)Time, a round each.*now`)
	x.keys("v", "j", "j", "j", "Enter")
	x.await(`(?s)> 3 .*hop 3 +198\.18\.3\.2.*jitter +last`)
	x.resize(60, 12)
	x.await(`(?m)^ q quit  p pause  v whiskers  \? help  j/k choose$`)
	x.resize(20, 5)
	x.await(`too small`)
	x.resize(80, 14)
	x.keys("?")
	x.await(`forget all figures`)
	x.keys("?", "Space")
	eventually(t, "it goes on", func() bool { return !strings.Contains(x.screen(), "PAUSED") })
	x.keys("r")
	x.await(`round \d\d`)
	x.keys("q")
	x.ended(0, 4)
}

// TestLiveEnds in every way there is, and leaves the terminal as it was.
func TestLiveEnds(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	p.Hop(2).Drop(t, "tcp dport 81")
	p.Source.Run(t, "nft", "table inet forbid { chain out { type filter hook output priority 0; tcp dport 82 drop; }; }")
	to := "-n --interval 0.05 --live " + p.Target.V4().String()
	const env = "LC_ALL=C.UTF-8 TERM=xterm-256color"
	for _, tt := range []struct {
		name string
		args string
		end  func(x *pane)
		code int
		hops int
	}{
		{"Ctrl-C", to, func(x *pane) { x.keys("C-c") }, 0, 3},
		{"SIGINT", to, func(x *pane) { x.signal(unix.SIGINT) }, 130, 3},
		{"SIGTERM", to, func(x *pane) { x.signal(unix.SIGTERM) }, 143, 3},
		{"SIGHUP", to, func(x *pane) { x.signal(unix.SIGHUP) }, 129, 3},
		{"SIGQUIT", to, func(x *pane) { x.signal(unix.SIGQUIT) }, 2, 0},
		{"SIGABRT", to, func(x *pane) { x.signal(unix.SIGABRT) }, 2, 0},
		{"not reached", to + " 81", func(x *pane) { x.keys("q") }, 1, 3},
		{"nothing sent", to + " 82", func(x *pane) { x.keys("q") }, 2, 1},
		{"rounds are over", to + " -c 40", func(x *pane) {}, 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := inTerminal(t, p.Source, 80, 24, env, tt.args)
			x.await(`round \d\d|!!!`) // the latter of probes that can't be sent
			tt.end(x)
			x.ended(tt.code, tt.hops)
		})
	}
}

// TestLiveWithoutColour: neither where the user doesn't want it, nor glyphs that the locale doesn't have.
func TestLiveWithoutColour(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	to := "-n --interval 0.05 --live " + p.Target.V4().String()
	color := regexp.MustCompile(`\x1b\[[\d;]*(3|4|9|10)[0-8](;[\d;]*)?m`)
	for _, tt := range []struct{ name, env, args string }{
		{"NO_COLOR", "LC_ALL=C TERM=xterm-256color NO_COLOR=1", to},
		{"--color never", "LC_ALL=C TERM=xterm-256color", to + " --color never"},
		{"an old terminal", "LC_ALL=C TERM=vt100", to + " --color never"},
	} {
		x := inTerminal(t, p.Source, 80, 24, tt.env, tt.args)
		x.await(`(?s)round \d\d.*Port 80 is open`)
		seen := x.colored()
		if found := color.FindString(seen); found != "" {
			t.Errorf("%s: %q in\n%q", tt.name, found, seen)
		}
		if strings.ContainsFunc(seen, func(r rune) bool { return r > 0x7e }) {
			t.Errorf("%s: more than ASCII\n%s", tt.name, seen)
		}
		x.keys("q")
		x.ended(0, 3)
	}
}

// TestLiveWithoutTerminal says what to use instead, and sends nothing.
func TestLiveWithoutTerminal(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	to := p.Target.V4().String()
	const says = "--live needs a terminal: use --report -c 10 instead\n"
	if got := run(t, p.Source, program(t), "--live", to); got.stdout != "" || got.stderr != says || got.code != 1 {
		t.Errorf("%v", got)
	}
	x := inTerminal(t, p.Source, 80, 24, "TERM=dumb", "--live "+to)
	x.await("exit code 1")
	if b, err := os.ReadFile(filepath.Join(x.dir, "stderr")); err != nil || string(b) != says {
		t.Errorf("TERM=dumb: %v %q", err, b)
	}
}

// TestLiveOutlivesTheLink: a link that goes down and comes back is no end, and no loss.
func TestLiveOutlivesTheLink(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	x := inTerminal(t, p.Source, 100, 24, "LC_ALL=C.UTF-8 TERM=xterm-256color", "-n --live --interval 0.05 "+p.Target.V4().String())
	x.await(`round \d\d`)
	up := p.Source.Interfaces[0].Down(t)
	x.await(`(?s)(!.*){25}`) // more than a trace would bear
	up()
	x.await(`(?m)^  2  198\.18\.2\.2 .*!+[▁▂▃▄▅▆▇█]+$`)
	x.keys("q")
	x.ended(0, 3)
}
