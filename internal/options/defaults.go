package options

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.example/tcptraceroute/measure"
)

// Options that the user doesn't type each time. From the weakest to the strongest:
//
//   - the configuration file, where standard output is a terminal: what a script prints doesn't change by a file that
//     its author has never seen;
//   - the environment variable optionsVariable, always;
//   - the preset that --preset names, always;
//   - the command line.
//
// An option on the command line replaces the same option of the file and of the variable. One of these that doesn't go
// with the command line gives way. A mistake in them is an error, whether they are used or not.
//
// They give no rights. Each option is judged as if it were typed, and those that name a file to be written, or that
// make no sense each time, must be typed. A program that runs with a user id, a group id or rights to files that aren't
// its caller's reads neither. Nor is a file read that belongs to somebody else: root's home may be another user's
// (sudo -E).

// optionsVariable is the environment variable that holds options, with blanks between.
const optionsVariable = "TCPTRACEROUTE_OPTIONS"

// defaultsConfig is which defaults are used.
type defaultsConfig struct {
	preset   string // "": none
	noConfig bool
}

func defaultsOptions() []Option {
	return []Option{
		{Long: "preset", typed: true, Shows: true, Arg: "name",
			facts: []fact{{on: func(c *Config) bool { return c.preset != "" }, not: []conflict{{"--no-config",
				"--preset can't be used with --no-config: the preset is in the configuration file"}}}},
			Help: "use the options that ~/.config/tcptraceroute/config.toml has under this name, in [preset.NAME]",
			set: func(c *Config, v string) error {
				if v == "" {
					return errors.New("Argument of --preset must be the name of a preset in the configuration file")
				}
				c.preset = v
				return nil
			}},
		{Long: "no-config", typed: true, Shows: true, facts: []fact{used(func(c *Config) bool { return c.noConfig })},
			Help: "use the command line alone, without ~/.config/tcptraceroute/config.toml and " + optionsVariable,
			set:  do(func(c *Config) { c.noConfig = true })},
	}
}

// A setting is an option with its value.
type Setting struct {
	*Option
	value string
	Where string // it stands in: "TCPTRACEROUTE_OPTIONS"; "FILE:LINE"; "": on the command line
}

// written is the setting as a command line has it.
func (s *Setting) written() string {
	name := s.Names()[len(s.Names())-1]
	if s.Arg == "" {
		return name
	}
	return name + " " + quoted(s.value)
}

// Apply does what the settings say.
func (c *Config) Apply(all []Setting) error {
	for _, s := range all {
		if err := s.set(c, s.value); err != nil {
			if s.Where != "" {
				err = fmt.Errorf("%s: %w", s.Where, err)
			}
			return err
		}
		c.Given = append(c.Given, s)
	}
	return nil
}

// mustBeTyped is the error for a default that can't be one.
func (s *Setting) mustBeTyped() error {
	return fmt.Errorf("%s: %s can't be a default: it must be on the command line", s.Where, s.Names()[0])
}

// reading is a command line that is read.
type reading struct {
	Config
	toTerminal bool // standard output is a terminal
	stderr     io.Writer
}

// CommandLine reads the command line, and the defaults.
func (c *Config) CommandLine(args []string, who measure.Identity, toTerminal bool, stderr io.Writer,
) (operands []string, err error) {
	base, p := *c, &reading{Config: *c, toTerminal: toTerminal, stderr: stderr}
	defer func() { *c = p.Config }()
	if operands, err = Parse(Options(), args, &p.Config); err != nil || p.Help || p.Version || p.noConfig {
		return operands, err
	}
	if who.SetID() || who.Elevated && who.AnyFile {
		if p.preset != "" {
			return nil, errors.New("--preset can't be used: this program is installed with rights that its user doesn't " +
				"have, and reads no configuration file")
		}
		p.note("no defaults are read: the program is installed with rights that its user doesn't have")
		return operands, nil
	}
	variable, err := base.fromVariable(os.Getenv(optionsVariable))
	if err != nil {
		return nil, err
	}
	var file defaultsFile
	if p.toTerminal || p.preset != "" {
		if file, err = p.readConfig(base); err != nil {
			return nil, err
		}
	}
	preset, err := file.preset(p.preset)
	if err != nil {
		return nil, err
	}
	defaults := variable
	if p.toTerminal {
		defaults = slices.Concat(file.defaults, variable)
	}
	if len(defaults)+len(preset) == 0 {
		return operands, nil
	}
	return p.withDefaults(base, defaults, preset, args)
}

