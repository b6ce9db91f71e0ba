package sim

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// allWords is a scenario with every word of the form, in the order of String.
const allWords = `seed 42
no-host-rst
router 10.0.0.1,10.0.0.2 per-packet hidden delay=1ms jitter=2ms loss=0.01 dup=0.02 held=0.1/20ms back-delay=3ms back-jitter=4ms back-loss=0.03 back-dup=0.04 back-held=0.2/1s
router 10.0.0.3 ttl=64 tos=192 linux from=203.0.113.9 silent rate=1s/6 source-rate=100ms/3 slow=1ms late=0.1/3s detour=2 quote=min
router 10.0.0.4 silent=0.5 quote=36 quote-src=198.51.100.1 quote-dst=10.9.9.9 quote-sport=1 quote-dport=2 quote-seq=+1000000 quote-id=0 quote-tos=0 quote-ttl=0 quote-label=0
router 10.0.0.5 mpls=16001/0/1,16002/7/255 if-role=2 if-index=3 if-addr=10.0.0.9 if-name=ge-0%2F0%20%1B%23 if-mtu=1500 node-addr=2001:db8::9 node-name=core1 non-compliant ext-length=0 ext-object=65535 ext-bad-checksum ext-cut=3
router 10.0.0.6 pass=22 drop=1-1023:syn reset=443 reject=13:80 reject=1 reject=13:80:syn:p0.25 drop=not-syn drop=not-tcp accept=25 drop=from-443 reset=turn3 reject=13:80:over200ms/3 drop
router 10.0.0.7 set-src=10.0.0.8 set-dst=10.0.0.9 set-sport=3 set-dport=4 set-seq=-5 set-id=1 set-tos=2 set-ttl=3 set-label=4 set-mss=1380 raise-mss=1200 set-window=9 no-option=4,8 clear-flags=192 random-id dnat=10.1.1.1:8080 snat=:4000 raw-quote hide-hops stateful one-isn random-isn inject=rst inject-ttl=60 inject-least=2 inject-delay=1ms unresolved=3.07s spoof=1ms/10s
router 10.0.0.8,10.0.0.18 in-turn syn-limit=100ms/5 syn-limit-both packet-limit=1ms/20 longest=1400 longest-told drop-tos=184 lowest-ttl=3 dnat=10.1.1.1
change packet=30
router *
change time=2s
router 10.0.0.9
change port=443
change share=0.25
target 203.0.113.9 delay=5ms back-loss=0.5 ttl=128 open=80,443 closed filtered=25 challenge=22 stuck=24 older=40000 answers-as=192.0.2.7:81 bare=4 no-ecn no-options no-echo by-source drop-first pause=1.5s pause-always bad-ack cookies changing-cookies reject=3:1
router 2001:db8::1 dnat=[2001:db8::2]:80
home share=0.5
router 2001:db8::3 drop
end
fork by=ports+label seed=7
way share=0.25
router 2001:db8::4
fork
way
way
router *
end
way
end
target 2001:db8::9 filtered real
`

