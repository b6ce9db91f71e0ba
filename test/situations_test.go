package test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.example/tcptraceroute/lab"
)

// Situations: networks of real routers in which one thing is so, or two, and what --explain may say about each of
// them. The tables of situations stand in situations_*_test.go; this file runs them and judges what was said.

var situationRuns = flag.Int("situations", 0, "how often TestSituations runs each situation; 0: the quick share once")

// situation is a network in which something is so, and what may be said about it. Texts may hold the names that
// stage.expand knows.
type situation struct {
	name string
	ci   bool   // it belongs to the quick share: it is right in each run
	only family // 0: both

	// The network: a chain of routers of this many hops (0: 6), or what build makes. Then each act changes something.
	hops  int
	build func(t *testing.T, s *stage)
	do    []act
	free  bool // nobody limits ICMP, as the situation itself is about limits

	args string // further arguments
	to   string // "": {target}
	port int    // 0: 80

	// What is true of the list of hops: who answers at each TTL, beginning with 1, and silence beyond. Each word is
	// a number (the router at that hop), T (the address that is traced), another name that the network gives, or an
	// address. A bar separates what may stand there, and - is silence. "": the list isn't judged.
	rows string

	// must are the codes of which one has to be said, in groups separated by ";" of alternatives separated by "|".
	// may are the codes that may be said, with the highest confidence that is true: "port-open certain, path-ends
	// possible".
	must, may string
	names     string // a pattern that a finding of must has to match
	never     string // a pattern that no finding may match
	where     [2]int // between these hops it happens; a finding of must but the port's state may claim no other place
	unmet     string // why what is said here is wrong today; runs are counted, and don't fail
	truth     string // a pattern of the words that name what is true in a finding that is only possible
}

// act changes one thing of a network.
type act func(t *testing.T, s *stage)

// stage is the network of one run.
type stage struct {
	*lab.Lab
	v      family
	source *lab.Host
	hop    []*lab.Host          // at TTL 1 and up, the last one is the target
	known  map[string][]string  // what the words of rows mean, each some addresses
	hosts  map[string]*lab.Host // of networks that are no chain, by name
	before func(t *testing.T)   // runs right before the trace
	vars   map[string]string    // for expand
}

func newStage(v family, l *lab.Lab, source *lab.Host) *stage {
	return &stage{Lab: l, v: v, source: source, known: map[string][]string{}, hosts: map[string]*lab.Host{},
		vars: map[string]string{}}
}

