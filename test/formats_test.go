package test

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// mtrTimes are the figures of an mtr report that depend on the clock. A mask keeps the form: mtr never writes an integer.
var mtrTimes = regexp.MustCompile(`("(?:Last|Avg|Best|Wrst|StDev)": )(\d+\.\d+)(,?\n)`)

func maskMTR(s string) string {
	return mtrTimes.ReplaceAllStringFunc(s, func(m string) string {
		part := mtrTimes.FindStringSubmatch(m)
		if part[2] == "0.0" && !strings.Contains(part[1], "StDev") {
			return m // of a silent hop
		}
		return part[1] + "TIME" + part[3]
	})
}

// begun is a run of a program that has begun.
func begun(t *testing.T, h *lab.Host, path, format string, a ...any) *live {
	t.Helper()
	l := prepare(t, h, path, fmt.Sprintf(format, a...))
	l.begin(t)
	return l
}

// TestMTR compares --format mtr-json with what mtr itself prints in the same network, byte by byte but for the times. Each
// mtr has a network of its own: it takes answers to another one for its own.
func TestMTR(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		bin := program(t)
		var all sideBySide
		for _, tt := range []struct {
			name, host, port string
			ours, theirs     string
		}{
			{name: "open", port: "80", ours: "-n", theirs: "-n"},
			{name: "closed", port: "81", ours: "-n", theirs: "-n"},
			{name: "filtered", port: "82", ours: "-n -m 9", theirs: "-n -m 9"},
			{name: "rejected", port: "83", ours: "-n", theirs: "-n"},
			{name: "names", host: "www.example", port: "80"},
			{name: "first hop, TOS", port: "80", ours: "-n -f 2 -t 16", theirs: "-n -f 2 -Q 16"},
		} {
			all.begin(t, tt.name, func(t *testing.T) func(t *testing.T) {
				p := lab.Chain(t, lab.ChainOptions{Hops: 5, Silent: []int{3}})
				p.Target.Listen(t, 80)
				p.Hop(4).Drop(t, "tcp dport 82")
				p.Hop(2).Reject(t, "tcp dport 83", 13, 1)
				onlyFiles(t, p.Source, "198.18.1.2 gw.example\n2001:db8:1::2 gw.example\n198.18.5.2 www.example\n2001:db8:5::2 www.example\n")
				host := cmp.Or(tt.host, v.of(p.Target).String())
				ours := begun(t, p.Source, bin, "-%d --format mtr-json -q 2 -l 80 %s %s %s", v, tt.ours, host, tt.port)
				theirs := begun(t, p.Source, "mtr", "-%d --json -c 2 -i 0.5 -G 1 -Z 1 -s 80 -T -P %s %s %s", v, tt.port, tt.theirs, host)
				return func(t *testing.T) {
					got, want := ours.outcome(), theirs.outcome()
					if maskMTR(got.stdout) != maskMTR(want.stdout) {
						t.Errorf("we print\n%s\nmtr prints\n%s", got, want)
					}
				}
			})
		}
		all.finish(t)
	})
}

// TestFormatsAlone runs every format in the same network: the exit codes are those of the text, and so is standard error;
// standard output holds the format alone.
func TestFormatsAlone(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2}})
	p.Target.Listen(t, 80)
	p.Hop(3).Drop(t, "tcp dport 82")
	p.Hop(3).Reject(t, "tcp dport 83", 13, 1)
	onlyFiles(t, p.Source, "127.0.0.1 localhost\n")
	bin := program(t)
	var all sideBySide
	for _, tt := range []struct {
		args string
		code int
	}{
		{"-q 2 -n 198.18.4.2 80", 0},
		{"-q 2 -n 198.18.4.2 81", 0},
		{"-q 1 -n -m 6 198.18.4.2 82", 1},
		{"-q 1 -n -d 198.18.4.2 83", 0},
		{"-q 1 -n --unprivileged -w 1 198.18.4.2 81", 0},
		{"-q 1 -n nosuch.example", 1},
		{"-q x 198.18.4.2", 1},
		{"-s 192.0.2.99 -i nosuch0 198.18.4.2", 1},
	} {
		text := begun(t, p.Source, bin, "%s", tt.args)
		for _, format := range formatNames(t, bin) {
			all.begin(t, tt.args+" "+format, func(t *testing.T) func(t *testing.T) {
				l := begun(t, p.Source, bin, "--format %s %s", format, tt.args)
				return func(t *testing.T) {
					want, got := text.outcome(), l.outcome()
					if got.code != tt.code || want.code != tt.code {
						t.Errorf("exit code %d, as text %d, want %d", got.code, want.code, tt.code)
					}
					told := func(o outcome) string { return portTold.ReplaceAllString(o.stderr, "") }
					if !strings.Contains(tt.args, "-d") && told(got) != told(want) {
						t.Errorf("stderr\n%s\nas text\n%s", lines(got.stderr), lines(want.stderr))
					}
					if want.stdout != "" {
						readable(t, format, got.stdout)
					} else if got.stdout != "" {
						t.Errorf("stdout\n%s", lines(got.stdout))
					}
				}
			})
		}
	}
	all.finish(t)
}

// portTold is where standard error tells the source port, which is another one in each run.
var portTold = regexp.MustCompile(`port \d+ for`)

// formatNames are the formats that the program says it has.
func formatNames(t *testing.T, bin string) []string {
	t.Helper()
	out, err := exec.Command(bin, "--format", "?", "h").CombinedOutput()
	text, ok := strings.CutPrefix(string(out), "Argument of --format must be one of ")
	text, _, ok2 := strings.Cut(text, ":")
	if err == nil || !ok || !ok2 {
		t.Fatalf("%s", out)
	}
	return strings.Split(text, ", ")
}

