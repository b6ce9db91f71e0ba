package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// scamper runs a command of scamper(1) in a host, and returns what it found as JSON, in lines.
func scamper(t testing.TB, h *lab.Host, command, target string) string {
	t.Helper()
	if err := os.MkdirAll("/var/empty", 0o555); err != nil { // which two that start at once on a new machine both make
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "warts")
	if o := run(t, h, "scamper", "-O", "warts", "-o", file, "-c", command, "-i", target); o.code != 0 {
		t.Fatalf("scamper: %v", o)
	}
	out, err := exec.Command("sc_warts2json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// shape is a JSON value with the keys in their order, and with values of those keys only whose values two programs must
// agree on. Equal elements of a list are one.
func shape(t *testing.T, text string, same map[string]bool) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var value func(key string) string
	value = func(key string) string {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		delim, ok := token.(json.Delim)
		switch {
		case !ok && same[key]:
			return fmt.Sprintf("%v", token)
		case !ok:
			return fmt.Sprintf("%T", token)
		}
		var all []string
		for d.More() {
			if delim == '[' {
				if v := value(key); !slices.Contains(all, v) {
					all = append(all, v)
				}
				continue
			}
			name, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%v:%s", name, value(name.(string))))
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		if delim == '[' {
			slices.Sort(all) // members of a set
			return "[" + strings.Join(all, ", ") + "]"
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	return value("")
}

// --format scamper is what scamper's own JSON is: the same keys in the same order, and the same values of all that is no
// choice of the program: of a trace, and with --paths of all paths.
func TestScamperForm(t *testing.T) {
	lab.NeedProgram(t, "scamper", "sc_warts2json")
	t.Parallel()
	bin := program(t)
	same := map[string]bool{}
	for _, key := range strings.Fields("type version userid method src dst dport stop_reason stop_data hop_count firsthop tos " +
		"probe_size nodec linkc addr q_ttl probe_ttl probe_id reply_ttl reply_tos reply_size icmp_type icmp_code icmp_q_ttl " +
		"icmp_q_ipl icmp_q_tos tcp_flags replyc ttl list_name hostname") {
		same[key] = true
	}
	same6 := maps.Clone(same) // there our SYNs have timestamps
	for _, key := range []string{"probe_size", "reply_size", "icmp_q_ipl"} {
		delete(same6, key)
	}
	diamond := lab.Diamond(t, lab.DiamondOptions{Width: 3})
	diamond.Target.Listen(t, 80)
	silent := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2}})
	silent.Target.Listen(t, 80)
	silent.Hop(3).Reject(t, "tcp dport 83", 13, 1)
	for _, tt := range []struct {
		name         string
		from, to     *lab.Host
		ours, theirs string
		port         string
	}{
		{"paths", diamond.Source, diamond.Target, "--paths", "tracelb -P tcp-sport -c 99 -d 80", "80"},
		{"silent paths", silent.Source, silent.Target, "--paths", "tracelb -P tcp-sport -d 80", "80"},
		{"open", silent.Source, silent.Target, "-q1", "trace -P tcp -d 80", "80"},
		{"closed", silent.Source, silent.Target, "-q1", "trace -P tcp -d 81", "81"},
		{"refused", silent.Source, silent.Target, "-q1", "trace -P tcp -d 83", "83"},
	} {
		for _, v4 := range []bool{true, false} {
			same := same
			if !v4 {
				if same = same6; tt.ours == "--paths" {
					continue // scamper finds none by TCP in IPv6
				}
			}
			t.Run(fmt.Sprintf("%s, IPv4 %v", tt.name, v4), func(t *testing.T) {
				t.Parallel()
				target := addressOf(tt.to.Interfaces[0], v4)
				theirs := strings.Split(scamper(t, tt.from, tt.theirs, target), "\n")
				var got, want string
				for range 4 { // a search for all paths may miss one
					o := run(t, tt.from, bin, "-n", "--format", "scamper", tt.ours, target, tt.port)
					ours := strings.Split(o.stdout, "\n")
					if len(ours) != len(theirs) {
						t.Fatalf("we print\n%v\nscamper prints\n%s", o, strings.Join(theirs, "\n"))
					}
					got, want = "", ""
					for i := range ours[:len(ours)-1] {
						got += shape(t, ours[i], same) + "\n"
						want += shape(t, theirs[i], same) + "\n"
					}
					if got == want {
						return
					}
				}
				t.Errorf("we print\n%s\nscamper prints\n%s", got, want)
			})
		}
	}
}

// All paths, beside scamper's tracelb in the same network, one after the other: the ratio of the times until all paths are
// found, and how much each has found. We measure loss and time of each path then, which tracelb doesn't.
func BenchmarkPathsScamper(b *testing.B) {
	lab.NeedProgram(b, "scamper", "sc_warts2json")
	bin := program(b)
	for _, width := range []int{2, 4, 8, 16} {
		b.Run(fmt.Sprint("width=", width), func(b *testing.B) {
			m := lab.Diamond(b, lab.DiamondOptions{Width: width})
			m.Target.Listen(b, 80)
			target := m.Target.V4().String()
			for b.Loop() {
				found, all, ours := searched(b, m.Source, bin, "-n", "--paths", "--format", "scamper", target)
				start := time.Now()
				theirs := scamper(b, m.Source, "tracelb -P tcp-sport -d 80", target)
				them := time.Since(start).Seconds()
				b.ReportMetric(found, "s-to-find")
				b.ReportMetric(all, "s-with-loss")
				b.ReportMetric(them, "s-scamper")
				b.ReportMetric(found/them, "ratio")
				b.ReportMetric(0.1, "ratio-promised")
				b.ReportMetric(float64(members(m, ours))/float64(width), "found")
				b.ReportMetric(float64(members(m, theirs))/float64(width), "found-scamper")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// searched runs a search for all paths. It returns how many seconds pass until all are found, how many the run takes, and
// what it prints.
func searched(b *testing.B, h *lab.Host, name string, args ...string) (found, all float64, stdout string) {
	b.Helper()
	cmd := h.Command(b.Context(), name, args...)
	var out strings.Builder
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Measuring loss") {
			found = time.Since(start).Seconds()
		}
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return found, time.Since(start).Seconds(), out.String()
}

// members is how many of the routers side by side a result names.
func members(m *lab.Mesh, text string) (n int) {
	for _, h := range m.Middle {
		if strings.Contains(text, `"`+h.V4().String()+`"`) {
			n++
		}
	}
	return n
}
