package detect_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// actions are the words that advice begins with: somebody who is tired reads what to do, and then why.
var actions = []string{"Ask", "Check", "Clamp", "Look", "Nothing", "On", "Run", "Trace", "Try"}

const (
	longestTitle     = 175 // characters, with IPv6 addresses of the usual length
	longestEvidence  = 300
	longestAdvice    = 330
	sentencesAdvised = 3
)

// Texts are for somebody on a server that isn't theirs, at night: the title says what is wrong and where, in one
// sentence; advice begins with what to do, or whom to ask.
func TestTexts(t *testing.T) {
	said := map[string]bool{}
	for _, s := range scenarios(t) {
		for _, x := range detect.Findings(s.evidence(t, 1, nil)) {
			for _, wrong := range badText(x) {
				if text := string(x.Code) + ": " + wrong; !said[text] {
					said[text] = true
					t.Errorf("%s, in %s: %s", s.file, s.name, text)
				}
			}
		}
	}
}

// unclear are words that a reader stops at.
var unclear = regexp.MustCompile(`\bbehind (that|hop|it|this)\b|\btells?\b.*\btells?\b|  `)

// dropping are the findings of filters. Answers that are dropped on the way back look the same as each of them.
var dropping = []detect.Code{
	detect.SizeFilter, detect.MarkDropped, detect.FilteredPort, detect.FilteredSYN, detect.FilteredACK, detect.FilteredTCP,
}

// badText says what is wrong with the texts of a finding.
func badText(x detect.Finding) (wrong []string) {
	verb, _, _ := strings.Cut(strings.TrimSuffix(x.Advice, "."), " ")
	verb = strings.TrimRight(verb, ",:.")
	switch {
	case x.Advice == "" && x.Weight > 100:
		wrong = append(wrong, "no advice for "+x.Title)
	case x.Advice != "" && !slices.Contains(actions, verb):
		wrong = append(wrong, "advice begins with no action: "+x.Advice)
	}
	for text, most := range map[string]int{x.Title: longestTitle, x.Advice: longestAdvice} {
		if len(text) > most {
			wrong = append(wrong, "too long: "+text)
		}
	}
	if slices.Contains(dropping, x.Code) && !strings.Contains(x.Title, ", on the way there or back") {
		wrong = append(wrong, "claims to know that it isn't the way back: "+x.Title)
	}
	if x.Code == detect.FilteredPort && !strings.Contains(x.Advice, "a ban") {
		wrong = append(wrong, "claims to know that a rule drops: "+x.Advice)
	}
	if regexp.MustCompile(`target itself (refuses|accepts|rejects)`).MatchString(x.Title) {
		wrong = append(wrong, "claims to know that nobody stands on the target's own link: "+x.Title)
	}
	if strings.HasSuffix(x.Title, ".") || x.Advice != "" && !strings.HasSuffix(x.Advice, ".") {
		wrong = append(wrong, "how it ends: "+x.Title+" | "+x.Advice)
	}
	if n := strings.Count(x.Advice, ". ") + strings.Count(x.Advice, "? ") + 1; n > sentencesAdvised {
		wrong = append(wrong, "more than three sentences: "+x.Advice)
	}
	for _, e := range x.Evidence {
		if len(e) > longestEvidence || !strings.HasSuffix(e, ".") {
			wrong = append(wrong, "evidence: "+e)
		}
	}
	for _, text := range append([]string{x.Title, x.Advice}, x.Evidence...) {
		if m := unclear.FindString(text); m != "" {
			wrong = append(wrong, "unclear ("+m+"): "+text)
		}
	}
	return wrong
}
