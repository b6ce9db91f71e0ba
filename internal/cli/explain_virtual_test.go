package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.example/tcptraceroute/internal/options"
)

// explained is what a JSON document says of a trace that was explained.
type explained struct {
	Findings []struct {
		Code, Confidence, Title, Advice string
		Evidence                        []string
	}
	Explain *struct {
		Causes []struct {
			Code, What string
			Excluded   bool
			ExcludedBy []string `json:"excluded_by"`
		}
		Questions []struct {
			Kind, What, Came     string
			Sent, Answered, Lost int
			FirstTTL             int `json:"first_ttl"`
			MaxTTL               int `json:"max_ttl"`
			Queries              int
			SourcePort           int `json:"source_port"`
			TargetPort           int `json:"target_port"`
		}
		Budget struct {
			MostProbes     int `json:"most_probes"`
			Sent           int
			MostTargetSYNs int `json:"most_target_syns"`
			TargetSYNs     int `json:"target_syns"`
		}
	}
}

// traceSchema is the published schema of the JSON.
func traceSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("../../record/trace-1.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:test", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// networks are simulated, each with one thing that a user may meet.
var networks = map[string]string{
	"open": `
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=2ms
		router 10.0.3.1 delay=2ms
		target 198.51.100.9 delay=1ms`,
	"closed": `
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=2ms
		router 10.0.3.1 delay=2ms
		target 198.51.100.9 delay=1ms closed`,
	"filtered": `
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=2ms drop=443
		router 10.0.3.1 delay=2ms
		target 198.51.100.9 delay=1ms`,
	"dead": `
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=2ms drop drop=not-tcp
		router 10.0.3.1 delay=2ms
		target 198.51.100.9 delay=1ms`,
	"rejected": `
		router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=2ms reject=13:443
		router 10.0.3.1 delay=2ms
		target 198.51.100.9 delay=1ms`,
	"IPv6": `
		router 2001:db8:a::1 delay=1ms
		router 2001:db8:b::1 delay=2ms drop=syn
		router 2001:db8:c::1 delay=2ms
		target 2001:db8:99::1 delay=1ms`,
}

// The JSON of a trace that is explained says what the text says, and how it came about: the causes that were
// considered and by what each is excluded, what was asked, and the budget.
func TestExplainJSON(t *testing.T) {
	t.Parallel()
	s := traceSchema(t)
	for name, network := range networks {
		t.Run(name, func(t *testing.T) {
			text := runVirtual(t, network, 1, "--explain")
			v := runVirtual(t, network, 1, "--explain", "--json")
			parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(v.stdout))
			if err == nil {
				err = s.Validate(parsed)
			}
			var doc explained
			if err == nil {
				err = json.Unmarshal([]byte(v.stdout), &doc)
			}
			if err != nil || doc.Explain == nil {
				t.Fatalf("%v\n%s", err, v.stdout)
			}
			plain := strings.Join(strings.Fields(text.stdout), " ")
			for _, x := range doc.Findings {
				title := fmt.Sprintf("%s. [%s, %s]", x.Title, x.Code, x.Confidence)
				for _, part := range slices.Concat([]string{title, x.Advice}, x.Evidence) {
					if !strings.Contains(plain, part) {
						t.Errorf("the text doesn't say %q:\n%s", part, text.stdout)
					}
				}
			}
			if n := len(regexp.MustCompile(`\[[a-z-]+, [a-z]+\]`).FindAllString(plain, -1)); n != len(doc.Findings) {
				t.Errorf("%d findings in the text, %d in the JSON", n, len(doc.Findings))
			}
			x := doc.Explain
			const connection = 1 // beside a trace that has sent as many as there may be
			if len(x.Questions) == 0 || x.Budget.Sent > x.Budget.MostProbes ||
				x.Budget.TargetSYNs > x.Budget.MostTargetSYNs+connection {
				t.Errorf("%+v", x)
			}
			left := ""
			for _, c := range x.Causes {
				if c.Excluded != (len(c.ExcludedBy) > 0) {
					t.Errorf("%+v", c)
				}
				if left == "" && !c.Excluded {
					left = c.Code
				}
			}
			if len(x.Causes) == 0 || doc.Findings[0].Code != left {
				t.Errorf("found %s, and %s is the first cause that isn't excluded", doc.Findings[0].Code, left)
			}
		})
	}
}

// A format that has no place for findings leaves its output alone, and they are said aside.
func TestExplainAside(t *testing.T) {
	t.Parallel()
	for _, format := range options.FormatNames {
		text := runVirtual(t, networks["filtered"], 1, "--explain", "--format", format)
		const found = "[filtered-port, likely]"
		where := text.stderr
		switch format {
		case "text":
			where = text.stdout
		case "json", "jsonl":
			where = strings.ReplaceAll(text.stdout, "\"filtered-port\"", found)
		case "html":
			where = strings.ReplaceAll(text.stdout, "filtered-port, likely", found)
		case "csv":
			if strings.Contains(text.stdout, "dropped") {
				t.Errorf("%s: %s", format, text.stdout)
			}
		}
		if !strings.Contains(where, found) {
			t.Errorf("%s: nothing is explained\n%s\n%s", format, text.stdout, text.stderr)
		}
	}
}

// Whoever sits before a terminal is pointed to --explain if the target has not answered, in whatever way it was traced.
func TestPointToExplain(t *testing.T) {
	t.Parallel()
	const line = "To find out why, and where: the same with --explain\n"
	for name, network := range networks {
		for _, args := range []string{
			"", "-A", "-q 1", "--track-port", "--syn linux", "--loose", "-f 2", "--json", "--csv", "--format dot", "--explain",
		} {
			v := runVirtualAs(t, network, 1, func(p *program) { p.onTerminal = true }, strings.Fields(args)...)
			want := name != "open" && name != "closed" && args != "--explain" && !(name == "IPv6" && args == "-A")
			n := strings.Count(v.stderr, "To find out why")
			if strings.HasSuffix(v.stderr, line) != want || n > 1 || (n == 1) != want {
				t.Errorf("%s, %s: %v\n%s", name, args, want, v.stderr)
			}
		}
	}
}

// A device on the way that resets what the target accepts is found whenever its resets come: at once, so that they fit
// several probes, or when the trace is over, and questions are asked. An ordinary connection that opens contradicts none.
func TestExplainTardyReset(t *testing.T) {
	t.Parallel()
	for _, delay := range []string{
		"5ms", "10ms", "15ms", "20ms", "25ms", "30ms", "40ms", "50ms", "60ms", "65ms", "100ms", "125ms",
	} {
		device := "10.0.2.1 inject=rst inject-ttl=64 inject-least=1 inject-delay=" + delay
		v := runVirtual(t, strings.Replace(cleanPath, "10.0.2.1", device, 1), 1, "--explain")
		if !strings.Contains(v.stdout, "[reset-on-path, ") || !strings.Contains(v.stdout, " 4  198.51.100.9 [open]") {
			t.Errorf("after %s: %s%s", delay, v.stdout, v.stderr)
		}
	}
}