func TestParse(t *testing.T) {
	s, err := Parse(allWords)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != allWords {
		t.Errorf("written as\n%s", got)
	}
	a := netip.MustParseAddr
	p := s.Paths[0]
	for i, c := range []struct{ got, want any }{
		{s.Seed, uint64(42)},
		{s.NoHostRST, true},
		{len(s.Paths), 2},
		{p.Routers[0], Router{
			Addrs: []netip.Addr{a("10.0.0.1"), a("10.0.0.2")}, PerPacket: true, Hidden: true,
			Link: Link{ms(1), ms(2), .01, .02, Held{.1, ms(20)}},
			Back: Link{ms(3), ms(4), .03, .04, Held{.2, time.Second}},
		}},
		{p.Routers[1], Router{Addrs: []netip.Addr{a("10.0.0.3")}, Answers: Answers{
			TTL: 64, TOS: 192, Linux: true, From: a("203.0.113.9"), Silent: 1, Rate: Rate{time.Second, 6}, SourceRate: Rate{ms(100), 3}, Slow: ms(1), Late: Held{.1, 3 * time.Second}, Detour: 2, Quote: QuoteMinimum,
		}}},
		{p.Routers[2], Router{Addrs: []netip.Addr{a("10.0.0.4")}, Answers: Answers{Silent: .5, Quote: 36, QuoteAs: Rewrite{
			a("198.51.100.1"), a("10.9.9.9"), 1, 2, 1000000, new(uint16(0)), new(uint8(0)), new(uint8(0)), new(uint32(0)),
		}}}},
		{p.Routers[3], Router{Addrs: []netip.Addr{a("10.0.0.5")}, Answers: Answers{Extensions: Extensions{
			MPLS:         []packet.Label{{Label: 16001, TTL: 1}, {Label: 16002, TC: 7, TTL: 255}},
			Interface:    packet.Interface{Role: packet.RoleOutgoing, Index: 3, Addr: a("10.0.0.9"), Name: []byte("ge-0/0 \x1b#"), MTU: 1500},
			Node:         packet.Node{Addr: a("2001:db8::9"), Name: []byte("core1")},
			NonCompliant: true, Length: new(uint8(0)), ObjectLength: new(uint16(65535)), BadChecksum: true, Cut: 3,
		}}}},
		{p.Routers[4].Rules, []Rule{{Action: Pass, Code: 0, Lo: 22, Hi: 22, Segments: AllSegments}, {Action: Drop, Code: 0, Lo: 1, Hi: 1023, Segments: OnlySYN}, {Action: Reset, Code: 0, Lo: 443, Hi: 443, Segments: AllSegments},
			{Action: Reject, Code: 13, Lo: 80, Hi: 80, Segments: AllSegments}, {Action: Reject, Code: 1, Lo: 0, Hi: 0, Segments: AllSegments},
			{Action: Reject, Code: 13, Lo: 80, Hi: 80, Segments: OnlySYN, Share: 0.25}, {Action: Drop, Code: 0, Lo: 0, Hi: 0, Segments: NotSYN}, {Action: Drop, Code: 0, Lo: 0, Hi: 0, Segments: NotTCP}, {Action: Accept, Code: 0, Lo: 25, Hi: 25, Segments: AllSegments}, {Action: Drop, Lo: 443, Hi: 443, Source: true}, {Action: Reset, InTurn: 3}, {Action: Reject, Code: 13, Lo: 80, Hi: 80, Over: Rate{ms(200), 3}}, {Action: Drop, Code: 0, Lo: 0, Hi: 0, Segments: AllSegments}}},
		{p.Routers[5], Router{Addrs: []netip.Addr{a("10.0.0.7")},
			Set: Rewrite{a("10.0.0.8"), a("10.0.0.9"), 3, 4, -5, new(uint16(1)), new(uint8(2)), new(uint8(3)), new(uint32(4))}, Mangle: Mangle{1380, 1200, []uint8{4, 8}, 192, 9}, RandomID: true,
			NAT:      NAT{netip.MustParseAddrPort("10.1.1.1:8080"), netip.AddrPortFrom(netip.Addr{}, 4000), true, true},
			Tracking: Tracking{true, true, true}, Spoof: Spoof{ms(1), 10 * time.Second},
			Unresolved: 3070 * time.Millisecond, Inject: Inject{Reset, 60, 2, ms(1)},
		}},
		{p.Routers[6], Router{Addrs: []netip.Addr{a("10.0.0.8"), a("10.0.0.18")}, InTurn: true, Limits: Limits{Rate{ms(100), 5}, true, Rate{ms(1), 20}, 1400, true, 184, 3},
			NAT: NAT{Dst: netip.AddrPortFrom(a("10.1.1.1"), 0)}}},
		{p.Changes, []Change{{Packet: 30, Routers: []Router{{}}}, {Time: 2 * time.Second, Routers: []Router{{Addrs: []netip.Addr{a("10.0.0.9")}}}}, {Port: 443}, {Share: 0.25}}},
		{p.Target, Target{Addr: a("203.0.113.9"), Link: Link{Delay: ms(5)}, Back: Link{Loss: .5}, TTL: 128, State: Closed,
			Ports: map[uint16]State{80: Open, 443: Open, 25: Filtered, 22: Challenge, 24: Stuck}, Older: []uint16{40000}, AnswersAs: netip.MustParseAddrPort("192.0.2.7:81"), Bare: packet.RST, NoECN: true, NoOptions: true, NoEcho: true, Defence: Defence{true, true, 1500 * time.Millisecond, true, true, true, true}, Rules: []Rule{{Action: Reject, Code: 3, Lo: 1, Hi: 1, Segments: AllSegments}}}},
		{s.Paths[1].Routers[0].NAT.Dst, netip.MustParseAddrPort("[2001:db8::2]:80")},
		{s.Paths[1].Routers[0].Home, &Home{Share: .5, Routers: []Router{{Addrs: []netip.Addr{a("2001:db8::3")}, Rules: []Rule{{Action: Drop}}}}}},
		{s.Paths[1].Routers[1].Fork, &Fork{By: ByPortsAndLabel, Seed: 7, Ways: []Way{
			{Share: .25, Routers: []Router{{Addrs: []netip.Addr{a("2001:db8::4")}}, {Fork: &Fork{Ways: []Way{{}, {Routers: []Router{{}}}}}}}},
			{},
		}}},
		{s.Paths[1].Target, Target{Addr: a("2001:db8::9"), State: Filtered, Real: true}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%d: %+v, want %+v", i, c.got, c.want)
		}
	}
}

