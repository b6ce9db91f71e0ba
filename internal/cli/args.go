package cli

import (
	"errors"
	"fmt"
	"strings"
)

// option is one row of the command line: parsing, help, man page and completions come from the same table.
type option struct {
	short byte     // 0: none
	long  string   // "": none
	arg   string   // what its value is called in the help, or the choices: "one|two"; "": it takes none
	from  []string // what the value may be, where arg doesn't say that
	word  string   // the one value that it may take, and need not; only where it has a long form and no arg
	brief string   // its half line on the one screen of --help; "": not there
	help  string   // the whole truth, with default and range; "": not shown
	facts []fact   // what others depend on: see checkTogether
	typed bool     // it can't be a default: it must be on the command line
	shows bool     // it says how a trace is shown, also one that was saved: it goes with --replay
	set   func(c *config, value string) error
}

// names are all the ways to write the option.
func (o *option) names() []string {
	var all []string
	if o.short != 0 {
		all = append(all, "-"+string(o.short))
	}
	if o.long != "" {
		all = append(all, "--"+o.long)
	}
	return all
}

// errHelp ends a command line that asks for the short help.
var errHelp = errors.New("help")

// parse reads arguments in order by getopt's rules: short options cluster, a value may be glued or separate, options
// and operands mix, "--" ends the options. The first mistake ends it, and so do help and version.
func parse(table []option, args []string, c *config) (operands []string, err error) {
	for len(args) > 0 && !c.help && !c.version {
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
			if strings.HasSuffix(arg, "N") && len(args) > 0 && digits(args[0]) {
				c.afterN = args[0]
			}
		default:
			operands = append(operands, arg)
		}
	}
	return operands, nil
}

// long reads a long option. Its value may stand in args, of which the rest is returned.
func long(table []option, arg string, args []string, c *config) (rest []string, err error) {
	name, value, glued := strings.Cut(arg[2:], "=")
	o := find(table, func(o *option) bool { return o.long != "" && o.long == name })
	switch {
	case o == nil:
		return nil, unknown(table, arg, "")
	case glued && o.arg == "" && (o.word == "" || o.word != value):
		return nil, unknown(table, arg, takesNone(o))
	case glued:
	case o.arg != "" && len(args) == 0:
		return nil, fmt.Errorf("Argument required for --%s", o.long)
	case o.arg != "" || o.word != "" && len(args) > 0 && args[0] == o.word:
		value, args = args[0], args[1:]
	}
	c.given = append(c.given, setting{option: o, value: value})
	return args, o.set(c, value)
}

// cluster reads short options that share one dash. What the last of them takes may stand in args, of which the rest is
// returned.
func cluster(table []option, letters string, args []string, c *config) (rest []string, err error) {
	whole := letters
	for letters != "" && !c.help && !c.version {
		letter := letters[0]
		o := find(table, func(o *option) bool { return o.short == letter })
		if o == nil {
			return nil, unknownLetter(table, whole, letters)
		}
		letters = letters[1:]
		value := ""
		if o.arg != "" {
			switch {
			case letters != "":
				value, letters = letters, ""
			case len(args) > 0:
				value, args = args[0], args[1:]
			default:
				return nil, fmt.Errorf("Argument required for -%c", letter)
			}
		}
		c.given = append(c.given, setting{option: o, value: value})
		if err := o.set(c, value); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// takesNone says that an option was given a value that it doesn't take.
func takesNone(o *option) string {
	if o.word != "" {
		return fmt.Sprintf("--%s takes no value but %s", o.long, o.word)
	}
	return fmt.Sprintf("--%s takes no value", o.long)
}

// unknownLetter is the error for the first of rest, which is the end of the letters that follow a dash.
func unknownLetter(table []option, letters, rest string) error {
	why := ""
	switch long := find(table, func(o *option) bool { return o.help != "" && o.long == letters }); {
	case len(letters) > 1 && long != nil:
		why = "did you mean --" + letters + "?"
	case digits(rest[:1]) && strings.HasSuffix(strings.TrimSuffix(letters, rest), "N"):
		why = afterN
	}
	return unknown(table, "-"+rest[:1], why)
}

func find(table []option, is func(*option) bool) *option {
	for i := range table {
		if is(&table[i]) {
			return &table[i]
		}
	}
	return nil
}
