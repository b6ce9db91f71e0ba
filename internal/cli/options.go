package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// config is what the command line asks for.
type config struct {
	path   trace.PathOptions
	names  names.Policy
	family names.Family

	lent     bool // the caller isn't root, and the program is set-user-ID
	elevated bool // the same, or the program has file capabilities

	iface     string
	ifaceSet  bool
	mark      uint32
	source    string // as typed, where sourceSet; else what the route says
	sourceSet bool
	port      int // source port, where portSet; else the kernel's choice
	portSet   bool
	anyPort   bool // -P: even if the port is in use
	trackPort bool
	trackID   bool

	syn  synConfig
	show showConfig

	dnat, debug            bool
	help, helpAll, version bool

	given []setting // in order: defaults, and then what is on the command line

	defaultsConfig
	formatConfig
	captureConfig
	replayConfig
	changesConfig
	terminal terminalConfig

	explain bool // say why the path ends as it does

	watch watching

	many manyConfig

	ways pathsConfig

	unprivileged bool // don't even try to open raw sockets

	sessionConfig

	host       string       // as typed, without a port
	others     []netip.Addr // that the host has beside the target's
	service    string       // the target's port, where serviceSet
	serviceSet bool
	afterN     string // the digits that follow -N as an argument of their own
}

// group is a part of the option table with a heading of its own in the help.
type group struct {
	title   string
	options []option
}