// expand puts the addresses of the network into a text: {self}, {target}, {1} (the router at hop 1) and so on; {ip}
// is nft's word for the family, {icmp} too; {nobody} is an address on the last link that nobody has, {lost} one that
// is sent towards the target and that it doesn't have, {service} one that nobody has anywhere.
func (s *stage) expand(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	pairs := []string{
		"{self}", s.v.of(s.source).String(), "{target}", s.v.of(s.hop[len(s.hop)-1]).String(),
		"{ip}", pick(s.v, "ip", "ip6"), "{icmp}", pick(s.v, "icmp", "icmpv6"), "{bits}", pick(s.v, "32", "128"),
		"{ttl}", pick(s.v, "ttl", "hoplimit"), "{reject}", pick(s.v, "icmp", "icmpv6"), "{echo}", pick(s.v, "icmp icmp type echo-request", "icmpv6 icmpv6 type echo-request"),
		"{noway}", pick(s.v, "net-unreachable", "no-route"),
		"{nobody}", pick(s.v, fmt.Sprintf("198.18.%d.77", len(s.hop)), fmt.Sprintf("2001:db8:%x::77", len(s.hop))),
		"{away}", pick(s.v, fmt.Sprintf("198.18.%d.77", len(s.hop)), fmt.Sprintf("[2001:db8:%x::77]", len(s.hop))),
		"{plain}", s.v.of(s.hop[len(s.hop)-1]).String(),
		"{lost}", pick(s.v, "198.18.99.2", "2001:db8:99::2"), "{service}", pick(s.v, "10.96.0.10", "2001:db8:96::10"),
	}
	target := s.hop[len(s.hop)-1]
	pairs = append(pairs, "{target4}", target.V4().String(), "{target6}", target.V6().String(),
		"{end}", pick(s.v, target.V4().String(), "["+target.V6().String()+"]"))
	for i, h := range s.hop {
		pairs = append(pairs, fmt.Sprintf("{%d}", i+1), s.v.of(h).String())
		if len(h.Interfaces) > 1 {
			out := h.Interfaces[1]
			pairs = append(pairs, fmt.Sprintf("{%dway}", i+1), s.v.at(out).String(),
				fmt.Sprintf("{%dnext}", i+1), s.v.at(out.Peer).String())
		}
	}
	for name, value := range s.vars {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// at is a host of a chain by its TTL.
type at int

const (
	self at = 0
	goal at = -1
)

func (a at) host(s *stage) *lab.Host {
	switch a {
	case self:
		return s.source
	case goal:
		return s.hop[len(s.hop)-1]
	}
	return s.hop[a-1]
}

// rules are rules of a hook. That of forwarding sees only what isn't over at this hop; prerouting sees all that
// comes.
func (a at) rules(hook string, rules ...string) act {
	return func(t *testing.T, s *stage) { a.host(s).Filter(t, hook, expandAll(s, rules)...) }
}

// early are rules that see packets as they come, before the host's memory of connections.
func (a at) early(rules ...string) act {
	return func(t *testing.T, s *stage) { a.host(s).Mangle(t, expandAll(s, rules)...) }
}

// translates adds a rule of translation: hook and priority, as nft has them.
func (a at) translates(hook, priority, rule string) act {
	return func(t *testing.T, s *stage) { a.host(s).NFT(t, natChain(hook, priority, s.expand(rule))) }
}

func (a at) sysctl(key, value string) act {
	return func(t *testing.T, s *stage) { a.host(s).Sysctl(t, key, value) }
}

// ip runs ip(8) for the family.
func (a at) ip(args string) act {
	return func(t *testing.T, s *stage) { s.v.ip(t, a.host(s), s.expand(args)) }
}

func (a at) listens(ports ...uint16) act {
	return func(t *testing.T, s *stage) {
		for _, p := range ports {
			a.host(s).Listen(t, p)
		}
	}
}

// silent makes routers that never say that a time to live was exceeded.
func silent(hops ...at) act {
	return func(t *testing.T, s *stage) {
		for _, a := range hops {
			a.host(s).Silent(t)
		}
	}
}

func expandAll(s *stage, texts []string) (all []string) {
	for _, x := range texts {
		all = append(all, s.expand(x))
	}
	return all
}

// opened are the ports that are open at the target of every network.
var opened = goal.listens(80, 443)

// chained builds the ordinary network: a chain of routers.
func chained(t *testing.T, x *situation, v family) *stage {
	hops := x.hops
	if hops == 0 {
		hops = 6
	}
	p := lab.Chain(t, lab.ChainOptions{Hops: hops})
	s := newStage(v, p.Lab, p.Source)
	for ttl := 1; ttl <= hops; ttl++ {
		s.hop = append(s.hop, p.Hop(ttl))
		s.known[fmt.Sprint(ttl)] = []string{v.of(p.Hop(ttl)).String()}
	}
	return s
}

// ways builds ways side by side, each of so many routers, and chooses one for each flow by its ports:
//
//	source - 1 - 2 - a1 ... aN - join - target
//	               \ b1 ... bN /
//
// The way back is the first one.
func ways(lengths ...int) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) {
		first, split, join, target := s.Host(t, "first"), s.Host(t, "split"), s.Host(t, "join"), s.Host(t, "target")
		links := []*lab.Link{s.Link(t, s.source, first), s.Link(t, first, split)}
		s.source.Default(t, links[0].A)
		first.Default(t, links[1].A)
		back := func(h *lab.Host, via ...*lab.Interface) {
			for _, l := range links {
				h.Route(t, l.Net4, via...)
				h.Route(t, l.Net6, via...)
			}
		}
		for _, net := range []netip.Prefix{links[0].Net4, links[0].Net6} {
			split.Route(t, net, links[1].B)
		}
		var out, in []*lab.Interface
		for i, n := range lengths {
			from := split
			for k := range n {
				name := fmt.Sprintf("%c%d", 'a'+i, k+1)
				h := s.Host(t, name)
				l := s.Link(t, from, h)
				back(h, l.B)
				if from == split {
					out = append(out, l.A)
				} else {
					from.Default(t, l.A)
				}
				s.hosts[name], s.known[name] = h, []string{s.v.of(h).String()}
				from = h
			}
			l := s.Link(t, from, join)
			from.Default(t, l.A)
			in = append(in, l.B)
			s.known["join"] = append(s.known["join"], s.v.at(l.B).String())
		}
		last := s.Link(t, join, target)
		join.Default(t, last.A)
		back(join, in[0])
		target.Default(t, last.B)
		for _, h := range []*lab.Host{split, join} {
			h.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", "1")
			h.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "1")
		}
		split.Default(t, out...)
		s.hosts["split"], s.hosts["join"] = split, join
		s.known["1"], s.known["2"] = []string{s.v.of(first).String()}, []string{s.v.of(split).String()}
		s.hop = []*lab.Host{first, split, join, target}
	}
}

