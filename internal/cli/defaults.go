package cli

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

func defaultsOptions() []option {
	return []option{
		{long: "preset", typed: true, shows: true, arg: "name",
			facts: []fact{{on: func(c *config) bool { return c.preset != "" }, not: []conflict{{"--no-config",
				"--preset can't be used with --no-config: the preset is in the configuration file"}}}},
			help: "use the options that ~/.config/tcptraceroute/config.toml has under this name, in [preset.NAME]",
			set: func(c *config, v string) error {
				if v == "" {
					return errors.New("Argument of --preset must be the name of a preset in the configuration file")
				}
				c.preset = v
				return nil
			}},
		{long: "no-config", typed: true, shows: true, facts: []fact{used(func(c *config) bool { return c.noConfig })},
			help: "use the command line alone, without ~/.config/tcptraceroute/config.toml and " + optionsVariable,
			set:  do(func(c *config) { c.noConfig = true })},
	}
}

// A setting is an option with its value.
type setting struct {
	*option
	value string
	where string // it stands in: "TCPTRACEROUTE_OPTIONS"; "FILE:LINE"; "": on the command line
}

// written is the setting as a command line has it.
func (s *setting) written() string {
	name := s.names()[len(s.names())-1]
	if s.arg == "" {
		return name
	}
	return name + " " + quoted(s.value)
}

// apply does what the settings say.
func (c *config) apply(all []setting) error {
	for _, s := range all {
		if err := s.set(c, s.value); err != nil {
			if s.where != "" {
				err = fmt.Errorf("%s: %w", s.where, err)
			}
			return err
		}
		c.given = append(c.given, s)
	}
	return nil
}

// mustBeTyped is the error for a default that can't be one.
func (s *setting) mustBeTyped() error {
	return fmt.Errorf("%s: %s can't be a default: it must be on the command line", s.where, s.names()[0])
}

// commandLine reads the command line, and the defaults.
func (p *program) commandLine(args []string, who measure.Identity) (operands []string, err error) {
	base := p.config
	if operands, err = parse(options(), args, &p.config); err != nil || p.help || p.version || p.noConfig {
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
	return p.withDefaults(base, defaults, preset, args)
}

// withDefaults makes the configuration of those defaults that go with the preset and the command line.
func (p *program) withDefaults(base config, defaults, preset []setting, args []string) (operands []string, err error) {
	build := func(defaults []setting) (c config, operands []string, err error) {
		c = base
		c.given = nil
		if err = c.apply(slices.Concat(defaults, preset)); err == nil {
			operands, err = parse(options(), args, &c)
		}
		return c, operands, err
	}
	if p.config, operands, err = build(nil); err != nil {
		return nil, err
	}
	if p.check(operands) != nil {
		return operands, nil // the caller will say so
	}
	typed := p.config.given
	var good []setting
	for _, s := range slices.Backward(defaults) { // the strongest first
		if slices.ContainsFunc(typed, func(t setting) bool { return t.names()[0] == s.names()[0] }) {
			continue
		}
		try := append([]setting{s}, good...)
		c, _, err := build(try)
		if err = cmp.Or(err, c.check(operands)); err != nil {
			p.note("%s: %s is not used: %s", s.where, s.written(), quoted(err.Error()))
			continue
		}
		p.config, good = c, try
	}
	for _, s := range good {
		p.note("%s: %s", s.where, s.written())
	}
	return operands, nil
}

// check says what doesn't go together.
func (c *config) check(operands []string) error {
	if c.replay != "" {
		return c.checkReplay(operands)
	}
	return c.checkTogether()
}

// note is a line about the defaults, for -d.
func (p *program) note(format string, args ...any) {
	if p.debug {
		fmt.Fprintf(p.stderr, "debug: "+format+"\n", args...)
	}
}

// fromVariable reads the options in the environment.
func (c config) fromVariable(text string) ([]setting, error) {
	c.given = nil
	operands, err := parse(options(), strings.Fields(text), &c)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", optionsVariable, err)
	case len(operands) > 0:
		return nil, fmt.Errorf("%s: it takes options only, no host and no port: %s", optionsVariable, quoted(operands[0]))
	}
	for i := range c.given {
		s := &c.given[i]
		if s.where = optionsVariable; s.typed {
			return nil, s.mustBeTyped()
		}
	}
	return c.given, nil
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
func (p *program) readConfig(base config) (defaultsFile, error) {
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
		return file, fmt.Errorf("%s: %w; --no-config goes without it", quoted(file.name), reason(err))
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
