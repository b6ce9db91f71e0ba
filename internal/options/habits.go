package options

import (
	"errors"
	"fmt"
	"strings"
)

// What people type who know other programs of this kind. An option of theirs that is none of ours has an answer of its
// own, which names the option to use here. What is an option of ours, with another meaning, can't be told apart.

const (
	OnlyTCP   = "TCP is the only way in which it traces, so leave it out; the port is the second argument: HOST 443"
	NeverUDP  = "it never sends UDP: it traces the path of a TCP connection"
	noRouting = "source routing is not offered: routers drop such packets"
	ByPort    = "the target's port is the second argument: HOST 443"
	byList    = "the targets of a file are traced by --targets FILE"
	byRate    = "packets a second, over all --targets, are set by --rate"
)

// Habits are the options of traceroute(8), mtr(8), fping(8) and nmap(1) that are none of ours, with what to do instead.
var Habits = map[string]string{
	// traceroute
	"-T":    OnlyTCP,
	"--tcp": OnlyTCP,
	"-I": "traceroute's -I sends ICMP echo: this program sends TCP, and with --explain compares it with " +
		"ICMP echo; an interface is chosen by -i",
	"--icmp":        "it traces by TCP, and with --explain compares that with ICMP echo",
	"-U":            NeverUDP,
	"--udp":         NeverUDP,
	"--udplite":     NeverUDP,
	"-u":            NeverUDP,
	"--dccp":        "TCP is the only protocol that it traces",
	"--sctp":        "TCP is the only protocol that it traces",
	"--protocol":    "TCP is the only protocol that it traces",
	"-M":            "traceroute's methods are one here, TCP: leave it out; a firewall mark is set by --mark",
	"--module":      "traceroute's methods are one here, TCP: leave it out",
	"-O":            "for TCP options see --syn linux, --mss and --accecn",
	"--options":     "for TCP options see --syn linux, --mss and --accecn",
	"--port":        ByPort,
	"--sport":       "the source port is set by -p",
	"--localport":   "the source port is set by -p",
	"--source-port": "the source port is set by -p",
	"--first":       "the first TTL is set by -f",
	"--first-ttl":   "the first TTL is set by -f",
	"--max-hops":    "the last TTL is set by -m",
	"--max-ttl":     "the last TTL is set by -m",
	"--max-unknown": "the last TTL is set by -m",
	"--queries":     "probes per hop are set by -q",
	"--sim-queries": "probes in flight are set by --parallel",
	"--wait":        "the seconds to wait for an answer are set by -w",
	"--timeout":     "the seconds to wait for an answer are set by -w",
	"--gracetime":   "the seconds to wait for an answer are set by -w",
	"-Z":            "the seconds to wait for an answer are set by -w",
	"-G":            "the seconds to wait for an answer are set by -w",
	"-z": "for traceroute's pause between probes use --parallel 1, which sends one after the other; " +
		"mtr's look-up of the AS is -a",
	"--sendwait":        "--parallel 1 sends the probes one after the other",
	"--source":          "the source address is set by -s",
	"--address":         "the source address is set by -s",
	"--interface":       "the interface is set by -i",
	"--tos":             "the TOS byte is set by -t",
	"--dscp":            "the TOS byte is set by -t, by a DSCP name too: -t ef",
	"-Q":                "the TOS byte is set by -t",
	"--flowlabel":       "the flow label is chosen by the program",
	"--fwmark":          "the firewall mark is set by --mark",
	"--as-path-lookups": "the AS of each hop is shown by -a",
	"--aslookup":        "the AS of each hop is shown by -a",
	"--ipinfo":          "the AS and the country of each hop are shown by -a",
	"-y":                "the AS and the country of each hop are shown by -a",
	"--dont-fragment":   "the don't-fragment bit is set by -F",
	"--debug":           "debug messages are switched on by -d",
	"--verbose":         "debug messages are switched on by -d",
	"--back":            "--explain compares the TTLs of the answers",
	"-g":                noRouting + "; a network is traced by --targets FILE, with a line 10.0.0.0/28",
	"--gateway":         noRouting,

	// mtr
	"-r": "mtr's report is --report, always wide; mtr's -z is -a, and the port follows the host: " +
		"--report -a -b -c 10 HOST 443",
	"--report-wide":   "use --report, which never cuts names off",
	"--report-cycles": "the number of rounds is set by -c",
	"-j":              "JSON is printed by --json; what mtr prints, by --format mtr-json",
	"-C":              "CSV is printed by --csv",
	"-x":              "there is no XML: use --json",
	"--xml":           "there is no XML: use --json",
	"--raw":           "use --jsonl, which prints a line for each event",
	"--split":         "use --jsonl, which prints a line for each event",
	"--curses":        "mtr's screen is --live",
	"--gtk":           "mtr's screen is --live",
	"--no-dns":        "addresses only are shown by -n",
	"--psize":         "the packet length is set by -l",
	"--size":          "the packet length is set by -l",
	"-B":              "the payload is always printable text",
	"--bitpattern":    "the payload is always printable text",

	"--filename": byList,

	// fping, nmap
	"--file":            byList,
	"--generate":        "a network is traced by --targets FILE, with a line 10.0.0.0/28",
	"--traceroute":      "that is what it does: leave it out",
	"--excludefile":     "targets are left out by --exclude FILE",
	"--max-rate":        byRate,
	"--min-rate":        byRate,
	"--max-parallelism": "targets at the same time are set by --jobs",
	"--host-timeout":    "the seconds that a target may take are set by --target-timeout",
}

// AfterN is the advice for traceroute's -N 16.
const AfterN = "-N looks up the names of all hops and takes no number; probes in flight are set by --parallel"

// unknown is the error for an argument that is no option of ours. Why may be "".
func unknown(table []Option, arg, why string) error {
	name, _, _ := strings.Cut(arg, "=")
	if advice, ok := Habits[name]; why == "" && ok {
		why = advice
	}
	if why == "" {
		if near := nearest(table, name); near != "" {
			why = "did you mean " + near + "?"
		}
	}
	text := "Unknown command line argument: " + quoted(arg)
	if why != "" {
		text += " (" + why + ")"
	}
	return errors.New(text + "; see tcptraceroute --help")
}

// nearest is the option that was probably meant, "" where none is near. Whoever leaves out the end of a long name, as
// getopt_long(3) lets him, or the second dash, means that name; so does a slip of the fingers.
func nearest(table []Option, arg string) string {
	name := strings.TrimLeft(arg, "-")
	best, least, several := "", 3, false
	for _, o := range table {
		if o.Help == "" {
			continue // not meant to be seen
		}
		if len(name) == 1 && o.Short != 0 && strings.EqualFold(name, string(o.Short)) {
			return "-" + string(o.Short)
		}
		if o.Long == "" || len(name) < 2 {
			continue
		}
		d := typos(strings.ToLower(name), o.Long)
		switch {
		case strings.HasPrefix(o.Long, strings.ToLower(name)) && len(name) >= 3:
			d = min(d, 1)
		case d > len(name)/2:
			continue // hardly a letter is the same
		}
		switch {
		case d < least:
			best, least, several = "--"+o.Long, d, false
		case d == least && best != "":
			best, several = fmt.Sprintf("%s or --%s", best, o.Long), true
		}
	}
	if several && strings.Count(best, " or ") > 1 {
		return "" // that would be a guess
	}
	return best
}

// typos is the least number of letters that are wrong, missing, too many, or swapped with the next.
func typos(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		older := before
		before, row = row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(before[j]+1, row[j-1]+1, before[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