// named is a host of a network by its name.
type named string

func (n named) rules(hook string, rules ...string) act {
	return func(t *testing.T, s *stage) { s.hosts[string(n)].Filter(t, hook, expandAll(s, rules)...) }
}

// verdict is what a run is worth.
type verdict int

const (
	right        verdict = iota
	silentThough         // nothing wrong was said, and not what had to be
	possibleOnly         // what is true is among the alternatives that are named
	wrong
	wrongCertain
)

// said is one finding as the document has it.
type said struct {
	Code, Confidence, Title, Advice string
	Evidence                        []string
	After                           *int `json:"after_ttl"`
	Before                          *int `json:"before_ttl"`
}

func (f *said) text() string {
	return strings.Join(append([]string{f.Title, f.Advice}, f.Evidence...), " ")
}

type document struct {
	Findings []said
	Hops     []struct {
		TTL        int
		Responders []struct{ Address string }
	}
}

var confidences = map[string]int{"possible": 1, "likely": 2, "certain": 3}

// allowed is the highest confidence that is true, for each code.
func (x *situation) allowed() map[string]int {
	all := map[string]int{}
	for _, f := range strings.Split(x.may, ",") {
		if words := strings.Fields(f); len(words) == 2 {
			all[words[0]] = confidences[words[1]]
		}
	}
	return all
}

// judge says what a document is worth, and what is wrong with it.
func (x *situation) judge(s *stage, doc *document, to string) (worst verdict, why []string) {
	note := func(v verdict, format string, a ...any) {
		worst = max(worst, v)
		why = append(why, fmt.Sprintf(format, a...))
	}
	for _, w := range x.wrongRows(s, doc, to) {
		note(wrong, "%s", w)
	}
	allowed := x.allowed()
	matches := func(pattern, text string) bool {
		return pattern != "" && regexp.MustCompile("(?i)"+s.expand(pattern)).MatchString(text)
	}
	named := false
	for i := range doc.Findings {
		f := &doc.Findings[i]
		sure := confidences[f.Confidence]
		bad := pickVerdict(sure)
		truly := matches(x.truth, f.text())
		switch {
		case sure > allowed[f.Code] && !(sure == confidences["possible"] && truly):
			note(bad, "%s %s", f.Code, f.Confidence)
		case x.isMust(f.Code) && !x.rightPlace(f):
			note(bad, "%s %s at another place, %v to %v", f.Code, f.Confidence, show(f.After), show(f.Before))
		}
		if matches(x.never, f.text()) {
			note(bad, "%s %s in wrong words", f.Code, f.Confidence)
		}
		named = named || sure == confidences["possible"] && truly
	}
	for _, group := range strings.Split(x.must, ";") {
		codes := strings.Split(strings.TrimSpace(group), "|")
		if group == "" || slices.ContainsFunc(doc.Findings, func(f said) bool {
			return slices.Contains(codes, f.Code) && (x.names == "" || matches(x.names, f.text()))
		}) {
			continue
		}
		v := silentThough
		if named {
			v = possibleOnly
		}
		note(v, "no %s", strings.Join(codes, " or "))
	}
	return worst, why
}