// withDefaults makes the configuration of those defaults that go with the preset and the command line.
func (p *reading) withDefaults(base Config, defaults, preset []Setting, args []string) (operands []string, err error) {
	build := func(defaults []Setting) (c Config, operands []string, err error) {
		c = base
		c.Given = nil
		if err = c.Apply(slices.Concat(defaults, preset)); err == nil {
			operands, err = Parse(Options(), args, &c)
		}
		return c, operands, err
	}
	if p.Config, operands, err = build(nil); err != nil {
		return nil, err
	}
	if p.check(operands) != nil {
		return operands, nil // the caller will say so
	}
	typed := p.Config.Given
	used, why := make([]bool, len(defaults)), make([]error, len(defaults))
	try := func(i int) bool {
		used[i] = true
		var all []Setting
		for j, s := range defaults {
			if used[j] {
				all = append(all, s)
			}
		}
		c, _, err := build(all)
		if why[i] = cmp.Or(err, c.check(operands)); why[i] == nil {
			p.Config = c
		}
		used[i] = why[i] == nil
		return used[i]
	}
	for more := true; more; { // what needs another default waits for it
		more = false
		for i, s := range slices.Backward(defaults) { // the strongest first
			replaced := slices.ContainsFunc(typed, func(t Setting) bool { return t.Names()[0] == s.Names()[0] })
			more = !used[i] && !replaced && try(i) || more
		}
	}
	for i, s := range defaults {
		switch {
		case used[i]:
			p.note("%s: %s", s.Where, s.written())
		case why[i] != nil:
			p.note("%s: %s is not used: %s", s.Where, s.written(), quoted(why[i].Error()))
		}
	}
	return operands, nil
}

// check says what doesn't go together.
func (c *Config) check(operands []string) error {
	if c.Replay != "" {
		return c.CheckReplay(operands)
	}
	return cmp.Or(c.CheckTogether(), c.Path.Validate())
}

// note is a line about the defaults, for -d.
func (p *reading) note(format string, args ...any) {
	if p.Debug {
		fmt.Fprintf(p.stderr, "debug: "+format+"\n", args...)
	}
}

// fromVariable reads the options in the environment.
func (c Config) fromVariable(text string) ([]Setting, error) {
	base := c
	c.Given = nil
	operands, err := Parse(Options(), strings.Fields(text), &c)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", optionsVariable, err)
	case len(operands) > 0:
		return nil, fmt.Errorf("%s: it takes options only, no host and no port: %s", optionsVariable, quoted(operands[0]))
	}
	for i := range c.Given {
		c.Given[i].Where = optionsVariable
		if err := base.tryOut(c.Given[i : i+1]); err != nil {
			return nil, err
		}
	}
	return c.Given, nil
}

// configName is where the configuration file is; "": nowhere.
func configName() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // as the XDG base directory specification has it
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "tcptraceroute", "config.toml")
}

// mostConfig is how long the file may be.
const mostConfig = 64 << 10

// readConfig reads the configuration file, and checks all that is in it.
func (p *reading) readConfig(base Config) (defaultsFile, error) {
	file := defaultsFile{name: configName()}
	if file.name == "" {
		return file, nil
	}
	text, err := readOwned(file.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file, nil
	case errors.As(err, new(*ownerError)):
		if p.preset != "" {
			return file, fmt.Errorf("--preset %s: %s %w", quoted(p.preset), quoted(file.name), err)
		}
		fmt.Fprintf(p.stderr, "Warning: %s %v: its defaults are not used\n", quoted(file.name), err)
		return file, nil
	case err != nil:
		return file, fmt.Errorf("%s: %w; --no-config goes without it", quoted(file.name), Reason(err))
	}
	return file, file.parse(text, base)
}

// An ownerError says that a file is not this user's.
type ownerError struct{ why string }

func (e *ownerError) Error() string { return e.why }

// readOwned reads a file that belongs to the user of the program, or to root.
func readOwned(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO's writer isn't waited for
	if err != nil {
		return nil, err
	}
	defer f.Close() // of a file that is only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	if why := notOfUser(info); why != "" {
		return nil, &ownerError{why}
	}
	text, err := io.ReadAll(io.LimitReader(f, mostConfig+1))
	if err == nil && len(text) > mostConfig {
		err = fmt.Errorf("longer than %d bytes", mostConfig)
	}
	return text, err
}
