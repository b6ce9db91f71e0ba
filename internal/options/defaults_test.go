package options

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/measure"
)

// configured makes a configuration file for the test; "": there is none.
func configured(t *testing.T, text string) (name string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	name = filepath.Join(dir, "tcptraceroute", "config.toml")
	if text == "" {
		return name
	}
	if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// said is what the options are in the end, in order, as the command line has them.
func said(all []Setting) string {
	var words []string
	for _, s := range all {
		words = append(words, s.written())
	}
	return strings.Join(words, " ")
}

const configText = `
n = true          # names cost time
q = 1
explain = true
mmdb = ["/a.mmdb", "/b.mmdb"]
color = "never"
4 = false

[preset.slow]
w = 10.5
parallel = 1

[preset.watch]
live = true
interval = 0.5
`

func TestDefaults(t *testing.T) {
	const whole = "-n -q 1 --explain --mmdb /a.mmdb --mmdb /b.mmdb --color never"
	for _, tt := range []struct {
		name, text, variable, args string
		piped                      bool // standard output is no terminal
		want                       string
	}{
		{"no file", "", "", "-6 host", false, "-6"},
		{"the file", configText, "", "host", false, whole},
		{"not for scripts", configText, "", "host", true, ""},
		{"the variable is for scripts too", configText, " --json  -q2 ", "host", true, "--json -q 2"},
		{"the variable after the file", configText, "-w 2", "host", false, whole + " -w 2"},
		{"what is typed replaces defaults", configText, "-w 2", "-w 3 --color always -q 2 host", false,
			"-n --explain --mmdb /a.mmdb --mmdb /b.mmdb -w 3 --color always -q 2"},
		{"an option of several values", configText, "", "--mmdb /c.mmdb host", false,
			"-n -q 1 --explain --color never --mmdb /c.mmdb"},
		{"what doesn't go with the command line gives way", configText, "", "--live host", false,
			"-n --mmdb /a.mmdb --mmdb /b.mmdb --color never --live"},
		{"a format gives way to another", "json = true", "", "--csv host", false, "--csv"},
		{"what needs something else waits for it", "c = 10", "", "host", false, ""},
		{"and is there then", "count = 10", "", "--report host", false, "--count 10 --report"},
		{"what needs another default waits for it", "c = 1\nreport = true", "-b", "host", false, "--count 1 --report --show-ips"},
		{"in the order in which they stand", "", "-c 1 --report -c 2", "host", true, "--count 1 --report --count 2"},
		{"a first TTL gives way to a lower last one", "f = 5", "", "-m 3 host", false, "-m 3"},
		{"a first TTL beyond the usual last one", "f = 40", "", "-m 50 host", false, "-f 40 -m 50"},
		{"a byte order mark", "\ufeffq = 1", "", "host", false, "-q 1"},
		{"a saved trace", configText, "", "--replay /saved.json", false,
			"-n --explain --color never --replay /saved.json"},
		{"a preset", configText, "", "--preset slow host", false, whole + " -w 10.5 --parallel 1 --preset slow"},
		{"a preset for scripts", configText, "-n", "--preset slow host", true, "-n -w 10.5 --parallel 1 --preset slow"},
		{"a preset is stronger than defaults", configText, "-w 1", "--preset watch host", false,
			"-n --mmdb /a.mmdb --mmdb /b.mmdb --color never -w 1 --live --interval 0.5 --preset watch"},
		{"the command line is stronger than a preset", configText, "", "-w 2 --preset slow --no-config host", false,
			"-w 2 --preset slow --no-config"}, // which is refused later
		{"none at all", configText, "--json", "--no-config host", false, "--no-config"},
		{"help reads nothing", "n = 1 =", "--bogus", "--help", false, "--help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			configured(t, tt.text)
			t.Setenv(optionsVariable, tt.variable)
			p := &reading{stderr: new(bytes.Buffer), toTerminal: !tt.piped}
			if _, err := p.CommandLine(strings.Fields(tt.args), measure.Identity{}, p.toTerminal, p.stderr); err != nil {
				t.Fatal(err)
			}
			if got := said(p.Given); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// The command line's value counts, and not only its words.
func TestDefaultsAreReplaced(t *testing.T) {
	configured(t, configText)
	t.Setenv(optionsVariable, "-w 7")
	p := &reading{toTerminal: true}
	operands, err := p.CommandLine([]string{"-q", "2", "--preset", "slow", "host", "443"}, measure.Identity{}, p.toTerminal, p.stderr)
	if err != nil || p.Path.Queries != 2 || p.Path.Wait.Seconds() != 10.5 || !p.Explain || p.Path.Parallel != 1 {
		t.Errorf("%v: queries %d, wait %v, explain %t, parallel %d", err, p.Path.Queries, p.Path.Wait, p.Explain,
			p.Path.Parallel)
	}
	if !slices.Equal(operands, []string{"host", "443"}) {
		t.Errorf("operands %q", operands)
	}
}

// Each mistake has one line, with the file, the line in it, the key, and what is allowed.
func TestMistakesInDefaults(t *testing.T) {
	for _, tt := range []struct{ text, variable, args, want string }{
		{"n = true\nexplian = true", "", "", "FILE:2: explian is not an option (did you mean explain?); keys are the options' names without dashes"},
		{"zzz = 1", "", "", "FILE:1: zzz is not an option; keys are the options' names without dashes"},
		{"a.b = 1", "", "", "FILE:1: a.b is not an option; keys are the options' names without dashes"},
		{"\"\" = 1", "", "", "FILE:1:  is not an option; keys are the options' names without dashes"},
		{"\n\nm = \"x\"", "", "", "FILE:3: Numeric argument required for -m"},
		{"parallel = 0", "", "", "FILE:1: Argument of --parallel must be between 1 and 65535: 0"},
		{"\nq = 0", "", "", "FILE:2: Number of queries must be at least 1"},
		{"f = 256", "", "", "FILE:1: TTL must be less than 256"},
		{"", "-n -q0", "", optionsVariable + ": Number of queries must be at least 1"},
		{"color = \"pink\"", "", "", "FILE:1: Argument of --color must be auto, always or never: pink"},
		{"n = 1", "", "", "FILE:1: n takes true or false, not 1"},
		{"q = true", "", "", "FILE:1: q takes a value (queries), not true"},
		{"q = { a = 1 }", "", "", "FILE:1: q takes a text or a number (queries)"},
		{"mmdb = [\"a\", [\"b\"]]", "", "", "FILE:1: mmdb takes a text or a number (file)"},
		{"q = 2020-01-01", "", "", "FILE:1: q takes a text or a number (queries)"},
		{"pcap = \"/etc/passwd\"", "", "", "FILE:1: --pcap can't be a default: it must be on the command line"},
		{"[preset.a]\nreplay = \"x\"", "", "", "FILE:2: --replay can't be a default: it must be on the command line"},
		{"preset = \"a\"", "", "", "FILE:1: --preset can't be a default: it must be on the command line"},
		{"[presets.a]\nq = 1", "", "", "FILE:1: presets.a: the only tables are [preset.NAME]"},
		{"[preset]\nq = 1", "", "", "FILE:1: preset: the only tables are [preset.NAME]"},
		{"[[preset.a]]\nq = 1", "", "", "FILE:1: preset.a: the only tables are [preset.NAME]"},
		{"q = 1\nq = 2", "", "", "FILE:2: "},
		{"q = 1\nn = = 2", "", "", "FILE:2: "},
		{"x\x1b = 1", "", "", "FILE:1: "},
		{"n = true", "", "--preset slow", "--preset slow: FILE has no [preset.slow]"},
		{configText, "", "--preset fast", "--preset fast: FILE has no such preset, only slow, watch"},
		{"", "", "--preset fast", "--preset fast: FILE has no [preset.fast]"},
		{"", "", "--preset=", "Argument of --preset must be the name of a preset in the configuration file"},
		{configText, "", "--preset watch --explain", ""}, // the conflict is told by the check of all options
		{"", "--bogus", "", optionsVariable + ": Unknown command line argument: --bogus; see tcptraceroute --help"},
		{"", "-n host", "", optionsVariable + ": it takes options only, no host and no port: host"},
		{"", "--pcap /x", "", optionsVariable + ": --pcap can't be a default: it must be on the command line"},
		{"", "-h", "", optionsVariable + ": -h can't be a default: it must be on the command line"},
		{"", "-q", "", optionsVariable + ": Argument required for -q"},
	} {
		name := configured(t, tt.text)
		t.Setenv(optionsVariable, tt.variable)
		p := &reading{toTerminal: true, stderr: new(bytes.Buffer)}
		_, err := p.CommandLine(append(strings.Fields(tt.args), "host"), measure.Identity{}, p.toTerminal, p.stderr)
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), name, "FILE")
		}
		if got != tt.want && !(strings.HasSuffix(tt.want, ": ") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q %q %s: %q\nwant %q", tt.text, tt.variable, tt.args, got, tt.want)
		}
		if strings.ContainsAny(got, "\n\x1b") {
			t.Errorf("%q: not one printable line: %q", tt.text, got)
		}
	}
}

// A program that has more rights than its caller reads no defaults, and one with a network capability does.
func TestDefaultsGiveNoRights(t *testing.T) {
	configured(t, "q = 1")
	t.Setenv(optionsVariable, "-w 2")
	for _, tt := range []struct {
		name string
		who  measure.Identity
		want string
	}{
		{"ordinary", measure.Identity{}, "-q 1 -w 2 -d"},
		{"set-user-ID", measure.Identity{RealUID: 1000, Elevated: true}, "-d"},
		{"set-group-ID", measure.Identity{RealGID: 1000, Elevated: true}, "-d"},
		{"network capability", measure.Identity{Elevated: true, NetRaw: true}, "-q 1 -w 2 -d"},
		{"a capability for files", measure.Identity{Elevated: true, NetRaw: true, AnyFile: true}, "-d"},
		{"root", measure.Identity{NetRaw: true, AnyFile: true}, "-q 1 -w 2 -d"},
	} {
		var stderr bytes.Buffer
		p := &reading{toTerminal: true, stderr: &stderr}
		if _, err := p.CommandLine([]string{"-d", "host"}, tt.who, p.toTerminal, p.stderr); err != nil || said(p.Given) != tt.want {
			t.Errorf("%s: %v, %s, want %s", tt.name, err, said(p.Given), tt.want)
		}
		if refused := strings.Contains(stderr.String(), "no defaults are read"); refused != (tt.want == "-d") {
			t.Errorf("%s: said %q", tt.name, stderr.String())
		}
		p = &reading{toTerminal: true, stderr: &stderr}
		if _, err := p.CommandLine([]string{"--preset", "x", "host"}, tt.who, p.toTerminal, p.stderr); err == nil {
			t.Errorf("%s: a preset that isn't there", tt.name)
		}
	}
}

// The file must be the user's own, and a file.
func TestConfigOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of others")
	}
	name := configured(t, "q = 1")
	for _, tt := range []struct {
		uid  int
		mode os.FileMode
		want string
	}{
		{0, 0o644, ""},
		{0, 0o664, "can be written by others than root"},
		{1000, 0o644, "belongs to user 1000, and the program runs as user 0"},
	} {
		if err := os.Chown(name, tt.uid, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, tt.mode); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		p := &reading{toTerminal: true, stderr: &stderr}
		_, err := p.CommandLine([]string{"host"}, measure.Identity{}, p.toTerminal, p.stderr)
		want := ""
		if tt.want != "" {
			want = "Warning: " + name + " " + tt.want + ": its defaults are not used\n"
		}
		if err != nil || stderr.String() != want || (p.Path.Queries == 1) != (want == "") {
			t.Errorf("owner %d, mode %o: %v %q, want %q", tt.uid, tt.mode, err, stderr.String(), want)
		}
	}
	for what, text := range map[string]string{"long": strings.Repeat("#", mostConfig+1), "directory": ""} {
		name := configured(t, text)
		if what == "directory" {
			if err := os.MkdirAll(name, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		p := &reading{toTerminal: true}
		if _, err := p.CommandLine([]string{"host"}, measure.Identity{}, p.toTerminal, p.stderr); err == nil || !strings.Contains(err.Error(), "--no-config") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What writes a file must be typed.
func TestWritersAreTyped(t *testing.T) {
	reads := []string{"--mmdb"}
	for _, o := range Options() {
		name := o.Names()[0]
		if file := strings.Contains(strings.ToLower(o.Arg), "file") || strings.EqualFold(o.Arg, "dir"); file && !o.typed &&
			!slices.Contains(reads, name) {
			t.Errorf("%s names a file, and could be a default", name)
		}
	}
}

func FuzzDefaultsFile(f *testing.F) {
	f.Add([]byte(configText))
	f.Add([]byte("a.b = [1, [2]]\n[preset.x]\n[[y]]\nq = \"\\u0000\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := defaultsFile{name: "config.toml"}
		if err := file.parse(text, Config{}); err != nil && !strings.HasPrefix(err.Error(), "config.toml") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
