package options

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Config is what the command line asks for.
type Config struct {
	Path   trace.PathOptions
	Names  names.Policy
	Family names.Family

	Root     bool // the caller is root
	Lent     bool // the caller isn't root, and the program is set-user-ID
	Elevated bool // the same, or the program has file capabilities

	Interface    string
	InterfaceSet bool
	Mark         uint32
	Source       string // as typed, where SourceSet; else what the route says
	SourceSet    bool
	Port         int // source port, where PortSet; else the kernel's choice
	PortSet      bool
	AnyPort      bool // -P: even if the port is in use
	TrackPort    bool
	TrackID      bool

	SYN  synConfig
	Show showConfig

	DNAT, Debug            bool
	Help, HelpAll, Version bool

	Given []Setting // in order: defaults, and then what is on the command line

	defaultsConfig
	formatConfig
	captureConfig
	replayConfig
	changesConfig
	Terminal terminalConfig

	Explain bool // say why the path ends as it does

	Watch watching

	Many manyConfig

	AllPaths pathsConfig

	Connection connectionConfig

	Unprivileged bool // don't even try to open raw sockets

	sessionConfig

	Host       string       // as typed, without a port
	Others     []netip.Addr // that the host has beside the target's
	Service    string       // the target's port, where ServiceSet
	ServiceSet bool
	AfterN     string // the digits that follow -N as an argument of their own
}

// group is a part of the option table with a heading of its own in the help.
type group struct {
	title   string
	Options []Option
}

// Groups is the one table of what may be asked for: parsing, help, and everything else that knows the options reads it.
func Groups() []group {
	return []group{
		{"Classic options", classicOptions()},
		{"How it probes", slices.Concat(probingOptions(), synOptions(), unprivilegedOptions(), sessionOptions(),
			connectionOptions())},
		{"All paths", pathsOptions()},
		{"What it prints", slices.Concat(explainOptions(), showOptions(), formatOptions(), replayOptions(), changesOptions(),
			captureOptions(), terminalOptions())},
		{"Watching a path", watchOptions()},
		{"Many targets", manyOptions()},
		{"Defaults", defaultsOptions()},
		{helpTitle, helpOptions()},
	}
}

// helpTitle is the heading of the last group.
const helpTitle = "Help"

// Options is the table without its headings. It is the same one each time: it must not be changed.
func Options() []Option { return madeOnce() }

var madeOnce = sync.OnceValue(func() (all []Option) {
	for _, g := range Groups() {
		all = append(all, g.Options...)
	}
	return all
})

