package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/record"
)

// odd are values that are wrong for most options.
var odd = []string{
	"", " ", "x", "-1", "-0.5", "0", "+1", "1.5", "0x", "0x1g", "1e9", "NaN", "Inf", "1,5", "1 2", "5 ", "\u0661", "\xff", "\x1b[31m", "a\nb",
	"999999999999999999999999", "-999999999999999999999999", strings.Repeat("9", 400), strings.Repeat("x", 400), "all", "--json",
}

// free are the options whose value may be anything: it is judged where it is used.
var free = []string{"-i", "-s", "--mmdb", "--pcap", "--replay", "--preset", "--diff", "--baseline", "--save",
	"--targets", "--exclude", "--resume"}

// printable is what a message may consist of.
var printable = func() string {
	all := "\n"
	for c := ' '; c <= '~'; c++ {
		all += string(c)
	}
	return all
}()

// ttls are refused by PathOptions.
var ttls = []string{"-f", "-m"}

// oldWords are what the old program says of a number that is none, without the value.
var oldWords = regexp.MustCompile(`^Numeric argument required for -[a-zA-Z]\n$`)

// Every option with every kind of wrong value, and without one: it is taken, or one line on standard error names the option
// and the value, says what is allowed, and can't hurt a terminal. Standard output is empty, whatever the format.
func TestWrongValues(t *testing.T) {
	for _, o := range options.Options() {
		for _, name := range o.Names() {
			for _, format := range [][]string{nil, {"--json"}, {"--jsonl"}, {"--csv"}} {
				if format != nil && (o.Long == "format" || o.Arg == "") {
					continue
				}
				for _, v := range odd {
					if o.Arg != "" {
						checkWrong(t, &o, name, v, append(slices.Clone(format), name, v))
					}
					if strings.HasPrefix(name, "--") {
						checkWrong(t, &o, name, v, append(slices.Clone(format), name+"="+v))
					}
				}
				if o.Arg != "" {
					checkMissing(t, &o, name, append(slices.Clone(format), name))
				}
			}
		}
	}
}

// checkMissing runs a command line that ends with an option that wants a value.
func checkMissing(t *testing.T, o *options.Option, name string, args []string) {
	t.Helper()
	stdout, stderr, code := invoke(args...)
	if want := "Argument required for " + name + "\n"; stdout != "" || stderr != want || code != 1 {
		t.Errorf("%q: %q, %q, %d", args, stdout, stderr, code)
	}
}

// checkWrong runs a command line without a host, so that a value that is taken is seen by what is missed then.
func checkWrong(t *testing.T, o *options.Option, name, v string, args []string) {
	t.Helper()
	c := new(options.Config)
	if _, err := options.Parse(options.Options(), args, c); c.Help || c.Version || err == nil && (o.Arg == "" || slices.Contains(free, name)) {
		return
	} else if err == nil {
		allowed := append(o.Choices(), "0", "1.5")
		if slices.Contains(allowed, v) || slices.Contains(ttls, name) && options.Digits(v) { // refused with the target
			return
		}
		t.Errorf("%q is taken", args)
		return
	}
	stdout, stderr, code := invoke(args...)
	value := strings.TrimSuffix(record.Printable(v), " ")
	switch {
	case stdout != "" || code != 1:
		t.Errorf("%q: stdout %q, exit code %d", args, stdout, code)
	case strings.Count(stderr, "\n") != 1 || len(stderr) > 700 || strings.Trim(stderr, printable) != "":
		t.Errorf("%q: no line: %q", args, stderr)
	case oldWords.MatchString(stderr):
		if !strings.Contains(stderr, name) {
			t.Errorf("%q: another option's line: %q", args, stderr)
		}
	case !strings.Contains(stderr, name) || !strings.Contains(stderr, value):
		t.Errorf("%q: neither option nor value in %q", args, stderr)
	}
}

// What is typed by habit has an answer that names an option of ours, if it names any.
func TestHabits(t *testing.T) {
	own := regexp.MustCompile(`(?:^|[\s(])(--?[a-zA-Z][a-z-]*)`)
	theirs := regexp.MustCompile(`(?:mtr|traceroute)'s (-[A-Za-z])`)
	for habit, advice := range options.Habits {
		letter := strings.TrimPrefix(habit, "-")
		for _, o := range options.Options() {
			if slices.Contains(o.Names(), habit) {
				t.Errorf("%s is an option of ours", habit)
			}
		}
		text := theirs.ReplaceAllString(advice, "")
		for _, m := range own.FindAllStringSubmatch(text, -1) {
			known := m[1] == "-"+letter
			for _, o := range options.Options() {
				known = known || slices.Contains(o.Names(), m[1])
			}
			if !known {
				t.Errorf("%s: there is no %s: %s", habit, m[1], advice)
			}
		}
		if len(fmt.Sprintf("Unknown command line argument: %s (%s); see tcptraceroute --help", habit, advice)) > 240 {
			t.Errorf("%s: too long: %s", habit, advice)
		}
	}
}
