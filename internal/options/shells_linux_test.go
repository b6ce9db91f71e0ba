package options

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// output runs a foreign program, an oracle, and returns what it prints; it must succeed and be silent on standard error.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	lab.NeedProgram(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, &stdout, &stderr)
	}
	return stdout.String()
}

// allNames are all ways to write the options that are shown.
func allNames() []string {
	var all []string
	for _, o := range shown(Groups()) {
		all = append(all, o.Names()...)
	}
	slices.Sort(all)
	return all
}

// backspaced is how bold and underlined text is told to old terminals.
var backspaced = regexp.MustCompile(`.\x08`)

// mandoc has nothing to say of the man page, and it fits a terminal as mandoc and as groff format it. Every option that is
// shown stands there as an item of the list.
func TestManual(t *testing.T) {
	if said := output(t, nil, "mandoc", "-Tlint", manualFile); said != "" {
		t.Error(said)
	}
	path, err := filepath.Abs(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mandoc": output(t, nil, "mandoc", "-Tascii", "-Owidth=78", path),
		"man":    output(t, []string{"MANWIDTH=80", "MAN_KEEP_FORMATTING=", "LC_ALL=C"}, "man", "-P", "cat", path),
	} {
		text = backspaced.ReplaceAllString(text, "")
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\n"); len(line) > Screen {
				t.Errorf("%s: %d columns: %s", name, len(line), line)
			}
		}
		for _, o := range shown(Groups()) {
			form := strings.Join(o.Names(), ", ")
			switch {
			case o.Arg != "":
				form += " " + o.Arg
			case o.word != "":
				form += " [" + o.word + "]"
			}
			if !strings.Contains(text, "\n     "+form+"\n") && !strings.Contains(text, "\n     "+form+"  ") {
				t.Errorf("%s shows no %s", name, form)
			}
		}
	}
}

// Bash loads its completions and offers every option, the choices of those that have some, and nothing for what nobody
// can know.
func TestBashCompletion(t *testing.T) {
	path, err := filepath.Abs(bashFile)
	if err != nil {
		t.Fatal(err)
	}
	complete := func(words ...string) []string {
		t.Helper()
		script := `source "$0" && complete -p tcptraceroute >/dev/null && COMP_WORDS=(tcptraceroute "$@") COMP_CWORD=$# && { _tcptraceroute; printf '%s\n' "${COMPREPLY[@]}"; }`
		return wordsOf(output(t, nil, "bash", append([]string{"--norc", "-c", script, path}, words...)...))
	}
	offers := func(want []string, words ...string) {
		t.Helper()
		if got := complete(words...); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
	offers(allNames(), "-")
	offers([]string{"--dnat"}, "--dn")
	offers([]string{"--dnat"}, "-q", "3", "--dn")
	offers([]string{"lo"}, "-i", "lo")
	offers([]string{"all"}, "--help", "al")
	offers(nil, "-q", "")
	offers(nil, "--parallel", "=", "")
	offers([]string{"ftps-data"}, "--parallel", "=", "4", "host", "ftps-")
	offers([]string{"ftps-data"}, "-q", "4", "host", "ftps-")
	offers(nil, "host", "80", "")
	for _, o := range shown(Groups()) {
		if o.takes() == files {
			offers([]string{bashFile}, o.Names()[0], strings.TrimSuffix(bashFile, "h"))
		}
	}
	for _, o := range shown(Groups()) {
		if o.takes() != choices {
			continue
		}
		want := slices.Sorted(slices.Values(o.Choices()))
		for _, name := range o.Names() {
			offers(want, name, "")
			if strings.HasPrefix(name, "--") {
				offers(want, name, "=")
				offers(want[:1], name, "=", want[0])
			}
		}
	}
}

// Zsh, on a terminal of its own, completes from the file. What it would offer is taken from compadd, the builtin that
// everything ends in.
func TestZshCompletion(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(filepath.Dir(zshFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"tcptraceroute -", "tcptraceroute -i ", "tcptraceroute --help "}
	for _, o := range shown(Groups()) {
		if o.takes() == choices {
			for _, name := range o.Names() {
				lines = append(lines, "tcptraceroute "+name+" ")
			}
		}
	}
	text := output(t, []string{"FILES=" + dir, "TERM=dumb", "ZDOTDIR=" + t.TempDir()}, "zsh", append([]string{"-f", "-c", zshDriver, "zsh"}, lines...)...)
	answers := strings.Split(text, "--\n")
	if len(answers) != len(lines)+1 {
		t.Fatalf("%q", answers)
	}
	offers := make(map[string][]string)
	for i, line := range lines {
		offers[line] = wordsOf(answers[i])
	}
	if got, want := offers[lines[0]], allNames(); !slices.Equal(got, want) {
		t.Errorf("options: %q, want %q", got, want)
	}
	if got := offers[lines[1]]; !slices.Contains(got, "lo") {
		t.Errorf("interfaces: %q", got)
	}
	if got := offers[lines[2]]; !slices.Contains(got, "all") {
		t.Errorf("--help: %q", got)
	}
	for _, o := range shown(Groups()) {
		if o.takes() != choices {
			continue
		}
		for _, name := range o.Names() {
			if got, want := offers["tcptraceroute "+name+" "], slices.Sorted(slices.Values(o.Choices())); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// zshDriver asks a zsh on a pseudo-terminal for the completions of each argument, and prints one a line and "--" after each
// argument's.
const zshDriver = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT= RPROMPT=; fpath=($FILES \$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w z 'compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
	typeset -a __found
	builtin compadd -A __found "$@"
	local x; for x in $__found; do print -r -- "<found>${x%=}</found>"; done
	builtin compadd "$@"
}'
zpty -w z 'finish() { zle kill-whole-line; print "<fin""ished>" }; zle -N finish; bindkey "^X" finish; bindkey "^I" complete-word; zle -C complete-word complete-word _main_complete; print "<rea""dy>"'
zpty -r z answer "*<ready>*"
for line; do
	zpty -n -w z "$line"$'\t\x18'
	zpty -r z answer "*<finished>*"
	print -r -- "$answer" | sed -n 's/.*<found>\(.*\)<\/found>.*/\1/p'
	print -r -- --
done
zpty -d z
`

// Fish offers every option with the choices of those that have some.
func TestFishCompletion(t *testing.T) {
	path, err := filepath.Abs(fishFile)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	complete := func(line string) []string {
		t.Helper()
		text := output(t, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CACHE_HOME=" + home},
			"fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", path, line)
		var words []string
		for line := range strings.Lines(text) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		slices.Sort(words)
		return words
	}
	want := allNames()
	if got := complete("tcptraceroute -"); !slices.Equal(got, want) {
		t.Errorf("options: %q, want %q", got, want)
	}
	if got := complete("tcptraceroute -i "); !slices.Contains(got, "lo") {
		t.Errorf("interfaces: %q", got)
	}
	if got := complete("tcptraceroute --help al"); !slices.Contains(got, "all") {
		t.Errorf("--help: %q", got)
	}
	for _, o := range shown(Groups()) {
		if o.takes() != choices {
			continue
		}
		for _, name := range o.Names() {
			if got, want := complete("tcptraceroute "+name+" "), slices.Sorted(slices.Values(o.Choices())); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// wordsOf are the lines that aren't empty, each once, in order.
func wordsOf(text string) []string {
	words := strings.Fields(text)
	slices.Sort(words)
	return slices.Compact(words)
}
