package sim

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
)

// word is what one name says of a T, both ways.
type word[T any] struct {
	name  string
	parse func(t *T, value string) error
	// format returns the words to write, none where all is as it is without them.
	format func(t *T) []string
}

var (
	errNoValue = errors.New("needs a value")
	errValue   = errors.New("takes no such value")
)

func parseWords[T any](t *T, words []string, table []word[T]) error {
	for _, w := range words {
		name, value, given := strings.Cut(w, "=")
		i := slices.IndexFunc(table, func(w word[T]) bool { return w.name == name })
		if i < 0 {
			return fmt.Errorf("unknown word %q", w)
		}
		if given && value == "" {
			return fmt.Errorf("%q: %w", w, errNoValue)
		}
		if err := table[i].parse(t, value); err != nil {
			return fmt.Errorf("%q: %w", w, err)
		}
	}
	return nil
}

// formatLine writes a statement with its words.
func formatLine[T any](start string, t *T, table []word[T]) string {
	line := start
	for _, w := range table {
		for _, s := range w.format(t) {
			line += " " + s
		}
	}
	return line + "\n"
}

// value is a word with a value, which is not written where format returns "".
func value[T, V any](name string, field func(*T) *V, parse func(string) (V, error), format func(V) string) word[T] {
	return word[T]{name,
		func(t *T, s string) (err error) {
			if s == "" {
				return errNoValue
			}
			*field(t), err = parse(s)
			return err
		},
		func(t *T) []string {
			if s := format(*field(t)); s != "" {
				return []string{name + "=" + s}
			}
			return nil
		}}
}

// flag is a word without a value.
func flag[T any](name string, field func(*T) *bool) word[T] {
	return word[T]{name,
		func(t *T, s string) error {
			if s != "" {
				return errValue
			}
			*field(t) = true
			return nil
		},
		func(t *T) []string {
			if *field(t) {
				return []string{name}
			}
			return nil
		}}
}

func unlessZero[V comparable](format func(V) string) func(V) string {
	return func(v V) string {
		if v == *new(V) {
			return ""
		}
		return format(v)
	}
}

func duration[T any](name string, field func(*T) *time.Duration) word[T] {
	return value(name, field, time.ParseDuration, unlessZero(time.Duration.String))
}

func share[T any](name string, field func(*T) *float64) word[T] {
	return value(name, field, parseShare, unlessZero(formatShare))
}

