package options

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// defaultsFile is what the configuration file says.
type defaultsFile struct {
	name     string
	defaults []Setting
	presets  map[string][]Setting
	order    []string // the presets' names
}

// parse reads the file's text. Keys are the names of options without their dashes, and stand at the top, for each
// trace, or in a table [preset.NAME]. base is a configuration that the values are tried on.
func (f *defaultsFile) parse(text []byte, base Config) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))                   // which some editors write first
	if err := toml.Unmarshal(text, new(map[string]any)); err != nil { // what is no TOML, and keys that come twice
		return f.noTOML(err)
	}
	f.presets = make(map[string][]Setting)
	var p unstable.Parser // which knows the lines
	p.Reset(text)
	preset := ""
	for p.NextExpression() {
		e := p.Expression()
		key, line := f.keyOf(e, &p)
		where := fmt.Sprintf("%s:%d", quoted(f.name), line)
		switch {
		case e.Kind == unstable.Comment:
		case e.Kind == unstable.Table && len(key) == 2 && key[0] == presetTable:
			preset = key[1]
			f.presets[preset] = nil
			f.order = append(f.order, preset)
		case e.Kind != unstable.KeyValue:
			return fmt.Errorf("%s: %s: the only tables are [%s.NAME]", where, quoted(strings.Join(key, ".")), presetTable)
		default:
			all, err := settings(key, e.Value())
			if err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
			for i := range all {
				all[i].Where = where
			}
			if err := base.tryOut(all); err != nil {
				return err
			}
			if preset == "" {
				f.defaults = append(f.defaults, all...)
			} else {
				f.presets[preset] = append(f.presets[preset], all...)
			}
		}
	}
	return p.Error()
}

// presetTable is the table that holds the presets.
const presetTable = "preset"

// noTOML words an error of the library.
func (f *defaultsFile) noTOML(err error) error {
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := at.Position()
		return fmt.Errorf("%s:%d: %s", quoted(f.name), line, quoted(strings.TrimPrefix(at.Error(), "toml: ")))
	}
	return fmt.Errorf("%s: %s", quoted(f.name), quoted(err.Error()))
}

// keyOf returns the key of an expression, and the line that it is in.
func (f *defaultsFile) keyOf(e *unstable.Node, p *unstable.Parser) (key []string, line int) {
	if e.Kind == unstable.Comment {
		return nil, 0
	}
	for i := e.Key(); i.Next(); {
		if line == 0 {
			line = 1 + bytes.Count(p.Data()[:i.Node().Raw.Offset], []byte("\n"))
		}
		key = append(key, string(i.Node().Data))
	}
	return key, line
}

// settings are those of a key with its value: more than one for an array, and none for an option that is switched off.
func settings(key []string, value *unstable.Node) ([]Setting, error) {
	name := strings.Join(key, ".")
	o := find(Options(), func(o *Option) bool {
		return name != "" && (o.Long == name || o.Short != 0 && string(o.Short) == name)
	})
	if o == nil {
		why := ""
		if near := strings.TrimLeft(nearest(Options(), "--"+name), "-"); near != "" {
			why = fmt.Sprintf(" (did you mean %s?)", near)
		}
		return nil, fmt.Errorf("%s is not an option%s; keys are the options' names without dashes", quoted(name), why)
	}
	name = quoted(name)
	switch value.Kind {
	case unstable.Bool:
		switch {
		case o.Arg != "":
			return nil, fmt.Errorf("%s takes a value (%s), not %s", name, o.Arg, value.Data)
		case string(value.Data) == "true":
			return []Setting{{Option: o}}, nil
		}
		return nil, nil
	case unstable.Array:
		var all []Setting
		for i := value.Children(); i.Next(); {
			if i.Node().Kind == unstable.Comment {
				continue
			}
			s, err := one(o, name, i.Node())
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		return all, nil
	}
	s, err := one(o, name, value)
	return []Setting{s}, err
}

// one is an option with a value that is neither true nor false.
func one(o *Option, name string, value *unstable.Node) (Setting, error) {
	switch {
	case o.Arg == "":
		return Setting{}, fmt.Errorf("%s takes true or false, not %s", name, quoted(string(value.Data)))
	case !slices.Contains([]unstable.Kind{unstable.String, unstable.Integer, unstable.Float}, value.Kind):
		return Setting{}, fmt.Errorf("%s takes a text or a number (%s)", name, o.Arg)
	}
	return Setting{Option: o, value: string(value.Data)}, nil
}

// tryOut says what is wrong with settings by themselves, which stand in one place.
func (c Config) tryOut(all []Setting) error {
	for i := range all {
		if all[i].typed {
			return all[i].mustBeTyped()
		}
	}
	c.Path.MaxTTL = math.MaxUint8 // no first TTL is too high by itself
	if err := c.Apply(all); err != nil {
		return err
	}
	if err := c.Path.Validate(); err != nil {
		return fmt.Errorf("%s: %w", all[0].Where, err)
	}
	return nil
}

// preset returns the settings of a preset; "" has none.
func (f *defaultsFile) preset(name string) ([]Setting, error) {
	all, ok := f.presets[name]
	switch {
	case name == "" || ok:
		return all, nil
	case len(f.order) > 0:
		return nil, fmt.Errorf("--preset %s: %s has no such preset, only %s", quoted(name), quoted(f.name),
			quoted(strings.Join(f.order, ", ")))
	case f.name == "":
		return nil, fmt.Errorf("--preset %s: there is no configuration file, for HOME is not set", quoted(name))
	}
	return nil, fmt.Errorf("--preset %s: %s has no [preset.%[1]s]", quoted(name), quoted(f.name))
}
