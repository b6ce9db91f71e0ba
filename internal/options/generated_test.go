package options

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// What is written from the option table and kept in the repository, so that packages need no generator: the man page, whose
// prose is in packaging/man/tcptraceroute.1.in, and the completions. go generate ./internal/options writes them anew; the tests
// here say where they differ from the table.

//go:generate go test -run ^TestGenerated$ -regenerate

var regenerate = flag.Bool("regenerate", false, "write the files that come from the option table")

const (
	manualSource = "../../packaging/man/tcptraceroute.1.in"
	manualFile   = "../../tcptraceroute.1"
	bashFile     = "../../packaging/completions/tcptraceroute.bash"
	zshFile      = "../../packaging/completions/_tcptraceroute"
	fishFile     = "../../packaging/completions/tcptraceroute.fish"
	optionsFile  = "../../docs/options.md"
	findingsFile = "../../docs/findings.md"
)

func TestGenerated(t *testing.T) {
	source, err := os.ReadFile(manualSource)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := os.ReadFile(findingsFile)
	if err != nil {
		t.Fatal(err)
	}
	manual, err := manual(strings.Replace(string(source), findingsMark, findingsList(t, string(findings)), 1), Groups())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		optionsFile: withRules(t, Groups()), manualFile: manual, bashFile: bashCompletion(Groups()), zshFile: zshCompletion(Groups()), fishFile: fishCompletion(Groups()),
	} {
		if *regenerate {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if had, err := os.ReadFile(name); err != nil || string(had) != text {
			t.Errorf("%s is not what the option table says (%v): go generate ./internal/options", name, err)
		}
	}
}

// manual puts the options, and what the source has to say of some of them, in their place in the man page's source.
func manual(source string, table []group) (string, error) {
	head, tail, ok := strings.Cut(source, ".\\\" OPTIONS\n")
	if !ok {
		return "", fmt.Errorf("%s has no place for the options", manualSource)
	}
	parts := strings.Split(tail, ".\\\" DETAILS ")
	details := make(map[string]string)
	for _, p := range parts[1:] {
		name, text, _ := strings.Cut(p, "\n")
		if details[name] != "" || text == "" {
			return "", fmt.Errorf("%s: nothing of %s, or twice", manualSource, name)
		}
		details[name] = text
	}
	var b strings.Builder
	b.WriteString(".\\\" From packaging/man/tcptraceroute.1.in and the option table, by go generate ./internal/options.\n" + head)
	for _, g := range table {
		fmt.Fprintf(&b, ".Ss %s\n.Bl -tag -width Ds\n", g.title)
		for _, o := range g.Options {
			if o.Help == "" {
				continue
			}
			b.WriteString(".It" + mdocForm(&o) + "\n")
			mdocText(&b, sentence(o.Whole()))
			for _, name := range o.Names() {
				b.WriteString(details[name])
				delete(details, name)
			}
		}
		b.WriteString(".El\n")
	}
	for name := range details {
		return "", fmt.Errorf("%s tells of %s, which is no option that is shown", manualSource, name)
	}
	b.WriteString(parts[0])
	return b.String(), nil
}

// findingsMark is where the man page's source has place for the findings.
const findingsMark = ".\\\" FINDINGS\n"