func pickVerdict(sure int) verdict {
	if sure == confidences["certain"] {
		return wrongCertain
	}
	return wrong
}

func show(n *int) any {
	if n == nil {
		return "?"
	}
	return *n
}

func (x *situation) isMust(code string) bool {
	codes := strings.FieldsFunc(x.must, func(r rune) bool { return strings.ContainsRune("|; ", r) })
	return slices.Contains(codes, code)
}

// rightPlace reports whether the true place is part of the one that a finding claims.
func (x *situation) rightPlace(f *said) bool {
	if x.where == [2]int{} || f.After == nil || f.Before == nil || strings.HasPrefix(f.Code, "port-") {
		return true
	}
	return *f.After <= x.where[0] && *f.Before >= x.where[1]
}

// wrongRows says what is wrong with the list of hops.
func (x *situation) wrongRows(s *stage, doc *document, to string) (all []string) {
	if x.rows == "" {
		return nil
	}
	words := strings.Fields(s.expand(x.rows))
	shown := map[int][]string{}
	last := len(words)
	for _, h := range doc.Hops {
		last = max(last, h.TTL)
		for _, r := range h.Responders {
			shown[h.TTL] = append(shown[h.TTL], r.Address)
		}
	}
	for ttl := 1; ttl <= last; ttl++ {
		may := []string{""}
		if ttl <= len(words) {
			may = nil
			for w := range strings.SplitSeq(words[ttl-1], "|") {
				switch {
				case w == "-":
					may = append(may, "")
				case w == "T":
					may = append(may, to)
				case s.known[w] != nil:
					may = append(may, s.known[w]...)
				default:
					may = append(may, w)
				}
			}
		}
		who := shown[ttl]
		if len(who) == 0 {
			who = []string{""}
		}
		if slices.ContainsFunc(who, func(w string) bool { return !slices.Contains(may, w) }) {
			all = append(all, fmt.Sprintf("hop %d is %q", ttl, strings.Join(shown[ttl], " ")))
		}
	}
	return all
}

// run builds the network of a situation, traces through it and judges.
func (x *situation) run(t *testing.T, path string, v family, limited bool) (verdict, string) {
	var s *stage
	if x.build == nil {
		s = chained(t, x, v)
	} else {
		l := lab.New(t)
		s = newStage(v, l, l.Host(t, "source"))
		x.build(t, s)
	}
	s.AllowRateLimits()
	if limited && !x.free {
		for _, h := range s.hop {
			h.DefaultLimits(t)
		}
		for _, h := range s.hosts {
			if !slices.Contains(s.hop, h) {
				h.DefaultLimits(t)
			}
		}
	}
	opened(t, s)
	for _, do := range x.do {
		do(t, s)
	}
	to := s.expand("{target}")
	if x.to != "" {
		to = s.expand(x.to)
	}
	if s.before != nil {
		s.before(t)
	}
	l := prepare(t, s.source, path, fmt.Sprintf("-n --explain --json %s %s %d", s.expand(x.args), to, x.toPort()))
	l.begin(t)
	got := l.outcome()
	var doc document
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		return wrong, fmt.Sprintf("%v: %v", err, got)
	}
	worst, why := x.judge(s, &doc, to)
	return worst, x.report(why, &doc, got)
}

func (x *situation) toPort() int {
	if x.port == 0 {
		return 80
	}
	return x.port
}

