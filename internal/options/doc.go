// Package options is the language of the command line: one table of options is parsing, help, man page, completions,
// the defaults of the configuration file, and what goes together. Read, a command line is a [Config] of plain values.
//
// The rule of this room: it opens nothing but the configuration file, and prints nothing but notes about that.
package options