// findingsList has each code of a finding with what it means, as the document says first.
func findingsList(t *testing.T, document string) string {
	t.Helper()
	plain := strings.NewReplacer("`", "", "\n", " ")
	var b strings.Builder
	for _, code := range detect.Codes() {
		_, section, ok := strings.Cut(document, "\n### "+string(code)+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		_, means, ok2 := strings.Cut(plain.Replace(section), "Means: ")
		means, _, ok3 := strings.Cut(means, ". ")
		if !ok || !ok2 || !ok3 {
			t.Errorf("%s says nothing of %s, or not what it means", findingsFile, code)
			continue
		}
		fmt.Fprintf(&b, ".It Sy %s\n", strings.ReplaceAll(string(code), "-", `\-`))
		mdocText(&b, sentence(means))
	}
	return b.String()
}

// mdocForm is an option with its value in mdoc(7).
func mdocForm(o *Option) string {
	var s string
	for i, name := range o.Names() {
		if i > 0 {
			s += " ,"
		}
		s += " Fl " + name[1:]
	}
	switch {
	case o.Arg != "":
		s += " Ar " + strings.ReplaceAll(o.Arg, "|", " Ns | Ns Ar ")
	case o.word != "":
		s += " Op Cm " + o.word
	}
	return s
}

// sentence makes one of what help says in half a sentence.
func sentence(s string) string {
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

var hyphens = regexp.MustCompile(`(^|[\s(,;|/])(-+)`)

// mdocText writes running text, a line for each sentence at least, none longer than mandoc -Tlint wants.
func mdocText(b *strings.Builder, s string) {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = hyphens.ReplaceAllStringFunc(s, func(m string) string { return strings.ReplaceAll(m, "-", `\-`) })
	line := ""
	flush := func() {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		b.WriteString(line + "\n")
		line = ""
	}
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > 78 {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
		if strings.HasSuffix(word, ".") || strings.HasSuffix(word, ".)") {
			flush()
		}
	}
	if line != "" {
		flush()
	}
}

// takes says what may stand for an option's value.
type takes int

const (
	nothingAtAll takes = iota
	anything           // that nobody can know before
	choices
	interfaces
	files
)

func (o *Option) takes() takes {
	switch {
	case o.Arg == "":
		return nothingAtAll
	case len(o.Choices()) > 1:
		return choices
	case o.Arg == "interface":
		return interfaces
	case strings.EqualFold(o.Arg, "file"):
		return files
	}
	return anything
}

// shown are the options that are meant to be seen.
func shown(table []group) []Option {
	var all []Option
	for _, g := range table {
		for _, o := range g.Options {
			if o.Help != "" {
				all = append(all, o)
			}
		}
	}
	return all
}

const generatedMark = "# From the option table, by go generate ./internal/options.\n"

func bashCompletion(table []group) string {
	var all, valued, cases []string
	for _, o := range shown(table) {
		all = append(all, o.Names()...)
		pattern := strings.Join(o.Names(), "|")
		if o.Arg != "" {
			valued = append(valued, o.Names()...)
		}
		words, before := "", ""
		switch o.takes() {
		case nothingAtAll:
			if o.word != "" {
				cases = append(cases, fmt.Sprintf("\t--%s) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", o.Long, o.word))
			}
			continue
		case choices:
			words = fmt.Sprintf(`compgen -W %q`, strings.Join(o.Choices(), " "))
		case interfaces:
			words = `compgen -W "$(command ls /sys/class/net 2>/dev/null)"`
		case files:
			words, before = `compgen -f`, `local IFS=$'\n'; compopt -o filenames 2>/dev/null; `
		case anything:
			continue
		}
		cases = append(cases, fmt.Sprintf("\t%s) %sCOMPREPLY=($(%s -- \"$cur\")); return ;;\n", pattern, before, words))
	}
	return "# bash completion for tcptraceroute\n" + generatedMark + `_tcptraceroute() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i operands=0
	COMPREPLY=()
	# "=" parts words: --option = value
	[[ $cur == = ]] && cur= || { [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}; }
	case $prev in
` + strings.Join(cases, "") + "\t" + strings.Join(valued, "|") + `) return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "` + strings.Join(all, " ") + `" -- "$cur"))
		return
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		` + strings.Join(valued, "|") + `)
			[[ ${COMP_WORDS[i+1]} == = ]] && ((i++))
			((i++))
			;;
		-*) ;;
		*) ((operands++)) ;;
		esac
	done
	case $operands in
	0) COMPREPLY+=($(compgen -A hostname -- "$cur")) ;;
	1) COMPREPLY+=($(compgen -A service -- "$cur")) ;;
	esac
}
complete -F _tcptraceroute tcptraceroute
`
}

func zshCompletion(table []group) string {
	escape := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`, `'`, `'\''`).Replace
	var b strings.Builder
	b.WriteString("#compdef tcptraceroute\n" + generatedMark + "_arguments -s -S \\\n")
	for _, o := range shown(table) {
		names := o.Names()
		exclude := ""
		if len(names) > 1 {
			exclude = "(" + strings.Join(names, " ") + ")"
		}
		for _, name := range names {
			long := strings.HasPrefix(name, "--")
			if o.Arg != "" {
				name += map[bool]string{true: "=", false: "+"}[long]
			}
			spec := exclude + name + "[" + escape(o.Help) + "]"
			switch o.takes() {
			case nothingAtAll:
				if o.word != "" && long {
					spec += "::" + o.word + ":(" + o.word + ")"
				}
			case choices:
				spec += ":choice:(" + strings.Join(o.Choices(), " ") + ")"
			case interfaces:
				spec += ":interface:_net_interfaces"
			case files:
				spec += ":file:_files"
			case anything:
				spec += ":" + escape(o.Arg) + ": "
			}
			fmt.Fprintf(&b, "\t'%s' \\\n", spec)
		}
	}
	b.WriteString("\t':host:_hosts' \\\n\t':port:_ports' \\\n\t':length: '\n")
	return b.String()
}

func fishCompletion(table []group) string {
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace
	var b strings.Builder
	b.WriteString("# fish completion for tcptraceroute\n" + generatedMark + "complete -c tcptraceroute -f -a '(__fish_print_hostnames)'\n")
	for _, o := range shown(table) {
		b.WriteString("complete -c tcptraceroute")
		if o.Short != 0 {
			fmt.Fprintf(&b, " -s %c", o.Short)
		}
		if o.Long != "" {
			fmt.Fprintf(&b, " -l %s", o.Long)
		}
		switch o.takes() {
		case choices:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(o.Choices(), " "))
		case interfaces:
			b.WriteString(" -x -a '(command ls /sys/class/net 2>/dev/null)'")
		case files:
			b.WriteString(" -r -F")
		case anything:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d '%s'\n", escape(o.Help))
		if o.word != "" {
			fmt.Fprintf(&b, "complete -c tcptraceroute -n '__fish_prev_arg_in --%s' -a '%s'\n", o.Long, o.word)
		}
	}
	return b.String()
}

// withRules is the document of the options with what each needs and excludes.
func withRules(t *testing.T, table []group) string {
	t.Helper()
	text, err := os.ReadFile(optionsFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "## What goes together\n", "\n## "
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %q", optionsFile, begin)
	}
	var b strings.Builder
	b.WriteString(head + begin + "\nThis table comes from the program's own (`go generate ./internal/options`).\n\n| option | rule |\n|---|---|\n")
	for _, g := range table {
		for _, o := range g.Options {
			if rules := o.rules(); rules != "" {
				fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(o.Names(), ", "), rules)
			}
		}
	}
	return b.String() + end + tail
}