// readable checks that what was printed is of the format, to its end.
func readable(t *testing.T, format, text string) {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		t.Errorf("%s: %v\n%s", format, err, lines(text))
	}
	if !strings.HasSuffix(text, "\n") {
		fail(fmt.Errorf("cut short"))
		return
	}
	switch format {
	case "mtr-json", "atlas", "dublin":
		if !json.Valid([]byte(text)) {
			fail(fmt.Errorf("not JSON"))
		}
	case "json":
		if err := bySchema(t, text); err != nil {
			fail(err)
		}
	case "jsonl":
		for line := range strings.Lines(text) {
			if err := bySchema(t, line); err != nil {
				fail(err)
			}
		}
	case "scamper":
		for line := range strings.Lines(text) {
			if !json.Valid([]byte(line)) {
				fail(fmt.Errorf("not JSON: %s", line))
			}
		}
	case "svg", "html":
		if err := xml.Unmarshal([]byte(text), new(struct{})); err != nil {
			fail(err)
		}
	case "dot":
		cmd := exec.Command("dot", "-Tcanon")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			fail(fmt.Errorf("%w: %s", err, out))
		}
	case "csv":
		if _, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil {
			fail(err)
		}
	}
}

// traceSchema is the published schema, as a validator.
var traceSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../record/trace-1.json")
})

func bySchema(t *testing.T, text string) error {
	t.Helper()
	s, err := traceSchema()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestFormatsHostile gives the network of all hops a name that would take over a terminal, a spreadsheet or a page, and reads
// every format. (Names of addresses that aren't names Go's resolver keeps back itself.)
func TestFormatsHostile(t *testing.T) {
	t.Parallel()
	bin := program(t)
	var all sideBySide
	for i, name := range []string{"=cmd|'/C'!A0", "\x1b]52;c;eA==\x07\x1b[2Jx", "\u202egpj.exe", "<script>alert(1)</script>", `"];",\\`, "\xff\xc3\x9b31m"} {
		p := lab.Chain(t, lab.ChainOptions{Hops: 2})
		ownersCalled(t, p.Source, name+"owned")
		for _, format := range formatNames(t, bin) {
			all.begin(t, fmt.Sprint(i, " ", format), func(t *testing.T) func(t *testing.T) {
				l := begun(t, p.Source, bin, "--format %s -a --as-dns -q 1 198.18.2.2 81", format)
				// mtr, Atlas, scamper and dublin-traceroute have no place for it.
				without := slices.Contains([]string{"mtr-json", "atlas", "scamper", "dublin"}, format)
				return func(t *testing.T) {
					o := l.outcome()
					eventually(t, "a name in time, on a machine however busy", func() bool {
						if without || strings.Contains(o.stdout, "owned") {
							return true
						}
						o = begun(t, p.Source, bin, "--format %s -a --as-dns -q 1 198.18.2.2 81", format).outcome()
						return false
					})
					for _, c := range []byte(o.stdout + o.stderr) {
						if (c < ' ' || c > '~') && c != '\n' {
							t.Fatalf("byte %#x for %q: %v", c, name, o)
						}
					}
					readable(t, format, o.stdout)
					if o.code != 0 {
						t.Errorf("%v", o)
					}
					if format == "csv" && strings.Contains(o.stdout, ",=") {
						t.Errorf("a formula: %v", o)
					}
				}
			})
		}
	}
	all.finish(t)
}

// ownersCalled answers a host's questions of who owns an address, as Team Cymru's zones do, by this name.
func ownersCalled(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	h.SetFile(t, "/etc/resolv.conf", "nameserver 127.0.0.1\n")
	h.SetFile(t, "/etc/nsswitch.conf", "hosts: files dns\n")
	serveDNS(t, h, func(query []byte) ([]byte, error) {
		var m dnsmessage.Message
		if err := m.Unpack(query); err != nil {
			return nil, err
		}
		if len(m.Questions) != 1 {
			return nil, errors.New("not one question")
		}
		q := m.Questions[0]
		m.Response, m.Additionals = true, nil
		text := "64500 | 198.18.0.0/15 | CH | test | 2020-01-01"
		if strings.HasPrefix(q.Name.String(), "AS") {
			text = "64500 | CH | test | 2020-01-01 | " + name
		}
		if q.Type == dnsmessage.TypeTXT {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.TXTResource{TXT: []string{text}},
			}}
		} else {
			m.RCode = dnsmessage.RCodeNameError
		}
		return m.Pack()
	})
}

// TestFormatsInterrupted ends runs by a signal at random instants: what is printed by then can be read.
func TestFormatsInterrupted(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2, 3}})
	p.Hop(3).Drop(t, "tcp dport 82")
	rng := rand.New(rand.NewPCG(3, 4))
	bin := program(t)
	for _, format := range formatNames(t, bin) {
		for range 3 {
			wait := time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
			t.Run(fmt.Sprintf("%s after %v", format, wait), func(t *testing.T) {
				l := begun(t, p.Source, bin, "--format %s -n -w 9 198.18.4.2 82", format)
				l.stderr.await(t, "Tracing the path", 1)
				time.Sleep(wait) // not for something: the instant is what is tested
				l.signal(t, unix.SIGINT)
				got := l.outcome()
				if got.code != 130 || !strings.HasSuffix(got.stderr, "\nInterrupted\n") {
					t.Errorf("%v", got)
				}
				if format != "text" || got.stdout != "" {
					readable(t, format, got.stdout)
				}
				if format == "json" && !strings.Contains(got.stdout, `"signal": "SIGINT"`) {
					t.Errorf("%v", got)
				}
			})
		}
	}
}
