package test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tcptraceroute/lab"
	"tcptraceroute/packet"
)

// found are the findings at the end of a trace's text: code and confidence.
func found(t *testing.T, o outcome) []string {
	t.Helper()
	_, text, ok := strings.Cut(o.stdout, "\n\n")
	if !ok {
		return nil
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("longer than 80 columns: %q", line)
		}
	}
	var all []string
	for _, m := range regexp.MustCompile(`\[([a-z-]+), ([a-z]+)\]`).FindAllStringSubmatch(strings.Join(strings.Fields(text), " "), -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return all
}

// TestExplain has real firewalls explained, by real answers of real kernels.
func TestExplain(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 6})
		for _, port := range []uint16{80, 443, 9001, 9002, 9003, 9006, 9008, 9009} {
			p.Target.Listen(t, port)
		}
		r2, r3 := p.Routers[1], p.Routers[2]
		r2.Filter(t, "forward", "tcp dport 9001 drop", "tcp dport 9002 tcp flags & (syn|ack) == syn drop", "tcp dport 9003 reject with tcp reset",
			"tcp dport 9005 reject with icmpx type admin-prohibited")
		p.Target.Filter(t, "input", "tcp dport 9006 drop")
		r3.Mangle(t, "tcp dport 9008 tcp flags syn tcp option maxseg size set 1200", "tcp dport 9009 tcp flags syn reset tcp option sack-perm")
		target := v.of(p.Target).String()
		a, b := v.of(r2), v.of(r3)
		for _, tt := range []struct {
			port  int
			args  string
			want  string
			place string
			code  int
		}{
			{port: 80, want: "port-open certain"},
			{port: 9000, want: "port-closed certain"},
			{port: 9001, want: "filtered-port certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b), code: 1},
			{port: 9002, want: "filtered-port certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b), code: 1},
			{port: 9003, want: "reset-on-path certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3", a)},
			{port: 9005, want: "rejected-by-router certain", place: fmt.Sprintf("%v, hop 2", a)},
			{port: 9006, want: "filtered-port possible", place: "between hop 5", code: 1},
			{port: 9008, want: "mss-clamped certain, port-open certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b)},
			{port: 9009, want: "options-removed certain, port-open certain", place: fmt.Sprintf("between hop 2 (%v) and hop 3 (%v)", a, b)},
		} {
			t.Run(fmt.Sprint(tt.port), func(t *testing.T) {
				got := launch(t, p.Source, fmt.Sprintf("-n -w 1 -m 9 --explain %s %d", target, tt.port)).outcome()
				if s := strings.Join(found(t, got), ", "); s != tt.want || got.code != tt.code || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), tt.place) {
					t.Errorf("%v\nfound %s\nwant %s, %s, exit code %d", got, s, tt.want, tt.place, tt.code)
				}
				leftAlone(t, p.Target)
			})
		}
	})
}

// TestExplainForPrograms has the findings in JSON, after the same further probes.
func TestExplainForPrograms(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Target.Listen(t, 443)
	p.Routers[0].Drop(t, "tcp dport 9001")
	got := launch(t, p.Source, "-n -w 1 -m 7 --explain --json "+p.Target.V4().String()+" 9001").outcome()
	var doc struct {
		Findings []struct {
			Code, Confidence string
			After            int `json:"after_ttl"`
			Before           int `json:"before_ttl"`
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	if s := fmt.Sprint(doc.Findings); s != "[{filtered-port certain 1 2}]" || got.code != 1 {
		t.Errorf("%+v\n%v", doc.Findings, got)
	}
	if !strings.Contains(got.stderr, "more probes to tell what happened") {
		t.Errorf("the further probes are not announced: %v", got)
	}
}

// TestExplainBound counts what is really sent: no more than was said in advance.
func TestExplainBound(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Routers[1].Drop(t, "tcp dport 9001")
	capture := p.Source.Interfaces[0].Capture(t)
	got := launch(t, p.Source, "-n -w 1 -m 7 --explain "+p.Target.V4().String()+" 9001").outcome()
	var bound, sent int
	_, text, _ := strings.Cut(got.stderr, "Up to ")
	if _, err := fmt.Sscan(text, &bound); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	for _, c := range capture.Stop(t) {
		var r packet.Reply
		if packet.Parse(c.Data, &r) == nil && r.IP.Src == p.Source.V4() {
			sent++
		}
	}
	if main := 7 * 3; sent < main || sent > main+bound {
		t.Errorf("%d packets sent: more than %d and %d, or too few\n%v", sent, main, bound, got)
	}
}

// TestExplainInterrupted ends a run while it asks further: what is known is explained.
func TestExplainInterrupted(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Routers[1].Drop(t, "tcp dport 9001")
	l := launch(t, p.Source, "-n -w 1 -m 7 --explain "+p.Target.V4().String()+" 9001")
	l.stderr.await(t, "more probes to tell what happened", 1)
	l.signal(t, unix.SIGINT)
	got := l.outcome()
	if found := strings.Join(found(t, got), ", "); got.code != 130 || !strings.Contains(found, "filtered") && !strings.Contains(found, "path-ends") {
		t.Errorf("%v\nfound %s", got, found)
	}
}
