package expect

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// reason is a mistake as the library words it, and as people do.
type reason struct {
	theirs *regexp.Regexp
	ours   func(match []string) string
}

// reasons are the library's mistakes that a condition can make. Its words are of Go's types and of its own parser.
var reasons = sync.OnceValue(func() []reason {
	always := func(text string) func([]string) string { return func([]string) string { return text } }
	var all []reason
	for _, r := range []struct {
		theirs string
		ours   func([]string) string
	}{
		{`^unknown name (.*)`, func(m []string) string {
			return "unknown name " + cut(m[1]) + "; a condition may ask for " + Words
		}},
		{`time\.Duration`, func(m []string) string { return "a time is compared with a time, such as 50ms or 1.5s" }},
		{`mismatched types (.+?) and (.+?)\)`, func(m []string) string {
			return fmt.Sprintf("%s can't be compared or computed with %s", kind(m[1]), kind(m[2]))
		}},
		{`^expected bool, but got (.*)`, func(m []string) string {
			return "a condition is true or false, and this is " + kind(m[1])
		}},
		{`^unexpected (?:token )?EOF`, always("something is missing at the end")},
		{`^unexpected (?:token )?\w+\("(.*)"\)`, func(m []string) string { return "this isn't expected here: " + cut(m[1]) }},
		{`is not callable`, always("no brackets follow this")},
		{`^(?:not enough|too many) arguments to call (\w+)`, func(m []string) string {
			return m[1] + " takes one thing in its brackets; a condition may ask for " + Words
		}},
		{`^invalid \w+ literal`, always("this is no number, or one that is too large")},
		{`^(?:invalid operation|operator)`, always("this can't be computed")},
		{`^a map key`, always("this is not allowed in a condition")},
		{`^literal not terminated`, always("a quote is missing at the end")},
	} {
		all = append(all, reason{regexp.MustCompile(r.theirs), r.ours})
	}
	return all
})

// explained is the library's reason in plain words, with what is allowed.
func explained(library string) string {
	library, _, _ = strings.Cut(library, "\n")
	for _, r := range reasons() {
		if m := r.theirs.FindStringSubmatch(library); m != nil {
			return r.ours(m)
		}
	}
	return cut(library)
}

// cut shortens what may quote a whole condition.
func cut(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// kind is a type of the library in words.
func kind(of string) string {
	switch {
	case strings.HasPrefix(of, "func"):
		return "a question that needs something in brackets, such as via(192.0.2.1)"
	case of == "bool":
		return "true or false"
	case of == "string":
		return "a word"
	case strings.HasPrefix(of, "int"), strings.HasPrefix(of, "float"):
		return "a number"
	}
	return "something else"
}
