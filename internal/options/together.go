package options

import (
	"fmt"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
)

// A fact is something that an option has brought about, and that others depend on.
type fact struct {
	words string                 // behind the option's name, where only some values do it; "": the option itself
	on    func(c *Config) bool   // whether it is so, when all options are read
	by    func(c *Config) string // the option as typed, for which the row stands too; nil: the row's own

	raw   bool       // it needs raw sockets
	needs []string   // options, one of which has to be there
	not   []conflict // what it doesn't go with
}

// A conflict is between a fact and others, which are named.
type conflict struct {
	with string // names of facts, separated by commas
	text string // the error; {} is the other fact
}

// name is what a message calls the fact of an option.
func (f *fact) name(o *Option, c *Config) string {
	switch {
	case f.by != nil && c != nil:
		return f.by(c)
	case f.words != "":
		return o.Names()[0] + " " + f.words
	}
	return o.Names()[0]
}

// facts yields all facts of the table that are so.
func (c *Config) facts() func(yield func(*Option, *fact) bool) {
	return func(yield func(*Option, *fact) bool) {
		for _, o := range Options() {
			for i := range o.facts {
				if o.facts[i].on(c) && !yield(&o, &o.facts[i]) {
					return
				}
			}
		}
	}
}

// CheckTogether says what doesn't go together, and what lacks something.
func (c *Config) CheckTogether() error {
	so := make(map[string]string) // facts by their names in the table; what a message calls them
	for o, f := range c.facts() {
		so[f.name(o, nil)] = f.name(o, c)
	}
	for o, f := range c.facts() {
		if len(f.needs) > 0 && !slices.ContainsFunc(f.needs, func(name string) bool { return so[name] != "" }) {
			return fmt.Errorf("%s needs %s", f.name(o, c), strings.Join(f.needs, " or "))
		}
		for _, k := range f.not {
			for name := range strings.SplitSeq(k.with, ", ") {
				if other := so[name]; other != "" {
					return fmt.Errorf("%s", strings.ReplaceAll(k.text, "{}", other))
				}
			}
		}
	}
	return nil
}

// NeedsRaw is the first option, but for these, that connections can't do; "": none.
func (c *Config) NeedsRaw(but ...string) string {
	for o, f := range c.facts() {
		if f.raw && !slices.ContainsFunc(o.Names(), func(name string) bool { return slices.Contains(but, name) }) {
			return f.name(o, c)
		}
	}
	return ""
}

// NotWith are the options in effect that one, which is not, doesn't go with.
func (c *Config) NotWith(name string) (all []string) {
	own := find(Options(), func(o *Option) bool { return slices.Contains(o.Names(), name) })
	excludes := func(f *fact, name string) bool {
		return slices.ContainsFunc(f.not, func(k conflict) bool { return slices.Contains(strings.Split(k.with, ", "), name) })
	}
	for o, f := range c.facts() {
		other := f.name(o, nil)
		if excludes(f, name) || slices.ContainsFunc(own.facts, func(f fact) bool { return excludes(&f, other) }) {
			all = append(all, f.name(o, c))
		}
	}
	return all
}

// rules says what the option needs and what it doesn't go with; "": nothing of the kind.
func (o *Option) rules() string {
	var all []string
	for i := range o.facts {
		f := &o.facts[i]
		var rules []string
		if f.raw {
			rules = append(rules, "needs raw sockets")
		}
		if len(f.needs) > 0 {
			rules = append(rules, "needs "+strings.Join(f.needs, " or "))
		}
		var with []string
		for _, k := range f.not {
			with = append(with, k.with)
		}
		if len(with) > 0 {
			rules = append(rules, "not with "+strings.Join(with, ", "))
		}
		if f.words != "" && len(rules) > 0 {
			rules[0] = f.words + ": " + rules[0]
		}
		all = append(all, rules...)
	}
	return strings.Join(all, "; ")
}

// Whole is the help with these rules.
func (o *Option) Whole() string {
	if rules := o.rules(); rules != "" {
		return o.Help + "; " + rules
	}
	return o.Help
}

// used is the one fact of most options that there is something to say of.
func used(on func(*Config) bool) fact { return fact{on: on} }

// needsRawSockets is that of an option which connections can't do.
func needsRawSockets(on func(*Config) bool) []fact { return []fact{{on: on, raw: true}} }

// notInRounds is what rounds don't go with, which an option asks for.
func notInRounds(by string) []conflict {
	return []conflict{
		{"-q", "{} doesn't go with " + by + ": -c says how many rounds there are, with one probe per hop each"},
		{"--track-port", "{} doesn't go with " + by + ": its rounds are one flow"},
	}
}

// noSYN reports whether the probes are no SYNs.
func noSYN(c *Config) bool { return c.Path.Flags.Has(packet.ACK) && !c.Path.Flags.Has(packet.SYN) }