// classicOptions are those of tcptraceroute 1.5beta7, and -4 and -6.
func classicOptions() []Option {
	return []Option{
		{Short: 'n', Shows: true, Brief: "addresses only", Help: "show addresses only, look up no names",
			set: do(func(c *Config) { c.Names = names.Never })},
		{Short: 'N', Brief: "names of all hops", Help: "look up the name of every hop, of private addresses too",
			set: do(func(c *Config) { c.Names = names.All })},
		{Short: 'i', Arg: "interface", Brief: "send by this one", Help: "send by this interface",
			set: text(func(c *Config, v string) { c.Interface, c.InterfaceSet = v, true })},
		{Short: 'f', Arg: "first ttl", Brief: "default 1", Help: "first TTL, 1 to 255 (1)",
			set: ttl("-f", func(c *Config, n int) { c.Path.FirstTTL = n })},
		{Short: 'm', Arg: "max ttl", Brief: "default 30", Help: "last TTL, 1 to 255 (30)",
			set: ttl("-m", func(c *Config, n int) { c.Path.MaxTTL = n })},
		{Short: 'q',
			facts: []fact{used(func(c *Config) bool { return c.Path.Queries != 0 })},
			Arg:   "queries", Brief: "probes per hop (3)", Help: "probes per hop, 1 to 1000000 (3)", set: setQueries},
		{Short: 'w', Arg: "wait", Brief: "seconds (3 or less)",
			Help: "seconds to wait for each probe, 0.5 to 86400, fractions allowed (3, or less where hops " +
				"beyond have answered)", set: setWait},
		{Short: 'S', Brief: "set SYN (default)", Help: "set SYN (the default, where -A is not given)",
			set: do(func(c *Config) { c.Path.Flags |= packet.SYN })},
		{Short: 'A', facts: []fact{
			{on: func(c *Config) bool { return c.Path.Flags.Has(packet.ACK) }, raw: true},
			{words: "without -S", on: noSYN, not: []conflict{{"--syn linux, --mss, --accecn",
				"{} is about SYNs, and -A sends none: leave one of them away, or add -S"}}},
		}, Brief: "set ACK", Help: "set ACK", set: do(func(c *Config) { c.Path.Flags |= packet.ACK })},
		{Short: 'E',
			facts: needsRawSockets(func(c *Config) bool { return c.Path.Flags.Has(packet.ECE) && !c.SYN.AccECN }),
			Brief: "ECN SYN", Help: "an ECN SYN: set ECE and CWR",
			set: do(func(c *Config) { c.Path.Flags |= packet.ECE | packet.CWR })},
		{Short: 't',
			facts: []fact{{words: "with the ECN bits", on: func(c *Config) bool { return c.Path.TOS&3 != 0 }, raw: true}},
			Arg:   "tos", Brief: "TOS byte (0)",
			Help: "IP TOS byte: 0 to 255, 0x0 to 0xff, or the name of a DSCP such as ef, cs1 or af41 (0)", set: setTOS},
		{Short: 'F', Brief: "don't fragment", Help: "set the don't-fragment bit",
			set: do(func(c *Config) { c.Path.DontFragment = true })},
		{Short: 'l',
			facts: needsRawSockets(func(c *Config) bool { return c.Path.Length > 0 }),
			Arg:   "length", Brief: "of the packet",
			Help: "length of the whole packet, up to 65535 (default: the minimum)",
			set:  number("-l", 0, 65535, func(c *Config, n int) { c.Path.Length = n })},
		{Short: 'p',
			facts: []fact{used(func(c *Config) bool { return c.PortSet && !c.AnyPort })},
			Arg:   "source port", Brief: "refused if in use",
			Help: "source port, 0 to 65535 (0: the kernel chooses), not the target's; refused if it is in use",
			set:  rootOnly("-p", number("-p", 0, 65535, func(c *Config, n int) { c.Port, c.PortSet = n, n != 0 }))},
		{Short: 'P',
			facts: needsRawSockets(func(c *Config) bool { return c.AnyPort }),
			Arg:   "source port", Brief: "even if in use", Help: "the same, even if the port is in use",
			set: rootOnly("-p", ownRight("-P", number("-P", 0, 65535,
				func(c *Config, n int) { c.Port, c.PortSet, c.AnyPort = n, true, true })))},
		{Short: 's', Arg: "source address", Brief: "send from this one", Help: "address to send from",
			set: rootOnly("-s", text(func(c *Config, v string) { c.Source, c.SourceSet = v, true }))},
		{Short: '4', Brief: "IPv4 only", Help: "IPv4 only", set: do(func(c *Config) { c.Family = names.IPv4 })},
		{Short: '6', Brief: "IPv6 only", Help: "IPv6 only", set: do(func(c *Config) { c.Family = names.IPv6 })},
		{Long: "dnat",
			facts: needsRawSockets(func(c *Config) bool { return c.DNAT }),
			Shows: true, Brief: "show translation", Help: "show where the destination is translated",
			set: do(func(c *Config) { c.DNAT, c.Path.Strict = true, false })},
		{Long: "no-dnat", Shows: true, Brief: "don't (default)", Help: "don't show it (the default)",
			set: do(func(c *Config) { c.DNAT, c.Path.Strict = false, false })},
		{Long: "no-dnat-strict",
			facts: needsRawSockets(func(c *Config) bool { return c.Path.Strict }),
			Brief: "believe none of it", Help: "believe no answer about a translated packet",
			set: do(func(c *Config) { c.DNAT, c.Path.Strict = false, true })},
		{Long: "track-port",
			facts: []fact{used(func(c *Config) bool { return c.TrackPort })},
			Brief: "a port per probe", Help: "a new source port for each probe",
			set: do(func(c *Config) { c.TrackPort, c.TrackID = true, false })},
		{Long: "track-id", Brief: "one port (default)", Help: "one source port for all probes (the default)",
			set: do(func(c *Config) { c.TrackPort, c.TrackID = false, true })},
		{Long: "track-ipid", set: do(func(c *Config) { c.TrackPort, c.TrackID = false, true })},
		{Short: 'd',
			facts: []fact{used(func(c *Config) bool { return c.Debug })},
			Brief: "debug messages", Help: "say on stderr what is sent and received, and why a packet was ignored",
			set: do(func(c *Config) { c.Debug = true })},
		// Debugging switches of the old program, for scripts that give them. None applies here.
		{Long: "no-filter", set: do(nothing)},
		{Long: "no-getinterfaces", set: do(nothing)},
		{Long: "no-select", set: do(nothing)},
		{Long: "select", set: do(nothing)},
	}
}

