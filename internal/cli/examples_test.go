package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateExamples = flag.Bool("update-examples", false, "TestExamples writes the examples of docs/findings.md anew")

// examples are situations that docs/findings.md shows, each with what the program says.
var examples = []struct {
	name    string
	seed    uint64 // in which a network with branches shows the situation
	network string
}{
	{"open, through a load balancer", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.1,10.0.3.2 delay=2ms
			router 10.0.4.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
	{"closed", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.1 delay=2ms
			target 198.51.100.9 delay=1ms closed`},
	{"a firewall on the way drops the port", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms drop=443
			router 10.0.3.1 delay=2ms
			router 10.0.4.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
	{"the target's own firewall, or its security group", 1,
		`
			router 2001:db8:a1::1 delay=1ms
			router 2001:db8:a2::1 delay=2ms
			router 2001:db8:a3::1 delay=2ms
			target 2001:db8:99::1 delay=1ms filtered=443`},
	{"nothing gets through", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms drop drop=not-tcp
			router 10.0.3.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
	{"a router rejects the port", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms reject=13:443
			router 10.0.3.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
	{"the target is down", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.1 delay=2ms unresolved=3.06s
			target 198.51.100.9 delay=1ms`},
	{"a firewall resets in the target's name", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.1 delay=2ms reset=443
			router 10.0.4.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
	{"one of two equal ways is dead", 3,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.1 delay=2ms
			router 10.0.4.1 delay=2ms
			change share=0.5
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms
			router 10.0.3.2 delay=2ms drop drop=not-tcp
			target 198.51.100.9 delay=1ms`},
	{"a tunnel lowers the MSS", 1,
		`
			router 10.0.1.1 delay=1ms
			router 10.0.2.1 delay=2ms set-mss=1360
			router 10.0.3.1 delay=2ms
			router 10.0.4.1 delay=2ms
			target 198.51.100.9 delay=1ms`},
}

// TestExamples has the situations of docs/findings.md explained by the program, in a simulated network: what stands
// there is what it says. After a change of texts:
//
//	go test ./internal/cli -run TestExamples -update-examples
func TestExamples(t *testing.T) {
	t.Parallel()
	const file = "../../docs/findings.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, x := range examples {
		begin, end := fmt.Sprintf("<!-- example: %s -->\n", x.name), "<!-- end of example -->\n"
		before, rest, ok := strings.Cut(doc, begin)
		shown, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Errorf("%s has no example %q", file, x.name)
			continue
		}
		v := runVirtual(t, x.network, x.seed, "--explain")
		_, said, _ := strings.Cut(v.stdout, "\n\n") // the hops go before it
		block := "\n"
		for line := range strings.Lines(said) {
			block += strings.TrimRight("    "+line, " \n") + "\n"
		}
		block += "\n"
		if block != shown && !*updateExamples {
			t.Errorf("%s: the program says\n%sand %s shows\n%s", x.name, block, file, shown)
		}
		doc = before + begin + block + end + after
	}
	if *updateExamples && doc != string(text) {
		if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