func parseShare(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
func formatShare(p float64) string         { return strconv.FormatFloat(p, 'g', -1, 64) }

func held[T any](name string, field func(*T) *Held) word[T] {
	return value(name, field,
		func(s string) (h Held, err error) {
			p, by, _ := strings.Cut(s, "/")
			if h.P, err = parseShare(p); err == nil {
				h.By, err = time.ParseDuration(by)
			}
			return h, err
		},
		unlessZero(func(h Held) string { return formatShare(h.P) + "/" + h.By.String() }))
}

func rate[T any](name string, field func(*T) *Rate) word[T] {
	return value(name, field, parseRate, unlessZero(formatRate))
}

func parseRate(s string) (r Rate, err error) {
	every, burst, _ := strings.Cut(s, "/")
	if r.Every, err = time.ParseDuration(every); err == nil {
		r.Burst, err = strconv.Atoi(burst)
	}
	return r, err
}

func formatRate(r Rate) string { return r.Every.String() + "/" + strconv.Itoa(r.Burst) }

func addr[T any](name string, field func(*T) *netip.Addr) word[T] {
	return value(name, field, netip.ParseAddr, unlessZero(netip.Addr.String))
}

type unsigned interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

func parseBits[V unsigned](bits int) func(string) (V, error) {
	return func(s string) (V, error) {
		v, err := strconv.ParseUint(s, 0, bits)
		return V(v), err
	}
}

func formatNumber[V unsigned](v V) string { return strconv.FormatUint(uint64(v), 10) }

// number is a word with a number of so many bits; 0 is not written.
func number[T any, V unsigned](name string, bits int, field func(*T) *V) word[T] {
	return value(name, field, parseBits[V](bits), unlessZero(formatNumber[V]))
}

// optional is a word with a number that may be 0.
func optional[T any, V unsigned](name string, bits int, field func(*T) **V) word[T] {
	return value(name, field,
		func(s string) (*V, error) {
			v, err := parseBits[V](bits)(s)
			return &v, err
		},
		unlessZero(func(v *V) string { return formatNumber(*v) }))
}

// count is a word with a number of things.
func count[T any](name string, field func(*T) *int) word[T] {
	return value(name, field, strconv.Atoi, unlessZero(strconv.Itoa))
}

func parseList[V any](s string, parse func(string) (V, error)) (list []V, err error) {
	for e := range strings.SplitSeq(s, ",") {
		v, err := parse(e)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func formatList[V any](list []V, format func(V) string) string {
	var words []string
	for _, v := range list {
		words = append(words, format(v))
	}
	return strings.Join(words, ",")
}

func linkWords[T any](prefix string, link func(*T) *Link) []word[T] {
	return []word[T]{
		duration(prefix+"delay", func(t *T) *time.Duration { return &link(t).Delay }),
		duration(prefix+"jitter", func(t *T) *time.Duration { return &link(t).Jitter }),
		share(prefix+"loss", func(t *T) *float64 { return &link(t).Loss }),
		share(prefix+"dup", func(t *T) *float64 { return &link(t).Duplicate }),
		held(prefix+"held", func(t *T) *Held { return &link(t).Held }),
	}
}

func rewriteWords(prefix string, w func(*Router) *Rewrite) []word[Router] {
	return []word[Router]{
		addr(prefix+"src", func(r *Router) *netip.Addr { return &w(r).Src }),
		addr(prefix+"dst", func(r *Router) *netip.Addr { return &w(r).Dst }),
		number(prefix+"sport", 16, func(r *Router) *uint16 { return &w(r).SrcPort }),
		number(prefix+"dport", 16, func(r *Router) *uint16 { return &w(r).DstPort }),
		value(prefix+"seq", func(r *Router) *int32 { return &w(r).Seq },
			func(s string) (int32, error) {
				n, err := strconv.ParseInt(s, 10, 32)
				return int32(n), err
			},
			unlessZero(func(n int32) string { return fmt.Sprintf("%+d", n) })),
		optional(prefix+"id", 16, func(r *Router) **uint16 { return &w(r).ID }),
		optional(prefix+"tos", 8, func(r *Router) **uint8 { return &w(r).TOS }),
		optional(prefix+"ttl", 8, func(r *Router) **uint8 { return &w(r).TTL }),
		optional(prefix+"label", 20, func(r *Router) **uint32 { return &w(r).FlowLabel }),
	}
}

// ruleWords append to one list, in their order; the first of them writes it.
func ruleWords[T any](rules func(*T) *[]Rule) (words []word[T]) {
	for action, name := range actions {
		words = append(words, word[T]{name,
			func(t *T, s string) error {
				r, err := parseRule(Action(action), s)
				*rules(t) = append(*rules(t), r)
				return err
			},
			func(t *T) (words []string) {
				if action == 0 {
					for _, r := range *rules(t) {
						words = append(words, r.String())
					}
				}
				return words
			}})
	}
	return words
}

var actions = [...]string{Pass: "pass", Drop: "drop", Reject: "reject", Reset: "reset", Accept: "accept"}

func parseRule(a Action, s string) (r Rule, err error) {
	r.Action = a
	if a == Reject {
		var code string
		code, s, _ = strings.Cut(s, ":")
		if r.Code, err = parseBits[uint8](8)(code); err != nil {
			return r, err
		}
	}
	for part := range strings.SplitSeq(s, ":") {
		switch part {
		case "":
		case "syn":
			r.Segments = OnlySYN
		case "not-syn":
			r.Segments = NotSYN
		case "not-tcp":
			r.Segments = NotTCP
		default:
			if err = r.parsePart(part); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// parsePart reads what part of the packets the rule is for, or their ports.
func (r *Rule) parsePart(s string) (err error) {
	if share, ok := strings.CutPrefix(s, "p"); ok {
		r.Share, err = parseShare(share)
		return err
	}
	if n, ok := strings.CutPrefix(s, "turn"); ok {
		r.InTurn, err = parseBits[uint8](8)(n)
		return err
	}
	if limit, ok := strings.CutPrefix(s, "over"); ok {
		r.Over, err = parseRate(limit)
		return err
	}
	return r.parsePorts(s)
}

// parsePorts reads one port or a range of ports, those of the source after "from-".
func (r *Rule) parsePorts(s string) (err error) {
	if s, r.Source = strings.CutPrefix(s, "from-"); r.Source && s == "" {
		return errValue
	}
	lo, hi, isRange := strings.Cut(s, "-")
	if !isRange {
		hi = lo
	}
	var err1, err2 error
	r.Lo, err1 = parseBits[uint16](16)(lo)
	r.Hi, err2 = parseBits[uint16](16)(hi)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if r.Hi == 0 {
		return errValue
	}
	return nil
}

// String is the rule as a word of the text form.
func (r Rule) String() string {
	var parts []string
	if r.Action == Reject {
		parts = append(parts, formatNumber(r.Code))
	}
	from := ""
	if r.Source {
		from = "from-"
	}
	switch {
	case r.Hi == 0:
	case r.Lo == r.Hi:
		parts = append(parts, from+formatNumber(r.Lo))
	default:
		parts = append(parts, from+formatNumber(r.Lo)+"-"+formatNumber(r.Hi))
	}
	switch r.Segments {
	case OnlySYN:
		parts = append(parts, "syn")
	case NotSYN:
		parts = append(parts, "not-syn")
	case NotTCP:
		parts = append(parts, "not-tcp")
	}
	if r.Share != 0 {
		parts = append(parts, "p"+formatShare(r.Share))
	}
	if r.InTurn != 0 {
		parts = append(parts, "turn"+formatNumber(r.InTurn))
	}
	if r.Over != (Rate{}) {
		parts = append(parts, "over"+formatRate(r.Over))
	}
	if len(parts) == 0 {
		return actions[r.Action]
	}
	return actions[r.Action] + "=" + strings.Join(parts, ":")
}

var routerWords = slices.Concat(
	[]word[Router]{
		flag("per-packet", func(r *Router) *bool { return &r.PerPacket }),
		flag("in-turn", func(r *Router) *bool { return &r.InTurn }),
		flag("hidden", func(r *Router) *bool { return &r.Hidden }),
	},
	linkWords("", func(r *Router) *Link { return &r.Link }),
	linkWords("back-", func(r *Router) *Link { return &r.Back }),
	[]word[Router]{
		number("device", 32, func(r *Router) *uint32 { return &r.Device }),
		number("ttl", 8, func(r *Router) *uint8 { return &r.TTL }),
		number("tos", 8, func(r *Router) *uint8 { return &r.TOS }),
		flag("linux", func(r *Router) *bool { return &r.Linux }),
		addr("from", func(r *Router) *netip.Addr { return &r.From }),
		{"silent",
			func(r *Router, s string) (err error) {
				if r.Silent = 1; s != "" {
					r.Silent, err = parseShare(s)
				}
				return err
			},
			func(r *Router) []string {
				switch r.Silent {
				case 0:
					return nil
				case 1:
					return []string{"silent"}
				}
				return []string{"silent=" + formatShare(r.Silent)}
			}},
		rate("rate", func(r *Router) *Rate { return &r.Rate }),
		rate("source-rate", func(r *Router) *Rate { return &r.SourceRate }),
		duration("slow", func(r *Router) *time.Duration { return &r.Slow }),
		held("late", func(r *Router) *Held { return &r.Late }),
		count("detour", func(r *Router) *int { return &r.Detour }),
		value("quote", func(r *Router) *int { return &r.Quote },
			func(s string) (int, error) {
				if s == "min" {
					return QuoteMinimum, nil
				}
				return strconv.Atoi(s)
			},
			func(n int) string {
				switch n {
				case QuoteFull:
					return ""
				case QuoteMinimum:
					return "min"
				}
				return strconv.Itoa(n)
			}),
	},
	rewriteWords("quote-", func(r *Router) *Rewrite { return &r.QuoteAs }),
	[]word[Router]{
		value("mpls", func(r *Router) *[]packet.Label { return &r.Extensions.MPLS },
			func(s string) ([]packet.Label, error) { return parseList(s, parseLabel) },
			func(stack []packet.Label) string { return formatList(stack, formatLabel) }),
		number("if-role", 2, func(r *Router) *packet.Role { return &r.Extensions.Interface.Role }),
		number("if-index", 32, func(r *Router) *uint32 { return &r.Extensions.Interface.Index }),
		addr("if-addr", func(r *Router) *netip.Addr { return &r.Extensions.Interface.Addr }),
		text("if-name", func(r *Router) *[]byte { return &r.Extensions.Interface.Name }),
		number("if-mtu", 32, func(r *Router) *uint32 { return &r.Extensions.Interface.MTU }),
		addr("node-addr", func(r *Router) *netip.Addr { return &r.Extensions.Node.Addr }),
		text("node-name", func(r *Router) *[]byte { return &r.Extensions.Node.Name }),
		flag("non-compliant", func(r *Router) *bool { return &r.Extensions.NonCompliant }),
		optional("ext-length", 8, func(r *Router) **uint8 { return &r.Extensions.Length }),
		optional("ext-object", 16, func(r *Router) **uint16 { return &r.Extensions.ObjectLength }),
		flag("ext-bad-checksum", func(r *Router) *bool { return &r.Extensions.BadChecksum }),
		count("ext-cut", func(r *Router) *int { return &r.Extensions.Cut }),
	},
	ruleWords(func(r *Router) *[]Rule { return &r.Rules }),
	[]word[Router]{
		rate("syn-limit", func(r *Router) *Rate { return &r.SYNs }),
		flag("syn-limit-both", func(r *Router) *bool { return &r.Both }),
		rate("packet-limit", func(r *Router) *Rate { return &r.Packets }),
		count("longest", func(r *Router) *int { return &r.Longest }),
		flag("longest-told", func(r *Router) *bool { return &r.Told }),
		number("drop-tos", 8, func(r *Router) *uint8 { return &r.Mark }),
		number("lowest-ttl", 8, func(r *Router) *uint8 { return &r.Lowest }),
	},
	rewriteWords("set-", func(r *Router) *Rewrite { return &r.Set }),
	[]word[Router]{
		number("set-mss", 16, func(r *Router) *uint16 { return &r.Mangle.MSS }),
		number("raise-mss", 16, func(r *Router) *uint16 { return &r.Mangle.RaiseMSS }),
		number("set-window", 16, func(r *Router) *uint16 { return &r.Mangle.Window }),
		value("no-option", func(r *Router) *[]uint8 { return &r.Mangle.NoOptions },
			func(s string) ([]uint8, error) { return parseList(s, parseBits[uint8](8)) },
			func(kinds []uint8) string { return formatList(kinds, formatNumber[uint8]) }),
		number("clear-flags", 8, func(r *Router) *packet.Flags { return &r.Mangle.ClearFlags }),
		flag("random-id", func(r *Router) *bool { return &r.RandomID }),
		value("dnat", func(r *Router) *netip.AddrPort { return &r.NAT.Dst }, parseAddrPort, unlessZero(formatAddrPort)),
		value("snat", func(r *Router) *netip.AddrPort { return &r.NAT.Src }, parseAddrPort, unlessZero(formatAddrPort)),
		flag("raw-quote", func(r *Router) *bool { return &r.NAT.RawQuote }),
		flag("hide-hops", func(r *Router) *bool { return &r.NAT.HideHops }),
		flag("stateful", func(r *Router) *bool { return &r.Stateful }),
		flag("one-isn", func(r *Router) *bool { return &r.OneISN }),
		flag("random-isn", func(r *Router) *bool { return &r.RandomISN }),
		value("inject", func(r *Router) *Action { return &r.Inject.Kind },
			func(s string) (Action, error) {
				switch s {
				case "rst":
					return Reset, nil
				case "syn-ack":
					return Accept, nil
				}
				return Pass, errValue
			},
			unlessZero(func(a Action) string { return map[Action]string{Reset: "rst", Accept: "syn-ack"}[a] })),
		number("inject-ttl", 8, func(r *Router) *uint8 { return &r.Inject.TTL }),
		number("inject-least", 8, func(r *Router) *uint8 { return &r.Inject.Least }),
		duration("inject-delay", func(r *Router) *time.Duration { return &r.Inject.Delay }),
		duration("unresolved", func(r *Router) *time.Duration { return &r.Unresolved }),
		value("spoof", func(r *Router) *Spoof { return &r.Spoof },
			func(s string) (sp Spoof, err error) {
				every, total, _ := strings.Cut(s, "/")
				if sp.Every, err = time.ParseDuration(every); err == nil {
					sp.For, err = time.ParseDuration(total)
				}
				return sp, err
			},
			unlessZero(func(s Spoof) string { return s.Every.String() + "/" + s.For.String() })),
	},
)

var changeWords = []word[Change]{
	count("packet", func(c *Change) *int { return &c.Packet }),
	duration("time", func(c *Change) *time.Duration { return &c.Time }),
	number("port", 16, func(c *Change) *uint16 { return &c.Port }),
	share("share", func(c *Change) *float64 { return &c.Share }),
}

var forkWords = []word[Fork]{
	value("by", func(f *Fork) *Choice { return &f.By },
		func(s string) (Choice, error) {
			if i := slices.Index(choices[:], s); i >= 0 {
				return Choice(i), nil
			}
			return 0, errValue
		},
		unlessZero(func(c Choice) string { return choices[c] })),
	number("seed", 64, func(f *Fork) *uint64 { return &f.Seed }),
}

var choices = [...]string{
	ByPorts: "ports", ByAddresses: "addresses", ByLabel: "label", ByPortsAndLabel: "ports+label", ByPacket: "packet",
}

var wayWords = []word[Way]{share("share", func(w *Way) *float64 { return &w.Share })}

var homeWords = []word[Home]{
	count("skip", func(h *Home) *int { return &h.Skip }),
	share("share", func(h *Home) *float64 { return &h.Share }),
	flag("quoted", func(h *Home) *bool { return &h.Quoted }),
}

var targetWords = slices.Concat(
	linkWords("", func(t *Target) *Link { return &t.Link }),
	linkWords("back-", func(t *Target) *Link { return &t.Back }),
	[]word[Target]{
		number("ttl", 8, func(t *Target) *uint8 { return &t.TTL }),
		stateWord(Open, "open"), stateWord(Closed, "closed"),
		stateWord(Filtered, "filtered"), stateWord(Challenge, "challenge"), stateWord(Stuck, "stuck"),
		value("older", func(t *Target) *[]uint16 { return &t.Older },
			func(s string) ([]uint16, error) { return parseList(s, parseBits[uint16](16)) },
			func(ports []uint16) string { return formatList(ports, formatNumber[uint16]) }),
		value("answers-as", func(t *Target) *netip.AddrPort { return &t.AnswersAs }, parseAddrPort,
			unlessZero(formatAddrPort)),
		number("bare", 8, func(t *Target) *packet.Flags { return &t.Bare }),
		flag("real", func(t *Target) *bool { return &t.Real }),
		flag("no-ecn", func(t *Target) *bool { return &t.NoECN }),
		flag("no-options", func(t *Target) *bool { return &t.NoOptions }),
		flag("no-echo", func(t *Target) *bool { return &t.NoEcho }),
		flag("by-source", func(t *Target) *bool { return &t.BySource }),
		flag("drop-first", func(t *Target) *bool { return &t.DropFirst }),
		duration("pause", func(t *Target) *time.Duration { return &t.Pause }),
		duration("closes", func(t *Target) *time.Duration { return &t.Closes }),
		duration("resets", func(t *Target) *time.Duration { return &t.Resets }),
		flag("pause-always", func(t *Target) *bool { return &t.Always }),
		flag("bad-ack", func(t *Target) *bool { return &t.BadACK }),
		flag("cookies", func(t *Target) *bool { return &t.Cookies }),
		flag("changing-cookies", func(t *Target) *bool { return &t.Changing }),
	},
	ruleWords(func(t *Target) *[]Rule { return &t.Rules }),
)

// stateWord sets the state of all ports, or of those that it names.
func stateWord(state State, name string) word[Target] {
	return word[Target]{name,
		func(t *Target, s string) error {
			if s == "" {
				t.State = state
				return nil
			}
			ports, err := parseList(s, parseBits[uint16](16))
			if err != nil {
				return err
			}
			if t.Ports == nil {
				t.Ports = map[uint16]State{}
			}
			for _, p := range ports {
				t.Ports[p] = state
			}
			return nil
		},
		func(t *Target) (words []string) {
			if t.State == state && state != Open {
				words = append(words, name)
			}
			var ports []uint16
			for _, p := range slices.Sorted(maps.Keys(t.Ports)) {
				if t.Ports[p] == state {
					ports = append(ports, p)
				}
			}
			if len(ports) > 0 {
				words = append(words, name+"="+formatList(ports, formatNumber[uint16]))
			}
			return words
		}}
}

// text is a word of any bytes, percent-encoded.
func text(name string, of func(*Router) *[]byte) word[Router] {
	return value(name, of,
		func(s string) ([]byte, error) {
			b, err := url.PathUnescape(s)
			return []byte(b), err
		},
		func(b []byte) string { return url.PathEscape(string(b)) })
}

func parseLabel(s string) (l packet.Label, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return l, errValue
	}
	var errs [3]error
	l.Label, errs[0] = parseBits[uint32](20)(parts[0])
	l.TC, errs[1] = parseBits[uint8](3)(parts[1])
	l.TTL, errs[2] = parseBits[uint8](8)(parts[2])
	return l, errors.Join(errs[:]...)
}

func formatLabel(l packet.Label) string { return fmt.Sprintf("%d/%d/%d", l.Label, l.TC, l.TTL) }

// parseAddrPort reads an address, ":" and a port, or both.
func parseAddrPort(s string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		p, err := parseBits[uint16](16)(port)
		return netip.AddrPortFrom(netip.Addr{}, p), err
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}

func formatAddrPort(a netip.AddrPort) string {
	switch {
	case !a.Addr().IsValid():
		return ":" + formatNumber(a.Port())
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}
