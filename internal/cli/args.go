package cli

import (
	"fmt"
	"strings"
)

// option is one row of the command line: parsing and usage come from the same table.
type option struct {
	short byte   // 0: none
	long  string // "": none
	arg   string // what its value is called in the usage; "": it takes none
	help  string // "": not shown
	set   func(c *config, value string) error
}

// name is the option as the user reads it.
func (o *option) name() string {
	if o.short != 0 {
		return "-" + string(o.short)
	}
	return "--" + o.long
}

// usageError is a mistake in the command line's form, after which the usage helps.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// parse reads arguments by getopt's rules: short options cluster, a value may be glued or separate, options and operands
// mix, "--" ends the options. Long options may be shortened as long as they are clear.
func parse(table []option, args []string, c *config) (operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(operands, args...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, glued := strings.Cut(arg[2:], "=")
			o, err := findLong(table, name)
			if err != nil {
				return nil, err
			}
			switch {
			case o.arg == "" && glued:
				return nil, &usageError{fmt.Sprintf("Option --%s takes no argument", o.long)}
			case o.arg != "" && !glued:
				if len(args) == 0 {
					return nil, &usageError{fmt.Sprintf("Argument required for --%s", o.long)}
				}
				value, args = args[0], args[1:]
			}
			if err := o.set(c, value); err != nil {
				return nil, err
			}
		case len(arg) > 1 && arg[0] == '-':
			for cluster := arg[1:]; cluster != ""; {
				o := findShort(table, cluster[0])
				if o == nil {
					return nil, &usageError{fmt.Sprintf("Unknown option: -%s", printableByte(cluster[0]))}
				}
				cluster = cluster[1:]
				value := ""
				if o.arg != "" {
					switch {
					case cluster != "":
						value, cluster = cluster, ""
					case len(args) > 0:
						value, args = args[0], args[1:]
					default:
						return nil, &usageError{fmt.Sprintf("Argument required for -%c", o.short)}
					}
				}
				if err := o.set(c, value); err != nil {
					return nil, err
				}
			}
		default:
			operands = append(operands, arg)
		}
	}
	return operands, nil
}

func findShort(table []option, c byte) *option {
	for i := range table {
		if table[i].short == c {
			return &table[i]
		}
	}
	return nil
}

func findLong(table []option, name string) (*option, error) {
	var found *option
	for i := range table {
		o := &table[i]
		switch {
		case o.long == "":
		case o.long == name:
			return o, nil
		case name != "" && strings.HasPrefix(o.long, name):
			if found != nil {
				return nil, &usageError{fmt.Sprintf("Option --%s is not clear: --%s or --%s", name, found.long, o.long)}
			}
			found = o
		}
	}
	if found == nil {
		return nil, &usageError{fmt.Sprintf("Unknown option: --%s", quoted(name))}
	}
	return found, nil
}