func unprivilegedOptions() []Option {
	return []Option{
		{Long: "unprivileged",
			Help: "trace by ordinary connections, as is done anyway where the program has no right to raw sockets",
			set:  do(func(c *Config) { c.Unprivileged = true })},
	}
}

// probingOptions are about what is sent and believed.
func probingOptions() []Option {
	return []Option{
		{Long: "parallel", Arg: "probes", Help: "probes in flight (48); 1: one after the other",
			set: between("--parallel", 1, 65535, func(c *Config, n int) { c.Path.Parallel = n })},
		{Long: "loose",
			facts: needsRawSockets(func(c *Config) bool { return c.Path.Loose }),
			Help: "believe answers with another sequence number too, one probe at a time, for firewalls that " +
				"rewrite it", set: do(func(c *Config) { c.Path.Loose = true })},
		{Long: "mark", facts: needsRawSockets(func(c *Config) bool { return c.Mark != 0 }), Arg: "mark",
			Help: "firewall mark of the probes, for policy routing: 0 to 4294967295, or hexadecimal, 0x...",
			set:  ownRight("--mark", setMark)},
	}
}

func helpOptions() []Option {
	return []Option{
		{Short: 'h', Long: "help", typed: true, Shows: true, word: "all", Brief: "this; all: the rest",
			Help: "the classic options, or all of them",
			set: text(func(c *Config, v string) {
				c.Help, c.HelpAll = true, v == "all"
			})},
		{Short: 'v', Long: "version", typed: true, Shows: true, Brief: "the version", Help: "the version",
			set: do(func(c *Config) { c.Version = true })},
	}
}

const maxQueries = 1_000_000 // each takes memory as long as the trace lasts; --report does not

const maxWait = 24 * 60 * 60 // seconds; who waits longer has mistyped

func nothing(*Config) {}

func do(f func(*Config)) func(*Config, string) error {
	return func(c *Config, _ string) error { f(c); return nil }
}

func text(set func(*Config, string)) func(*Config, string) error {
	return func(c *Config, v string) error { set(c, v); return nil }
}

// rootOnly refuses an option, whatever its value, to users whom the program lends its privileges.
func rootOnly(name string, set func(*Config, string) error) func(*Config, string) error {
	return func(c *Config, v string) error {
		if c.Lent {
			return fmt.Errorf("Sorry, must be root to use %s", name)
		}
		return set(c, v)
	}
}

// ownRight refuses an option to users who have the right to it only by the way in which the program is installed, where
// the kernel no longer judges: to send from ports that others use, or that are reserved; to pass by routing rules and
// firewalls.
func ownRight(name string, set func(*Config, string) error) func(*Config, string) error {
	return func(c *Config, v string) error {
		if c.Elevated {
			return fmt.Errorf("Sorry, must be root to use %s", name)
		}
		return set(c, v)
	}
}

// orInvalid keeps a 0 that the user typed apart from a field that was left at zero.
func orInvalid(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// number takes a decimal number in a range, digits only. What is no number is refused in the old program's words.
func number(name string, low, high int, set func(*Config, int)) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !Digits(v) {
			return notNumeric(name)
		}
		return between(name, low, high, set)(c, v)
	}
}

func notNumeric(name string) error { return fmt.Errorf("Numeric argument required for %s", name) }

// between is the same for options that the old program doesn't have: whatever is wrong, it says what is allowed.
func between(name string, low, high int, set func(*Config, int)) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if !Digits(v) || err != nil || n < low || n > high {
			return fmt.Errorf("Argument of %s must be between %d and %d: %s", name, low, high, given(v))
		}
		set(c, n)
		return nil
	}
}

func Digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// given is a wrong value, safe to print, that can be seen even if it is empty.
func given(v string) string {
	if v == "" {
		return `""`
	}
	return quoted(v)
}

// quoted makes what the user typed safe to print.
func quoted(s string) string { return record.Printable(s) }
