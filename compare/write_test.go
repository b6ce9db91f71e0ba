package compare_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.example/tcptraceroute/compare"
)

// schema is diff-1.json as a validator that lets nothing pass that it doesn't name.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("diff-1.json")
	if err != nil {
		t.Fatal(err)
	}
	closed := strings.ReplaceAll(string(text), `"type": "object",`, `"type": "object", "additionalProperties": false,`)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(closed))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(compare.ID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(compare.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The document is what its schema says, with differences, doubts and notes and without.
func TestJSONIsValid(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, new := range []string{network, network + " closed", with(network, "10.0.4.1", "10.9.4.1"),
		with(network, "10.0.1.1 delay=1ms", "10.0.1.1 delay=9ms"), with(network, "10.0.2.1", "10.9.2.1", "10.0.1.1", "10.9.1.1")} {
		for _, port := range []uint16{41234, 41235} {
			r := pair(t, network, new, 3, 1, port)
			var b bytes.Buffer
			if err := r.WriteJSON(&b); err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(doc); err != nil {
				t.Errorf("%v\n%s", err, &b)
			}
		}
	}
}

// Names from the network can do nothing to a terminal.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	r := pair(t, network, with(network, "10.0.4.1", "10.9.4.1"), 10, 1, 41234)
	r.Differences[0].Text, r.Notes = "evil\x1b[2J\nrow", []string{"\x9b31m"}
	var text, doc bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), doc.String()} {
		if strings.Trim(out, "\n") == "" || strings.ContainsFunc(out, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }) {
			t.Errorf("%q", out)
		}
	}
}

// How often chance does something is a number that people can read.
func TestChanceInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		chance float64
		want   string
	}{
		{0, "  state: closed\n"},
		{0.0004, "  state: closed (chance does that in 1 of 2500 comparisons)\n"},
		{1e-18, "  state: closed (chance does that in less than 1 of 1,000,000 comparisons)\n"},
	} {
		var b strings.Builder
		r := pair(t, network, network, 3, 1, 41234)
		r.Differences = []compare.Difference{{Kind: compare.State, Text: "closed", Chance: tt.chance}}
		if err := r.WriteText(&b); err != nil || !strings.HasSuffix(b.String(), tt.want) {
			t.Errorf("%v: %q, %v", tt.chance, b.String(), err)
		}
	}
}
