package options

import (
	"fmt"
	"strings"
)

// Option is one row of the command line: parsing, help, man page and completions come from the same table.
type Option struct {
	Short byte     // 0: none
	Long  string   // "": none
	Arg   string   // what its value is called in the help, or the choices: "one|two"; "": it takes none
	from  []string // what the value may be, where arg doesn't say that
	word  string   // the one value that it may take, and need not; only where it has a long form and no arg
	Brief string   // its half line on the one screen of --help; "": not there
	Help  string   // the whole truth, with default and range; "": not shown
	facts []fact   // what others depend on: see checkTogether
	typed bool     // it can't be a default: it must be on the command line
	Shows bool     // it says how a trace is shown, also one that was saved: it goes with --replay
	set   func(c *Config, value string) error
}

// Names are all the ways to write the option.
func (o *Option) Names() []string {
	var all []string
	if o.Short != 0 {
		all = append(all, "-"+string(o.Short))
	}
	if o.Long != "" {
		all = append(all, "--"+o.Long)
	}
	return all
}

// Choices are what the value may be, if that is a choice.
func (o *Option) Choices() []string {
	if o.from != nil {
		return o.from
	}
	return strings.Split(o.Arg, "|")
}

// Parse reads arguments in order by getopt's rules: short options cluster, a value may be glued or separate, options
// and operands mix, "--" ends the options. The first mistake ends it, and so do help and version.
func Parse(table []Option, args []string, c *Config) (operands []string, err error) {
	for len(args) > 0 && !c.Help && !c.Version {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(operands, args...), nil
		case strings.HasPrefix(arg, "--"):
			if args, err = long(table, arg, args, c); err != nil {
				return nil, err
			}
		case len(arg) > 1 && arg[0] == '-':
			if args, err = cluster(table, arg[1:], args, c); err != nil {
				return nil, err
			}
			if strings.HasSuffix(arg, "N") && len(args) > 0 && Digits(args[0]) {
				c.AfterN = args[0]
			}
		default:
			operands = append(operands, arg)
		}
	}
	return operands, nil
}

// long reads a long option. Its value may stand in args, of which the rest is returned.
func long(table []Option, arg string, args []string, c *Config) (rest []string, err error) {
	name, value, glued := strings.Cut(arg[2:], "=")
	o := find(table, func(o *Option) bool { return o.Long != "" && o.Long == name })
	switch {
	case o == nil:
		return nil, unknown(table, arg, "")
	case glued && o.Arg == "" && (o.word == "" || o.word != value):
		return nil, unknown(table, arg, takesNone(o))
	case glued:
	case o.Arg != "" && len(args) == 0:
		return nil, fmt.Errorf("Argument required for --%s", o.Long)
	case o.Arg != "" || o.word != "" && len(args) > 0 && args[0] == o.word:
		value, args = args[0], args[1:]
	}
	c.Given = append(c.Given, Setting{Option: o, value: value})
	return args, o.set(c, value)
}

// cluster reads short options that share one dash. What the last of them takes may stand in args, of which the rest is
// returned.
func cluster(table []Option, letters string, args []string, c *Config) (rest []string, err error) {
	whole := letters
	for letters != "" && !c.Help && !c.Version {
		letter := letters[0]
		o := find(table, func(o *Option) bool { return o.Short == letter })
		if o == nil {
			return nil, unknownLetter(table, whole, letters)
		}
		letters = letters[1:]
		value := ""
		if o.Arg != "" {
			switch {
			case letters != "":
				value, letters = letters, ""
			case len(args) > 0:
				value, args = args[0], args[1:]
			default:
				return nil, fmt.Errorf("Argument required for -%c", letter)
			}
		}
		c.Given = append(c.Given, Setting{Option: o, value: value})
		if err := o.set(c, value); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// takesNone says that an option was given a value that it doesn't take.
func takesNone(o *Option) string {
	if o.word != "" {
		return fmt.Sprintf("--%s takes no value but %s", o.Long, o.word)
	}
	return fmt.Sprintf("--%s takes no value", o.Long)
}

// unknownLetter is the error for the first of rest, which is the end of the letters that follow a dash.
func unknownLetter(table []Option, letters, rest string) error {
	why := ""
	switch long := find(table, func(o *Option) bool { return o.Help != "" && o.Long == letters }); {
	case len(letters) > 1 && long != nil:
		why = "did you mean --" + letters + "?"
	case Digits(rest[:1]) && strings.HasSuffix(strings.TrimSuffix(letters, rest), "N"):
		why = AfterN
	}
	return unknown(table, "-"+rest[:1], why)
}

func find(table []Option, is func(*Option) bool) *Option {
	for i := range table {
		if is(&table[i]) {
			return &table[i]
		}
	}
	return nil
}