// report is what a developer needs who looks at a run that isn't right.
func (x *situation) report(why []string, doc *document, got outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.Join(why, "; "))
	for _, h := range doc.Hops {
		fmt.Fprintf(&b, "  %2d", h.TTL)
		for _, r := range h.Responders {
			fmt.Fprintf(&b, " %s", r.Address)
		}
		b.WriteByte('\n')
	}
	for i := range doc.Findings {
		f := &doc.Findings[i]
		fmt.Fprintf(&b, "  [%s, %s] %v-%v %s\n", f.Code, f.Confidence, show(f.After), show(f.Before), f.Title)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "    - %s\n", e)
		}
		fmt.Fprintf(&b, "    > %s\n", f.Advice)
	}
	b.WriteString(got.stderr)
	return b.String()
}

// situations are all there are.
func situations() []situation {
	return slices.Concat(cleanSituations, filterSituations, refusalSituations, balancerSituations, natSituations,
		limitSituations, backSituations, impostorSituations, targetSituations, changeSituations, doubleSituations,
		optionSituations, cousinSituations, alikeSituations, ownSituations, whileSituations)
}

// TestSituations runs the quick share of the situations once, and each must be right. With -situations N it runs all, N
// times each, half of them with the kernel's default limits on ICMP: none may be wrong, and nine in ten must be right.
func TestSituations(t *testing.T) {
	lab.Need(t)
	t.Parallel()
	all := toRun()
	path := program(t)
	results := worth{bad: map[string]int{}}
	fewAtATime(len(all), 12, func(i int) {
		x := &all[i]
		limited := (i+x.run+int(x.v)/2)%2 == 0
		t.Run(fmt.Sprintf("%s, run %d", strings.ReplaceAll(x.title(), "/", " of "), x.run+1), func(t *testing.T) {
			got, why := x.situation.run(t, path, x.v, limited)
			results.add(x, got)
			switch {
			case got == wrongCertain || got != right && *situationRuns == 0:
				t.Errorf("%v (limits on ICMP: %v): %s", got, limited, why)
			case got != right:
				t.Logf("%v (limits on ICMP: %v): %s", got, limited, why)
			}
		})
	})
	results.check(t)
}

// one is one run of a situation.
type one struct {
	situation
	v   family
	run int
}

func (x *one) title() string { return fmt.Sprintf("%s, IPv%d", x.name, x.v) }

// toRun are the runs that were asked for.
func toRun() (all []one) {
	for _, x := range situations() {
		for _, v := range []family{ip4, ip6} {
			if x.only != 0 && x.only != v || *situationRuns == 0 && !x.ci {
				continue
			}
			for run := range max(1, *situationRuns) {
				all = append(all, one{x, v, run})
			}
		}
	}
	return all
}

// worth is what all runs are worth.
type worth struct {
	mu     sync.Mutex
	counts [wrongCertain + 1]int
	unmet  int            // of the wrong ones, those that are known
	bad    map[string]int // those that aren't right, each with the number of such runs
}

func (s *worth) add(x *one, got verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[got]++
	if got == right {
		return
	}
	s.bad[fmt.Sprintf("%-17s %s", got, x.title())]++
	if got == wrong && x.unmet != "" {
		s.unmet++
	}
}

// check prints the summary, and fails where less is right than is promised.
func (s *worth) check(t *testing.T) {
	total := 0
	for _, n := range s.counts {
		total += n
	}
	c := s.counts
	summary := fmt.Sprintf("%d situations: %d right, %d silent, %d possible with the truth named, "+
		"%d wrong, %d wrong with certain", total,
		c[right], c[silentThough], c[possibleOnly], c[wrong]+c[wrongCertain], c[wrongCertain])
	fmt.Fprintln(os.Stderr, summary)
	for _, line := range slices.Sorted(maps.Keys(s.bad)) {
		fmt.Fprintf(os.Stderr, "  %s: %d of %d\n", line, s.bad[line], max(1, *situationRuns))
	}
	if c[right]*10 < total*9 || c[wrong] > s.unmet {
		t.Errorf("less is right than promised: %s", summary)
	}
}

func (v verdict) String() string {
	return [...]string{"right", "silent", "possible", "wrong", "WRONG AND CERTAIN"}[v]
}
