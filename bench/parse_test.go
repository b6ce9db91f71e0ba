package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hopsOf writes answers as "TTL ADDRESS TIMES", one address of a hop a line.
func hopsOf(all []answer) string {
	var lines []string
	for i, a := range all {
		if i == 0 || all[i-1].ttl != a.ttl || all[i-1].addr != a.addr {
			lines = append(lines, fmt.Sprintf("%d %v", a.ttl, a.addr))
		}
		if a.has {
			lines[len(lines)-1] += fmt.Sprintf(" %.3f", float64(a.rtt.Microseconds())/1e3)
		}
	}
	return strings.Join(lines, "\n")
}

// The files are what the tools really printed, in the lab.
func TestParsers(t *testing.T) {
	for _, tt := range []struct {
		file  string
		parse func(string) []answer
		want  string
	}{
		{"tcptraceroute", parseLines, `
1 198.18.1.2 0.055 0.025 0.028
2 198.18.2.2 0.046 0.031 0.045
4 198.18.4.2 0.072 0.026 0.044
5 198.18.5.2 0.048 0.055 0.052
6 198.18.6.2 0.084 0.079 0.093`},
		{"tcptraceroute-reject", parseLines, `
1 198.18.1.2 0.055 0.024 0.028
2 198.18.2.2 0.045 0.029 0.034
4 198.18.4.2 0.079 0.026 0.043
5 198.18.4.2 0.047 0.043 0.054`},
		{"tcptraceroute-drop", parseLines, `
1 198.18.1.2 0.055 0.030 0.031
2 198.18.2.2 0.037 0.044 0.058`},
		{"tcptraceroute-diamond", parseLines, `
2 198.18.2.2 0.073
2 198.18.4.2 0.045
2 198.18.6.2 0.041
3 198.18.3.2 0.045 0.052 0.042
4 198.18.8.2 0.057 0.054 0.052`},
		{"traceroute", parseLines, `
1 198.18.1.2 0.027 0.007 0.006
2 198.18.2.2 0.013 0.008 0.008
4 198.18.4.2 0.018 0.012 0.012
5 198.18.5.2 0.020 0.014 0.014
6 198.18.6.2 0.031 0.019 0.017`},
		{"traceroute-reject", parseLines, `
1 198.18.1.2 0.039 0.008 0.007
2 198.18.2.2 0.018 0.010 0.010
4 198.18.4.2 0.024 0.016 0.015
5 198.18.4.2 0.020 0.016 0.015`},
		{"traceroute-diamond", parseLines, `
2 198.18.2.2 0.354
2 198.18.4.2 0.372
2 198.18.6.2 0.384
3 198.18.3.2 0.399 0.410 0.425
4 198.18.8.2 0.441 0.407 0.386`},
		{"traceroute-6", parseLines, `
1 2001:db8:1::2 0.454 0.477 0.514
2 2001:db8:2::2 0.554 0.583 0.614
4 2001:db8:4::2 0.589 0.621 0.643
5 2001:db8:5::2 0.630 0.636 0.653
6 2001:db8:6::2 0.692 0.614 0.561`},
		{"mtr", parseMTR, `
1 198.18.1.2 0.120
2 198.18.2.2 0.109
4 198.18.4.2 0.122
5 198.18.5.2 0.158
6 198.18.6.2 0.210
7 198.18.6.2 0.225
1 198.18.1.2 0.092
2 198.18.2.2 0.153
4 198.18.4.2 0.239
5 198.18.5.2 0.129
6 198.18.6.2 0.168
1 198.18.1.2 0.099
2 198.18.2.2 0.110
4 198.18.4.2 0.113
5 198.18.5.2 0.129
6 198.18.6.2 0.177`},
		{"scamper", parseLines, `
1 198.18.1.2 0.041
2 198.18.2.2 0.045
4 198.18.4.2 0.069
5 198.18.5.2 0.070
6 198.18.6.2 0.071`},
		{"scamper-reject", parseLines, `
1 198.18.1.2 0.044
2 198.18.2.2 0.046
4 198.18.4.2 0.065
5 198.18.4.2 0.074`},
		{"scamper-6", parseLines, `
1 2001:db8:1::2 0.035
2 2001:db8:2::2 0.034
4 2001:db8:4::2 0.071
5 2001:db8:5::2 0.089
6 2001:db8:6::2 0.085`},
		{"nmap", parseNmap, `
1 198.18.1.2 0.010
2 198.18.2.2 0.010
4 198.18.4.2 0.010
5 198.18.5.2 0.020
6 198.18.6.2 0.020`},
		{"nmap-6", parseNmap, `
1 2001:db8:1::2 0.020
2 2001:db8:2::2 0.020
4 2001:db8:4::2 0.030
5 2001:db8:5::2 0.040
6 2001:db8:6::2 0.030`},
		{"ours-diamond", parseLines, `
2 198.18.4.2 0.027
2 198.18.2.2 0.425
2 198.18.6.2 0.092
3 198.18.3.2 0.048 0.032 0.023
4 198.18.8.2 0.049 0.455 0.227`},
		{"ours-6-diamond", parseLines, `
2 2001:db8:4::2 0.033
2 2001:db8:2::2 0.024
2 2001:db8:6::2 0.022
3 2001:db8:7::2 0.045
3 2001:db8:5::2 0.029
3 2001:db8:3::2 0.022
4 2001:db8:8::2 0.044 0.029 0.029`},
	} {
		out, err := os.ReadFile(filepath.Join("testdata", tt.file+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got := hopsOf(tt.parse(string(out))); got != tt.want[1:] {
			t.Errorf("%s:\n%s\nwant%s", tt.file, got, tt.want)
		}
	}
}

// Forms that the lab's output doesn't have.
func TestParseOddLines(t *testing.T) {
	for _, tt := range []struct{ out, want string }{
		{" 3  gw.example (10.0.0.1)  1.5 ms * 2.5 ms\n", "3 10.0.0.1 1.500 2.500"},
		{" 3  * 10.0.0.1 1.5 ms !X 10.0.0.2 (10.0.0.2) 2 ms !N\n", "3 10.0.0.1 1.500\n3 10.0.0.2 2.000"},
		{" 3  10.0.0.1 (-1)  <EPERM> 2.5 ms\n", "3 10.0.0.1 2.500"},
		{" 3  10.0.0.1  !F\n    10.0.0.2 [open]  2.5 ms\n", "3 10.0.0.1\n3 10.0.0.2 2.500"},
		{" 3  fe80::1%eth0  2.5 ms\nDestination not reached\n    10.0.0.9  1 ms\n", "3 fe80::1 2.500"},
		{"traceroute to 10.0.0.1 (10.0.0.1), 30 hops max\n    10.0.0.1  1 ms\n", ""},
		{"300  10.0.0.1  1 ms\n0  10.0.0.1  1 ms\n", ""},
	} {
		if got := hopsOf(parseLines(tt.out)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.out, got, tt.want)
		}
	}
	if got, want := hopsOf(parseMTR("x 0 1\np 0 10 1\nh 0 nobody\nh 0 10.0.0.1\np 0 1500 2\nh 300 10.0.0.1\n")), "1 10.0.0.1 1.500"; got != want {
		t.Errorf("mtr: %q, want %q", got, want)
	}
	if got, want := hopsOf(parseNmap("1  2 ms 10.0.0.9\nHOP RTT  ADDRESS\n1  ... 3\n4  -- 10.0.0.1\n5  2.00 ms gw (10.0.0.2)\n\n6  1 ms 10.0.0.3\n")), "4 10.0.0.1\n5 10.0.0.2 2.000"; got != want {
		t.Errorf("nmap: %q, want %q", got, want)
	}
}

// Whatever a tool prints, its parser comes to an end.
func TestParseAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{" ", "\n", "3", "h", "p", "ms", "10.0.0.1", "::1", "(", "*", "-1", "1e9", "99999999999999999999", "HOP", "\x00", "[open]"}
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(60) {
			b.WriteString(words[rng.IntN(len(words))])
			if rng.IntN(2) == 0 {
				b.WriteByte(' ')
			}
		}
		for _, parse := range []func(string) []answer{parseLines, parseMTR, parseNmap} {
			if slices.ContainsFunc(parse(b.String()), func(a answer) bool { return a.ttl < 1 || a.ttl > 255 || !a.addr.IsValid() }) {
				t.Errorf("%q: %v", b.String(), parse(b.String()))
			}
		}
	}
}
