package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const (
	// ours is this project's program among the tools.
	ours = "tcptraceroute-ours"

	// earlier is the same program as it was before, if there is one to compare with.
	earlier = "tcptraceroute-before"
)

// queries is how many probes a hop the tools are asked for: the default of most of them.
const queries = 3

// tool is a program that traces, and how it is used: with its own defaults, but for names, which no network here has.
type tool struct {
	name    string
	program string
	version []string // arguments that make it say its version
	args    func(target netip.AddrPort) []string
	one     []string // makes it send one probe and end: what it costs to start it. Nil: unknown
	parse   func(stdout string) []answer
	only4   bool // knows no IPv6
	quick   bool // takes seconds where the others take minutes: it also runs where the machine has to be left alone
	path    string
}

func toolTable() []tool {
	port := func(t netip.AddrPort) string { return strconv.Itoa(int(t.Port())) }
	return []tool{
		{
			name: ours, program: ours, version: []string{"-v"}, quick: true, parse: parseLines,
			one:  []string{"-m1", "-q1", "-w1"},
			args: func(t netip.AddrPort) []string { return []string{"-n", t.Addr().String(), port(t)} },
		},
		{
			name: "traceroute", program: "traceroute", version: []string{"--version"}, quick: true, parse: parseLines,
			one:  []string{"-m", "1", "-q", "1", "-w", "1"},
			args: func(t netip.AddrPort) []string { return []string{"-T", "-n", "-p", port(t), t.Addr().String()} },
		},
		{
			name: "tcptraceroute", program: "tcptraceroute", version: []string{"-v"}, only4: true, parse: parseLines,
			args: func(t netip.AddrPort) []string { return []string{"-n", t.Addr().String(), port(t)} },
		},
		{
			// It goes on for ever unless told how often, and its other output is averages.
			name: "mtr", program: "mtr", version: []string{"--version"}, parse: parseMTR,
			args: func(t netip.AddrPort) []string {
				return []string{"--tcp", "-n", "-P", port(t), "--raw", "-c", strconv.Itoa(queries), t.Addr().String()}
			},
		},
		{
			name: "scamper", program: "scamper", version: []string{"-v"}, parse: parseLines,
			args: func(t netip.AddrPort) []string {
				return []string{"-I", fmt.Sprintf("trace -P tcp -d %s %s", port(t), t.Addr())}
			},
		},
		{
			name: "nmap", program: "nmap", version: []string{"--version"}, parse: parseNmap,
			args: func(t netip.AddrPort) []string {
				args := []string{"-n", "-Pn", "-p", port(t), "--traceroute", t.Addr().String()}
				if t.Addr().Is6() {
					args = slices.Insert(args, 0, "-6")
				}
				return args
			},
		},
	}
}

// findTools are the tools that are on this machine, or those of the list, which then must be. program is ours, before
// is the same as it was earlier; "": there is none.
func findTools(list, program, before string) ([]tool, error) {
	wanted := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	var found []tool
	var names []string
	for _, t := range toolTable() {
		names = append(names, t.name)
		if len(wanted) > 0 && !slices.Contains(wanted, t.name) {
			continue
		}
		if t.name == ours {
			t.path = program
			if before != "" {
				was := t
				was.name, was.path = earlier, before
				found = append(found, was)
			}
		} else if path, err := exec.LookPath(t.program); err == nil {
			t.path = path
		} else if len(wanted) > 0 {
			return nil, fmt.Errorf("-tools: %w", err)
		} else {
			continue
		}
		found = append(found, t)
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return nil, fmt.Errorf("-tools: %q is none of %s", w, strings.Join(names, ", "))
		}
	}
	return found, nil
}

// command is how the tool is called, for people.
func (t tool) command() string {
	args := t.args(netip.AddrPortFrom(netip.IPv4Unspecified(), 80))
	for i, a := range args {
		a = strings.ReplaceAll(a, "0.0.0.0", "TARGET")
		if strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		args[i] = a
	}
	return t.program + " " + strings.Join(args, " ")
}

// says is the first line of the tool's own version text.
func (t tool) says() string {
	out, _ := exec.Command(t.path, t.version...).CombinedOutput() // some exit with 1
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "says no version"
}