// groups is the one table of what may be asked for: parsing, help, and everything else that knows the options reads it.
func groups() []group {
	return []group{
		{"Classic options", classicOptions()},
		{"How it probes", slices.Concat(probingOptions(), synOptions(), unprivilegedOptions(), sessionOptions())},
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

// options is the table without its headings.
func options() []option {
	var all []option
	for _, g := range groups() {
		all = append(all, g.options...)
	}
	return all
}

// classicOptions are those of tcptraceroute 1.5beta7, and -4 and -6.
func classicOptions() []option {
	return []option{
		{short: 'n', shows: true, brief: "addresses only", help: "show addresses only, look up no names",
			set: do(func(c *config) { c.names = names.Never })},
		{short: 'N', brief: "names of all hops", help: "look up the name of every hop, of private addresses too",
			set: do(func(c *config) { c.names = names.All })},
		{short: 'i', arg: "interface", brief: "send by this one", help: "send by this interface",
			set: text(func(c *config, v string) { c.iface, c.ifaceSet = v, true })},
		{short: 'f', arg: "first ttl", brief: "default 1", help: "first TTL, 1 to 255 (1)",
			set: ttl("-f", func(c *config, n int) { c.path.FirstTTL = n })},
		{short: 'm', arg: "max ttl", brief: "default 30", help: "last TTL, 1 to 255 (30)",
			set: ttl("-m", func(c *config, n int) { c.path.MaxTTL = n })},
		{short: 'q',
			facts: []fact{used(func(c *config) bool { return c.path.Queries != 0 })},
			arg:   "queries", brief: "probes per hop (3)", help: "probes per hop, 1 to 1000000 (3)", set: setQueries},
		{short: 'w', arg: "wait", brief: "seconds (3 or less)",
			help: "seconds to wait for each probe, 0.5 to 86400, fractions allowed (3, or less where hops " +
				"beyond have answered)", set: setWait},
		{short: 'S', brief: "set SYN (default)", help: "set SYN (the default, where -A is not given)",
			set: do(func(c *config) { c.path.Flags |= packet.SYN })},
		{short: 'A', facts: []fact{
			{on: func(c *config) bool { return c.path.Flags.Has(packet.ACK) }, raw: true},
			{words: "without -S", on: noSYN, not: []conflict{{"--syn linux, --mss, --accecn",
				"{} is about SYNs, and -A sends none: leave one of them away, or add -S"}}},
		}, brief: "set ACK", help: "set ACK", set: do(func(c *config) { c.path.Flags |= packet.ACK })},
		{short: 'E',
			facts: needsRawSockets(func(c *config) bool { return c.path.Flags.Has(packet.ECE) && !c.syn.accecn }),
			brief: "ECN SYN", help: "an ECN SYN: set ECE and CWR",
			set: do(func(c *config) { c.path.Flags |= packet.ECE | packet.CWR })},
		{short: 't',
			facts: []fact{{words: "with the ECN bits", on: func(c *config) bool { return c.path.TOS&3 != 0 }, raw: true}},
			arg:   "tos", brief: "TOS byte (0)",
			help: "IP TOS byte: 0 to 255, 0x0 to 0xff, or the name of a DSCP such as ef, cs1 or af41 (0)", set: setTOS},
		{short: 'F', brief: "don't fragment", help: "set the don't-fragment bit",
			set: do(func(c *config) { c.path.DontFragment = true })},
		{short: 'l',
			facts: needsRawSockets(func(c *config) bool { return c.path.Length > 0 }),
			arg:   "length", brief: "of the packet",
			help: "length of the whole packet, up to 65535 (default: the minimum)",
			set:  number("-l", 0, 65535, func(c *config, n int) { c.path.Length = n })},
		{short: 'p',
			facts: []fact{used(func(c *config) bool { return c.portSet && !c.anyPort })},
			arg:   "source port", brief: "refused if in use",
			help: "source port, 0 to 65535 (0: the kernel chooses), not the target's; refused if it is in use",
			set:  rootOnly("-p", number("-p", 0, 65535, func(c *config, n int) { c.port, c.portSet = n, n != 0 }))},
		{short: 'P',
			facts: needsRawSockets(func(c *config) bool { return c.anyPort }),
			arg:   "source port", brief: "even if in use", help: "the same, even if the port is in use",
			set: rootOnly("-p", ownRight("-P", number("-P", 0, 65535,
				func(c *config, n int) { c.port, c.portSet, c.anyPort = n, true, true })))},
		{short: 's', arg: "source address", brief: "send from this one", help: "address to send from",
			set: rootOnly("-s", text(func(c *config, v string) { c.source, c.sourceSet = v, true }))},
		{short: '4', brief: "IPv4 only", help: "IPv4 only", set: do(func(c *config) { c.family = names.IPv4 })},
		{short: '6', brief: "IPv6 only", help: "IPv6 only", set: do(func(c *config) { c.family = names.IPv6 })},
		{long: "dnat",
			facts: needsRawSockets(func(c *config) bool { return c.dnat }),
			shows: true, brief: "show translation", help: "show where the destination is translated",
			set: do(func(c *config) { c.dnat, c.path.Strict = true, false })},
		{long: "no-dnat", shows: true, brief: "don't (default)", help: "don't show it (the default)",
			set: do(func(c *config) { c.dnat, c.path.Strict = false, false })},
		{long: "no-dnat-strict",
			facts: needsRawSockets(func(c *config) bool { return c.path.Strict }),
			brief: "believe none of it", help: "believe no answer about a translated packet",
			set: do(func(c *config) { c.dnat, c.path.Strict = false, true })},
		{long: "track-port",
			facts: []fact{used(func(c *config) bool { return c.trackPort })},
			brief: "a port per probe", help: "a new source port for each probe",
			set: do(func(c *config) { c.trackPort, c.trackID = true, false })},
		{long: "track-id", brief: "one port (default)", help: "one source port for all probes (the default)",
			set: do(func(c *config) { c.trackPort, c.trackID = false, true })},
		{long: "track-ipid", set: do(func(c *config) { c.trackPort, c.trackID = false, true })},
		{short: 'd',
			facts: []fact{used(func(c *config) bool { return c.debug })},
			brief: "debug messages", help: "say on stderr what is sent and received, and why a packet was ignored",
			set: do(func(c *config) { c.debug = true })},
		// Debugging switches of the old program, for scripts that give them. None applies here.
		{long: "no-filter", set: do(nothing)},
		{long: "no-getinterfaces", set: do(nothing)},
		{long: "no-select", set: do(nothing)},
		{long: "select", set: do(nothing)},
	}
}

func unprivilegedOptions() []option {
	return []option{
		{long: "unprivileged",
			help: "trace by ordinary connections, as is done anyway where the program has no right to raw sockets",
			set:  do(func(c *config) { c.unprivileged = true })},
	}
}

// probingOptions are about what is sent and believed.
func probingOptions() []option {
	return []option{
		{long: "parallel", arg: "probes", help: "probes in flight (48); 1: one after the other",
			set: between("--parallel", 1, 65535, func(c *config, n int) { c.path.Parallel = n })},
		{long: "loose",
			facts: needsRawSockets(func(c *config) bool { return c.path.Loose }),
			help: "believe answers with another sequence number too, one probe at a time, for firewalls that " +
				"rewrite it", set: do(func(c *config) { c.path.Loose = true })},
		{long: "mark", facts: needsRawSockets(func(c *config) bool { return c.mark != 0 }), arg: "mark",
			help: "firewall mark of the probes, for policy routing: 0 to 4294967295, or hexadecimal, 0x...",
			set:  ownRight("--mark", setMark)},
	}
}

func helpOptions() []option {
	return []option{
		{short: 'h', long: "help", typed: true, shows: true, word: "all", brief: "this; all: the rest",
			help: "the classic options, or all of them",
			set: text(func(c *config, v string) {
				c.help, c.helpAll = true, v == "all"
			})},
		{short: 'v', long: "version", typed: true, shows: true, brief: "the version", help: "the version",
			set: do(func(c *config) { c.version = true })},
	}
}

const maxQueries = 1_000_000 // each takes memory as long as the trace lasts; --report does not

const maxWait = 24 * 60 * 60 // seconds; who waits longer has mistyped

func nothing(*config) {}

func do(f func(*config)) func(*config, string) error {
	return func(c *config, _ string) error { f(c); return nil }
}

func text(set func(*config, string)) func(*config, string) error {
	return func(c *config, v string) error { set(c, v); return nil }
}

// rootOnly refuses an option, whatever its value, to users whom the program lends its privileges.
func rootOnly(name string, set func(*config, string) error) func(*config, string) error {
	return func(c *config, v string) error {
		if c.lent {
			return fmt.Errorf("Sorry, must be root to use %s", name)
		}
		return set(c, v)
	}
}

// ownRight refuses an option to users who have the right to it only by the way in which the program is installed, where
// the kernel no longer judges: to send from ports that others use, or that are reserved; to pass by routing rules and
// firewalls.
func ownRight(name string, set func(*config, string) error) func(*config, string) error {
	return func(c *config, v string) error {
		if c.elevated {
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
func number(name string, low, high int, set func(*config, int)) func(*config, string) error {
	return func(c *config, v string) error {
		if !digits(v) {
			return notNumeric(name)
		}
		return between(name, low, high, set)(c, v)
	}
}

func notNumeric(name string) error { return fmt.Errorf("Numeric argument required for %s", name) }

// between is the same for options that the old program doesn't have: whatever is wrong, it says what is allowed.
func between(name string, low, high int, set func(*config, int)) func(*config, string) error {
	return func(c *config, v string) error {
		n, err := strconv.Atoi(v)
		if !digits(v) || err != nil || n < low || n > high {
			return fmt.Errorf("Argument of %s must be between %d and %d: %s", name, low, high, given(v))
		}
		set(c, n)
		return nil
	}
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// given is a wrong value, safe to print, that can be seen even if it is empty.
func given(v string) string {
	if v == "" {
		return `""`
	}
	return quoted(v)
}

// quoted makes what the user typed safe to print.
func quoted(s string) string { return record.Printable(s) }