func TestParseTolerates(t *testing.T) {
	for text, want := range map[string]string{
		"# nothing\n\n  router   10.0.0.1\tdelay=0s # here\r\ntarget 10.0.0.2 open\r\n":               "router 10.0.0.1\ntarget 10.0.0.2\n",
		"router 10.0.0.1 tos=0xc0 drop=80-80 rate=1000ms/06 quote=0 snat=10.0.0.3:0\ntarget 10.0.0.2": "router 10.0.0.1 tos=192 rate=1s/6 drop=80 snat=10.0.0.3\ntarget 10.0.0.2\n",
		"target 10.0.0.2 closed=80 open=80":                                                           "target 10.0.0.2 open=80\n",
		"target 2001:DB8:0::1":                                                                        "target 2001:db8::1\n",
	} {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := s.String(); got != want {
			t.Errorf("%q: written as %q", text, got)
		}
	}
}

func TestParseErrors(t *testing.T) {
	router := func(words string) string { return "router 10.0.0.1 " + words + "\ntarget 10.0.0.2" }
	target := func(words string) string { return "target 10.0.0.2 " + words }
	fork := func(words, inside string) string { return "fork " + words + "\n" + inside + "\nend\n" + target("") }
	home := func(words, inside string) string {
		return "router 10.0.0.1\nhome " + words + "\n" + inside + "\nend\n" + target("")
	}
	for _, text := range []string{
		"", "# nothing", "seed 1", "router 10.0.0.1", "change packet=1", // no target
		"seed\ntarget 10.0.0.2", "seed x\ntarget 10.0.0.2", "seed 1 2\ntarget 10.0.0.2", "no-host-rst 1\ntarget 10.0.0.2",
		"router\ntarget 10.0.0.2", "target", "target x", "target 10.0.0.2\ntarget 10.0.0.2", "host 10.0.0.1\ntarget 10.0.0.2",
		"target ::ffff:10.0.0.2", "target fe80::1%eth0",
		"router 10.0.0.1,\ntarget 10.0.0.2", "router 10.0.0.1,2001:db8::1\ntarget 10.0.0.2", "router 2001:db8::1\ntarget 10.0.0.2", "router fe80::1%1\ntarget 2001:db8::2",
		"change\ntarget 10.0.0.2", "change packet=1 time=1s\ntarget 10.0.0.2", "change packet=-1\ntarget 10.0.0.2", "change packet=1 x\ntarget 10.0.0.2", "change packet=1\nrouter x\ntarget 10.0.0.2",
		router("x"), router("delay"), router("delay="), router("delay=5"), router("delay=-1s"), router("delay=2h"), router("jitter=-1s"), router("back-delay=-1s"),
		router("loss=1.1"), router("loss=-0.1"), router("loss=NaN"), router("loss=x"), router("back-dup=2"), router("held=0.1"), router("held=2/1s"), router("held=x/1s"), router("held=0.1/-1s"),
		router("silent=2"), router("silent=x"), router("rate=1s"), router("rate=x/1"), router("rate=-1s/1"), router("rate=1s/-1"), router("rate=2h/1"), router("slow=-1s"), router("late=1/2h"),
		router("quote=-2"), router("quote=x"), router("quote=70000"), router("quote-id=65536"), router("quote-seq=4294967296"), router("quote-label=0x100000"), router("quote-src=x"), router("quote-dst=2001:db8::1"),
		router("from=2001:db8::1"), router("ttl=256"), router("tos=x"), router("per-packet=1"),
		router("mpls=1"), router("mpls=1/8/1"), router("mpls=1048576/0/1"), router("mpls=1/0/256"), router("if-role=4 if-index=1"), router("if-name=%zz"), router("if-name=" + strings.Repeat("x", 64)),
		router("non-compliant"), router("ext-object=1"), router("ext-bad-checksum"), router("ext-cut=-1"), router("ext-length=256"),
		router("drop=x"), router("drop=0"), router("drop=2-1"), router("drop=1-70000"), router("drop=x-2"), router("reject"), router("reject=256"), router("reject=x"), router("reset=80:x"),
		router("dnat=x"), router("dnat=:x"), router("dnat=2001:db8::1"), router("snat=[2001:db8::1]:80"), router("spoof=1s"), router("spoof=x/1s"), router("spoof=-1s/1s"), router("spoof=1s/-1s"), router("set-src=2001:db8::1"),
		target("x"), target("open=x"), target("open=80,"), target("open="), target("closed=70000"), target("no-ecn=1"), target("drop=x"), target("loss=2"), target("back-loss=2"), target("slow=1ms"),
		router("drop=from-"), router("drop=from-x"), router("longest-told=1"),
		fork("x", "way\nway"), fork("by=x", "way\nway"), fork("seed=x", "way\nway"), fork("", ""), fork("", "way"), fork("", "router 10.0.0.1\nway\nway"),
		fork("", "way share=1\nway"), fork("", "way share=0.6\nway share=0.6"), fork("", "way share=x\nway"), fork("", "way\nway\nway x"),
		fork("", "way\nway\nchange packet=1"), fork("", "way\nway\ntarget 10.0.0.3"), fork("", "way\nway\nrouter 2001:db8::1"), "fork\nway\nway\n" + target(""), "way\n" + target(""),
		"end\n" + target(""), "home\nend\n" + target(""), fork("", "way\nway\nend\nhome"), fork("", "way\nhome\nend\nway"),
		home("skip=-1", ""), home("skip=255", ""), home("share=2", ""), home("", "router 2001:db8::1"), home("", "fork\nway\nway\nend"), home("", "router 10.0.0.1\nhome\nend"), home("", "way"),
		strings.Repeat("router 10.0.0.1\n", 254) + fork("", "way\nway\nrouter 10.0.0.1"),
		strings.Repeat("router 10.0.0.1\n", 255) + target(""),
		"target 10.0.0.2 # " + strings.Repeat("x", 1<<17),
	} {
		if s, err := Parse(text); !errors.Is(err, ErrScenario) {
			t.Errorf("%.60q: %v, read as\n%.200s", text, err, s.String())
		}
	}
	if _, err := New(Scenario{}); !errors.Is(err, ErrScenario) {
		t.Errorf("an empty scenario: %v", err)
	}
	valid := netip.MustParseAddr("10.0.0.1")
	for _, r := range []Router{{Addrs: []netip.Addr{{}}}, {Addrs: []netip.Addr{valid}, Rules: []Rule{{Action: 9}}}, {Rules: []Rule{{Segments: 9}}}} {
		if _, err := New(Scenario{Paths: []Path{{Routers: []Router{r}, Target: Target{Addr: valid}}}}); !errors.Is(err, ErrScenario) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(allWords)
	for line := range strings.Lines(allWords) {
		f.Add(line + "target 203.0.113.1\n")
	}
	f.Add(everything)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrScenario) {
				t.Errorf("error %v", err)
			}
			return
		}
		written := s.String()
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("%v in\n%s", err, written)
		}
		if !reflect.DeepEqual(again, s) {
			t.Errorf("read back as\n%s, was\n%s", again.String(), written)
		}
		if _, err := New(s); err != nil {
			t.Errorf("%v in\n%s", err, written)
		}
	})
}
