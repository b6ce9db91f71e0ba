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
		{Code: "a-b", Title: "It is so", Confidence: detect.Certain},
		{Code: "c", Title: long, Evidence: []string{long, "short\x1b[31m"}, Advice: "do it", Confidence: detect.Possible},
	}
	var b strings.Builder
	if err := Findings(&b, all); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if !strings.HasPrefix(got, "It is so. [a-b, certain]\n\nword word ") || !strings.HasSuffix(got, "\n  - short\\x1b[31m\n  > do it\n") {
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
