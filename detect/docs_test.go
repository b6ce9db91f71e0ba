package detect_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"go.example/tcptraceroute/detect"
)

// Each finding has its section in the manual of findings, and each section its finding.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []detect.Code
	for _, m := range regexp.MustCompile(`(?m)^### (\S+)$`).FindAllSubmatch(text, -1) {
		sections = append(sections, detect.Code(m[1]))
	}
	codes := detect.Codes()
	for _, c := range codes {
		if !slices.Contains(sections, c) {
			t.Errorf("docs/findings.md has no section about %s", c)
		}
	}
	for i, s := range sections {
		if !slices.Contains(codes, s) || slices.Contains(sections[:i], s) {
			t.Errorf("docs/findings.md: section %s", s)
		}
	}
}
