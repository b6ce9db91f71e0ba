package report

import (
	"errors"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

func TestFindings(t *testing.T) {
	long := strings.Repeat("word ", 40)
	all := []detect.Finding{
		{Code: "a-b", Title: "It is so", Confidence: detect.Certain, Weight: 500},
		{Code: "c", Title: long, Evidence: []string{long, "short\x1b[31m"}, Advice: "do it", Confidence: detect.Possible,
			Weight: 400},
		{Code: "d", Title: "A detail", Evidence: []string{"seen"}, Advice: "nothing", Confidence: detect.Likely, Weight: 50},
	}
	var b strings.Builder
	if err := Findings(&b, all); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	const first, last = "It is so. [a-b, certain]\n\nword word ", "\n  - short\\x1b[31m\n  > do it\nA detail. [d, likely]\n"
	if !strings.HasPrefix(got, first) || !strings.HasSuffix(got, last) {
		t.Errorf("%s", got)
	}
	for line := range strings.Lines(got) {
		if len(line) > 81 {
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
	if Findings(broken{}, all) == nil {
		t.Error("no error of a broken writer")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }
