package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"tcptraceroute/lab"
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
