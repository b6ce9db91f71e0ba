package sim

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Parse reads the text form of a scenario. Its lines, in which # starts a
// comment, are:
//
//	seed N                      of all that is random
//	no-host-rst                 Scenario.NoHostRST
//	router ADDRS WORD...        the next router; ADDRS: addresses with commas between, or * for none
//	change packet=N|time=D|port=N|share=P   the routers of another route follow (Change)
//	target ADDR WORD...         ends a path; routers after it belong to the next
//	fork by=CHOICE seed=N       a Fork; CHOICE is ports, addresses, label, ports+label or packet
//	way share=P                 the routers of one of its ways follow
//	home skip=N share=P quoted  the routers follow by which answers go home from the router before (Home)
//	end                         of a fork, or of a way home
//
// A word is a name, or NAME=VALUE without spaces. D is a duration (20ms), P a
// probability from 0 to 1, N a number.
//
// Links, of routers and targets:
//
//	delay=D jitter=D loss=P dup=P held=P/D
//	back-delay=D back-jitter=D back-loss=P back-dup=P back-held=P/D
//
// Answers, of routers (of targets: ttl):
//
//	ttl=N tos=N linux from=ADDR silent silent=P rate=D/N (one each D, N at once) source-rate=D/N
//	slow=D late=P/D detour=N
//	quote=min quote=N quote-FIELD=VALUE
//	mpls=LABEL/TC/TTL,... if-role=N if-index=N if-addr=ADDR if-name=NAME (percent-encoded) if-mtu=N
//	node-addr=ADDR node-name=NAME (percent-encoded)
//	non-compliant ext-length=N ext-object=N ext-bad-checksum ext-cut=N
//
// Rules, of both; the first that fits decides. WHAT is a port (80) or a range
// (1-1023), of the source with from- before it (from-443), syn or not-syn, or both
// (80:syn); without it, everything of TCP; not-tcp is the rest. Behind it, pP is a share of these packets (80:p0.3),
// turnN each Nth of them (80:turn3), and overD/N those beyond a limit (80:over200ms/3):
//
//	pass drop reset accept reject=CODE pass=WHAT drop=WHAT reset=WHAT accept=WHAT reject=CODE:WHAT
//
// Limits, of routers: one packet each D, N at once; packets longer than N bytes,
// and those with that byte as TOS or traffic class:
//
//	syn-limit=D/N syn-limit-both packet-limit=D/N longest=N longest-told drop-tos=N lowest-ttl=N
//
// Forwarding, of routers. FIELD is src, dst, sport, dport, seq (added), id, tos,
// ttl or label; ADDRPORT an address, a port (:80), or both:
//
//	device=N per-packet in-turn hidden set-FIELD=VALUE random-id
//	set-mss=N (or less) raise-mss=N (or more) set-window=N no-option=KIND,... clear-flags=N
//	dnat=ADDRPORT snat=ADDRPORT raw-quote hide-hops
//	stateful one-isn random-isn unresolved=D
//	inject=rst inject=syn-ack inject-ttl=N inject-least=N inject-delay=D
//	spoof=D/D (one each, for)
//
// Of targets, the state of all ports and that of some:
//
//	open closed filtered challenge stuck open=N,... closed=N,... filtered=N,... challenge=N,... stuck=N,...
//	older=SOURCE-PORT,... answers-as=ADDRPORT bare=FLAGS
//	real no-ecn no-options no-echo closes=D resets=D
//
// and what protects them ([Defence]):
//
//	by-source drop-first pause=D pause-always bad-ack cookies changing-cookies
//
// [Scenario.String] writes this form. Errors wrap [ErrScenario].
func Parse(text string) (Scenario, error) {
	var p parser
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if words := strings.Fields(line); len(words) > 0 {
			if err := p.line(words[0], words[1:]); err != nil {
				return Scenario{}, fmt.Errorf("%w: line %d: %w", ErrScenario, n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Scenario{}, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	if len(p.within) > 0 {
		return Scenario{}, fmt.Errorf("%w: a fork or a way home without an end", ErrScenario)
	}
	if len(p.path.Routers) > 0 || len(p.path.Changes) > 0 {
		return Scenario{}, fmt.Errorf("%w: no target after the last router", ErrScenario)
	}
	if err := p.scenario.Validate(); err != nil {
		return Scenario{}, err
	}
	return p.scenario, nil
}

type parser struct {
	scenario Scenario
	path     Path // the one whose target is still to come
	within   []inside
}

// inside is a fork or a way home that hasn't ended yet.
type inside struct {
	fork *Fork
	home *Home
}

// routers is the list that the next router belongs to; nil: none does here.
func (p *parser) routers() *[]Router {
	if n := len(p.within); n > 0 {
		in := p.within[n-1]
		switch {
		case in.home != nil:
			return &in.home.Routers
		case len(in.fork.Ways) == 0:
			return nil
		}
		return &in.fork.Ways[len(in.fork.Ways)-1].Routers
	}
	if n := len(p.path.Changes); n > 0 {
		return &p.path.Changes[n-1].Routers
	}
	return &p.path.Routers
}

// structure reads the statements of forks and ways home.
func (p *parser) structure(statement string, words []string) error {
	list, n := p.routers(), len(p.within)
	switch {
	case statement == "end" && n > 0:
		p.within = p.within[:n-1]
		return parseWords(p, words, nil)
	case statement == "fork" && list != nil:
		f := new(Fork)
		*list = append(*list, Router{Fork: f})
		p.within = append(p.within, inside{fork: f})
		return parseWords(f, words, forkWords)
	case statement == "way" && n > 0 && p.within[n-1].fork != nil:
		var w Way
		f := p.within[n-1].fork
		err := parseWords(&w, words, wayWords)
		f.Ways = append(f.Ways, w)
		return err
	case statement == "home" && list != nil && len(*list) > 0 && (*list)[len(*list)-1].Fork == nil:
		h := new(Home)
		(*list)[len(*list)-1].Home = h
		p.within = append(p.within, inside{home: h})
		return parseWords(h, words, homeWords)
	}
	return fmt.Errorf("%q has no place here", statement)
}

func (p *parser) line(statement string, words []string) error {
	subject := ""
	switch statement {
	case "seed", "router", "target":
		if len(words) == 0 {
			return errNoValue
		}
		subject, words = words[0], words[1:]
	}
	var err error
	if len(p.within) > 0 && (statement == "change" || statement == "target") {
		return fmt.Errorf("%q within a fork or a way home", statement)
	}
	switch statement {
	case "seed":
		p.scenario.Seed, err = parseBits[uint64](64)(subject)
		return errors.Join(err, parseWords(p, words, nil))
	case "no-host-rst":
		p.scenario.NoHostRST = true
		return parseWords(p, words, nil)
	case "router":
		var r Router
		if subject != "*" {
			r.Addrs, err = parseList(subject, netip.ParseAddr)
		}
		routers := p.routers()
		if routers == nil {
			return errors.New("a fork's routers belong to its ways")
		}
		err = errors.Join(err, parseWords(&r, words, routerWords))
		*routers = append(*routers, r)
		return err
	case "fork", "way", "home", "end":
		return p.structure(statement, words)
	case "change":
		var c Change
		err = parseWords(&c, words, changeWords)
		p.path.Changes = append(p.path.Changes, c)
		return err
	case "target":
		t := &p.path.Target
		t.Addr, err = netip.ParseAddr(subject)
		err = errors.Join(err, parseWords(t, words, targetWords))
		p.scenario.Paths = append(p.scenario.Paths, p.path)
		p.path = Path{}
		return err
	}
	return fmt.Errorf("unknown statement %q", statement)
}

// String returns the scenario in the form that [Parse] reads; it reads back as
// the same scenario.
func (s Scenario) String() string {
	var b strings.Builder
	if s.Seed != 0 {
		fmt.Fprintf(&b, "seed %d\n", s.Seed)
	}
	if s.NoHostRST {
		b.WriteString("no-host-rst\n")
	}
	for i := range s.Paths {
		p := &s.Paths[i]
		writeRouters(&b, p.Routers)
		for j := range p.Changes {
			b.WriteString(formatLine("change", &p.Changes[j], changeWords))
			writeRouters(&b, p.Changes[j].Routers)
		}
		b.WriteString(formatLine("target "+p.Target.Addr.String(), &p.Target, targetWords))
	}
	return b.String()
}

func writeRouters(b *strings.Builder, routers []Router) {
	for i := range routers {
		r := &routers[i]
		if r.Fork != nil {
			b.WriteString(formatLine("fork", r.Fork, forkWords))
			for j := range r.Fork.Ways {
				b.WriteString(formatLine("way", &r.Fork.Ways[j], wayWords))
				writeRouters(b, r.Fork.Ways[j].Routers)
			}
			b.WriteString("end\n")
			continue
		}
		addrs := formatList(r.Addrs, netip.Addr.String)
		b.WriteString(formatLine("router "+cmp.Or(addrs, "*"), r, routerWords))
		if r.Home != nil {
			b.WriteString(formatLine("home", r.Home, homeWords))
			writeRouters(b, r.Home.Routers)
			b.WriteString("end\n")
		}
	}
}
