package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.example/tcptraceroute/lab"
)

// The program that ours takes the place of: Michael Toren's, as Debian has it.
const (
	peer        = "tcptraceroute.mt" // the package's name for it, whatever the alternative "tcptraceroute" is
	peerVersion = "1.5beta7"
)

// The network that both programs trace, one after the other (package lab, Chain):
//
//	source ------- r1 ------- r2 ------- r3 ------- target    ports 25 and 443 open, all others closed
//	       .1.1  .1.2   .2.1 .2.2  .3.1 .3.2  .4.1 .4.2        of 198.18.0.0/16
//	TTL            1          2          3            4
const hosts = `
127.0.0.1     localhost
127.0.0.2     lo2.example
198.18.1.1    me.example
198.18.1.2    gw.example
198.18.2.2    r2.example other.example
198.18.4.2    www.example www
2001:db8:4::2 www.example
10.9.9.1      ten.example
172.16.9.1    sixteen.example
172.31.9.1    thirtyone.example
172.32.9.1    thirtytwo.example
192.168.9.1   home.example
100.64.9.1    carrier.example
169.254.9.1   link.example
`

// A scene is a network and the argument lists that both programs get there.
type scene struct {
	name string
	// edit is what the network has beside the chain. It is done anew for each program: what counts packets begins at 0.
	edit func(t *testing.T, p *lab.Path)
	// mask makes alike where ours is meant to differ; times and ports chosen by the kernel always are.
	mask func(outcome) outcome
	// shows is part of what the peer prints for each of the lists: else the network isn't what it is meant to be.
	shows string
	lists []string // arguments, split at blanks; '' is an empty one
}

// arguments splits an argument list.
func arguments(list string) []string {
	args := strings.Fields(list)
	for i := range args {
		if args[i] == "''" {
			args[i] = ""
		}
	}
	return args
}

// TestClassic gives our program and the one that it takes the place of the same arguments in the same networks, and wants
// the same standard output, standard error and exit code, but where this host can send nothing (exit code 2, there 1).
func TestClassic(t *testing.T) {
	lab.NeedProgram(t, peer)
	t.Parallel()
	ours := program(t)

	const workers = 8 // mostly they wait for silence
	var work sync.WaitGroup
	var ran, agreed atomic.Int64
	queue := make(chan func(*lab.Path))
	for range workers {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Target.Listen(t, 25)
		p.Target.Listen(t, 443)
		takePorts(t, p.Source)
		onlyFiles(t, p.Source, hosts)
		if v := run(t, p.Source, peer, "-v"); !strings.Contains(v.stdout, "tcptraceroute "+peerVersion) {
			t.Fatalf("%s is not release %s:\n%v", peer, peerVersion, v)
		}
		work.Go(func() {
			for compare := range queue {
				compare(p)
			}
		})
	}
	for _, s := range scenes {
		for _, list := range s.lists {
			queue <- func(p *lab.Path) {
				t.Run(s.name+"/"+list, func(t *testing.T) {
					ran.Add(1)
					want, got := s.run(t, p, "peer", peer, list), s.run(t, p, "ours", ours, list)
					for range 2 { // a network that counts packets shows when a busy machine made either program send one more
						if want != got {
							want, got = s.run(t, p, "peer", peer, list), s.run(t, p, "ours", ours, list)
						}
					}
					if !strings.Contains(want.stdout+want.stderr, s.shows) {
						t.Errorf("no %q in what %s says of it:\n%v", s.shows, peerVersion, want)
					}
					if strings.HasPrefix(want.stderr, "connect: ") && want.code == 1 {
						want.code = 2
					}
					if want != got {
						t.Errorf("tcptraceroute %s\n%s: %v\nours: %v", list, peerVersion, want, got)
						return
					}
					agreed.Add(1)
				})
			}
		}
	}
	close(queue)
	work.Wait()
	t.Logf("%d argument lists, %d agree with tcptraceroute %s", ran.Load(), agreed.Load(), peerVersion)
}

// takePorts takes TCP ports of the source: 7777 by a listener on every address, 7778 by one on 127.0.0.1 alone.
func takePorts(t *testing.T, source *lab.Host) {
	source.Listen(t, 7777)
	source.Do(t, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:7778")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
	})
}

// TestClassicSetUserID does the same for an ordinary user, both programs installed set-user-ID root as Debian does.
func TestClassicSetUserID(t *testing.T) {
	lab.NeedRoot(t)
	lab.NeedProgram(t, peer)
	t.Parallel()
	ours := lab.Install(t, program(t), 0o4755)
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Target.Listen(t, 25)
	onlyFiles(t, p.Source, hosts)
	ran, agreed := 0, 0
	for _, list := range []string{
		"-n -q2 198.18.4.2 25",
		"-n -q1 -f4 -A -t16 198.18.4.2",
		"-n -q1 -f4 -i eth0 --track-port 198.18.4.2",
		"-p5000 198.18.4.2",
		"-p x 198.18.4.2",
		"-p0 198.18.4.2",
		"-nP5000 198.18.4.2",
		"-s 198.18.1.1 198.18.4.2",
		"-s nohost nohost2 nosuch",
		"-s x -p y",
		"-q x -s y",
		"-p",
		"-Z -p1",
		"-v -p1",
	} {
		t.Run(list, func(t *testing.T) {
			ran++
			of := func(name string) outcome {
				return letter(oneLine(kernelPort(times(finish(t, func(ctx context.Context) *lab.Cmd {
					return p.Source.Command(ctx, name, arguments(list)...).As(65534, 65534)
				})))))
			}
			if want, got := of(peer), of(ours); want != got {
				t.Errorf("%s: %v\nours: %v", peerVersion, want, got)
				return
			}
			agreed++
		})
	}
	t.Logf("%d argument lists of an ordinary user, %d agree with tcptraceroute %s", ran, agreed, peerVersion)
}

// TestClassicWire compares what both programs send: everything in the packets that is not random, how often each TTL is
// asked, and which of the random numbers change from probe to probe.
func TestClassicWire(t *testing.T) {
	lab.NeedProgram(t, peer)
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Target.Listen(t, 25)
	onlyFiles(t, p.Source, hosts)
	for _, list := range []string{
		"-n -q2 -m3 198.18.4.2 25",
		"-n -q2 -f2 -m3 -t16 -F -l60 198.18.4.2 25",
		"-n -q1 -f4 -m4 198.18.4.2 25",
		"-n -q2 -m2 -E 198.18.4.2 25",
		"-n -q2 -m2 -A 198.18.4.2 443",
		"-n -q2 -m2 -SA -p5003 198.18.4.2 25",
		"-n -q2 -m3 -E -A -t255 198.18.4.2",
		"-n -q2 -m3 --track-port 198.18.4.2 25",
		"-n -q1 -m2 198.18.4.2 25 1400",
		"-n -q1 -w1 -m1 -s 198.18.1.77 -P5004 198.18.4.2 25",
	} {
		t.Run(list, func(t *testing.T) {
			sent := func(name string) string {
				c := p.Source.Interfaces[0].Capture(t)
				o := run(t, p.Source, name, arguments(list)...)
				s := probes(c.Stop(t))
				if s == "" {
					t.Fatalf("%s sent nothing:\n%v", name, o)
				}
				return s
			}
			if want, got := sent(peer), sent(ours); want != got {
				t.Errorf("%s sends:\n%sours:\n%s", peerVersion, want, got)
			}
		})
	}
}

// probes describes the TCP segments that a host sent, all but the kernel's resets.
func probes(packets []lab.Packet) string {
	const ack, rst = 0x10, 0x04
	kinds := make(map[string]bool)
	ttls := make(map[byte]int)
	ports, seqs, ids := make(map[uint16]bool), make(map[uint32]bool), make(map[uint16]bool)
	n := 0
	for _, packet := range packets {
		ip := packet.Data
		if !packet.Out || len(ip) < 40 || ip[0] != 0x45 || ip[9] != 6 || ip[20+13]&rst != 0 {
			continue
		}
		tcp := ip[20:]
		n++
		ttls[ip[8]]++
		ids[binary.BigEndian.Uint16(ip[4:])] = true
		ports[binary.BigEndian.Uint16(tcp)] = true
		seqs[binary.BigEndian.Uint32(tcp[4:])] = true
		number := "random"
		if tcp[13]&ack == 0 {
			number = fmt.Sprint(binary.BigEndian.Uint32(tcp[8:])) // nothing is acknowledged
		}
		kinds[fmt.Sprintf("TOS %#x, length %d of %d, fragment %#x, %v > %v port %d, ack %s, offset and reserved %#x, flags %#x, window %d, urgent %d, payload %d bytes, all printable %t",
			ip[1], len(ip), binary.BigEndian.Uint16(ip[2:]), binary.BigEndian.Uint16(ip[6:]), net.IP(ip[12:16]), net.IP(ip[16:20]),
			binary.BigEndian.Uint16(tcp[2:]), number, tcp[12], tcp[13], binary.BigEndian.Uint16(tcp[14:]), binary.BigEndian.Uint16(tcp[18:]), len(tcp[20:]), printable(tcp[20:]))] = true
	}
	if n == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&b, "\t%s\n", k)
	}
	fmt.Fprintf(&b, "\ttimes each TTL %v, source ports %d, sequence numbers %d, IP IDs %d\n", ttls, len(ports), len(seqs), len(ids))
	return b.String()
}

// printable reports whether a payload is what the contract says of it. Which characters it has is each program's own matter.
func printable(payload []byte) bool {
	return bytes.IndexFunc(payload, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// run sets the scene for one program, runs it, and masks what it did.
func (s *scene) run(t *testing.T, p *lab.Path, who, name, list string) (o outcome) {
	t.Run(who, func(t *testing.T) {
		if s.edit != nil {
			s.edit(t, p)
		}
		o = kernelPort(times(run(t, p.Source, name, arguments(list)...)))
		if s.mask != nil {
			o = s.mask(o)
		}
	})
	return o
}

var (
	milliseconds = regexp.MustCompile(`[0-9]+\.[0-9]{3} ms`)
	sourcePort   = regexp.MustCompile(`, port [0-9]+ for`)
)

// times masks round-trip times, but not their form.
func times(o outcome) outcome {
	o.stdout = milliseconds.ReplaceAllString(o.stdout, "0.000 ms")
	return o
}

// kernelPort masks source ports that the kernel chose (of net.ipv4.ip_local_port_range, 32768 and up). The argument lists
// ask for smaller ones.
func kernelPort(o outcome) outcome {
	o.stderr = sourcePort.ReplaceAllStringFunc(o.stderr, func(s string) string {
		if n, err := strconv.Atoi(strings.Fields(s)[2]); err != nil || n < 32768 {
			return s
		}
		return ", port PORT for"
	})
	return o
}

var numeric = regexp.MustCompile(`^Numeric argument required for -[\x00a-zA-Z]\n$`)

// letter masks which option wants a number: the peer forgets it and writes a NUL byte. (That ours writes the right one is
// tested with the command line.)
func letter(o outcome) outcome {
	o.stderr = numeric.ReplaceAllString(o.stderr, "Numeric argument required for -LETTER\n")
	return o
}

var (
	versionBlock = regexp.MustCompile(`^\ntcptraceroute [^\n]+\n(?:[^\n]+\n)+\n$`)
	usageBlock   = regexp.MustCompile(`(?m)^Usage: tcptraceroute(?:.mt)? \[-(?s:.*)\n\n\z`)
)

// ownTexts masks the texts in which each program speaks of itself, the version on standard output and the usage on standard
// error. What stands before them, and that they are there, is compared.
func ownTexts(o outcome) outcome {
	o.stdout = versionBlock.ReplaceAllString(o.stdout, "VERSION\n")
	o.stderr = usageBlock.ReplaceAllString(o.stderr, "USAGE\n")
	return o
}

var (
	ownAdvice = regexp.MustCompile(`( \(.*\))?; see tcptraceroute --help\n\z`)
	noForm    = regexp.MustCompile(`\A(host missing: .*|Too many arguments, .*)\n\z`)
)

// oneLine masks what is meant to differ where the form of the command line is wrong: the old program prints the version on
// standard output and the usage on standard error, ours one line with advice. What is wrong, and the exit code, is compared.
func oneLine(o outcome) outcome {
	o = ownTexts(o)
	o.stdout = strings.TrimPrefix(o.stdout, "VERSION\n")
	o.stderr = strings.TrimSuffix(o.stderr, "USAGE\n")
	o.stderr = noForm.ReplaceAllString(ownAdvice.ReplaceAllString(o.stderr, "\n"), "")
	return o
}

var ownWarning = regexp.MustCompile(`(?m)^Warning: (-[pP] \d+ is the source port|no interface of this host has|the source address .*: a loopback address|0\.0\.0\.0 is nobody's address).*\n`)

// ownWarnings masks lines in which ours says more than the old program.
func ownWarnings(o outcome) outcome {
	o.stderr = ownWarning.ReplaceAllString(o.stderr, "")
	return o
}

var debugLine = regexp.MustCompile(`(?m)^(debug: .*|\t\t.*)\n`)

// debugMessages masks the debug messages, each program's own, and what -d does to the peer's standard output: a line end and
// an empty line after every probe.
func debugMessages(o outcome) outcome {
	o.stderr = debugLine.ReplaceAllString(o.stderr, "")
	o.stdout = strings.ReplaceAll(o.stdout, "\n\n", "\n")
	o.stdout = strings.ReplaceAll(o.stdout, "\n  0.000 ms", "  0.000 ms")
	return o
}

// portOnly masks the address that stands before a translated port: the peer writes 0.0.0.0 where only the port was
// translated.
func portOnly(o outcome) outcome {
	o.stdout = strings.ReplaceAll(o.stdout, "Detected DNAT to 0.0.0.0:", "Detected DNAT to 198.18.4.2:")
	return o
}

// lookupWarning masks what the peer says with --no-getinterfaces, which switches off something that ours doesn't have.
func lookupWarning(o outcome) outcome {
	o.stderr = strings.TrimPrefix(o.stderr, "Warning: Could not determine appropriate device; resorting to pcap_lookupdev()\n")
	return o
}

// ecn makes the target agree to ECN.
func ecn(t *testing.T, p *lab.Path) { p.Target.Sysctl(t, "net.ipv4.tcp_ecn", "1") }

// rejects makes the third router refuse the target's port 25 with an ICMP code.
func rejects(code uint8) func(*testing.T, *lab.Path) {
	return func(t *testing.T, p *lab.Path) { p.Hop(3).Reject(t, "tcp dport 25", code, 0) }
}

// filters adds rules to a hook of the host at a TTL.
func filters(ttl int, hook string, rules ...string) func(*testing.T, *lab.Path) {
	return func(t *testing.T, p *lab.Path) { p.Hop(ttl).Filter(t, hook, rules...) }
}

// answers makes the target's answers from port 25 carry these TCP flags.
func answers(flags string) func(*testing.T, *lab.Path) {
	return filters(4, "output", "tcp sport 25 tcp flags set "+flags)
}

// answersFrom makes the second router answer from the addresses in turn.
func answersFrom(addrs ...string) func(*testing.T, *lab.Path) {
	return func(t *testing.T, p *lab.Path) {
		var as []netip.Addr
		for _, a := range addrs {
			as = append(as, netip.MustParseAddr(a))
		}
		p.Hop(2).AnswerFrom(t, as...)
	}
}

// translated makes of the target's address and port 25 another address and port, translated at the second router packet by packet to another.
func translated(addr string) func(*testing.T, *lab.Path) {
	return func(t *testing.T, p *lab.Path) {
		dst := netip.MustParseAddrPort(addr)
		if dst.Addr() != p.Target.V4() {
			p.Target.AddAddr(t, dst.Addr())
		}
		p.Hop(2).Redirect(t, netip.AddrPortFrom(p.Target.V4(), 25), dst)
	}
}

// together makes one edit of several.
func together(edits ...func(*testing.T, *lab.Path)) func(*testing.T, *lab.Path) {
	return func(t *testing.T, p *lab.Path) {
		for _, e := range edits {
			e(t, p)
		}
	}
}

// noRoute takes the source's default route away.
func noRoute(t *testing.T, p *lab.Path) {
	p.Source.IP(t, "route del default")
	t.Cleanup(func() { p.Source.Default(t, p.Links[0].A) })
}

// codeScenes have an ICMP unreachable of each code.
func codeScenes() (scenes []scene) {
	for code, mark := range []string{
		"!N", "!H", "!P", "!p", "!F", "!S", "!U", "!U", "!I", "!A", "!C", "!T", "!T", "!A", "!<14>", "!<15>", "!<16>",
	} {
		scenes = append(scenes, scene{
			name: fmt.Sprintf("unreachable code %d", code), edit: rejects(uint8(code)), shows: mark,
			lists: []string{"-n -q1 -f4 198.18.4.2 25"},
		})
	}
	return scenes
}

var scenes = append(codeScenes(), []scene{
	{name: "plain", lists: []string{
		"198.18.4.2",
		"198.18.4.2 25",
		"-n 198.18.4.2 25",
		"-n -q2 198.18.4.2 443",
		"-n -q1 -m1 198.18.4.2",
		"-n -q1 -m3 198.18.4.2 26",
		"-n -q1 -f4 -m4 198.18.4.2 25",
		"-n -q2 -f3 198.18.4.2 25",
		"-n -q1 -f9 198.18.4.2 25",
		"-n -q1 -f255 -m255 198.18.4.2",
		"-n -q1 -m010 198.18.4.2 25",
		"-n -q010 -m1 198.18.4.2 25",
	}},

	{name: "the form of the command line", lists: []string{
		"-nq1 198.18.4.2",
		"-nq1 -w1 -f4 198.18.4.2",
		"-Snq1 -f 4 198.18.4.2 25",
		"198.18.4.2 80 -f4 -q1 -n",
		"-f4 198.18.4.2 25 -q1 -n 60",
		"198.18.4.2 -f4 25 -n",
		"-f4 -q1 -n -- 198.18.4.2",
		"-f4 -q1 -n 198.18.4.2 -- 25",
		"-n -q1 -f4 -- 198.18.4.2 25 41",
		"-n -f4 -f3 -q1 -q2 198.18.4.2",
		"-n -f4 -q1 -w1 -w99 198.18.4.2",
		"-n -f4 -q1 --no-filter 198.18.4.2",
		"-n -f4 -q1 --no-select 198.18.4.2",
		"-n -f4 -q1 --select 198.18.4.2",
		"- -f4 -q1 198.18.4.2",
		"-f4 -q1 -- 198.18.4.2 -n",
		"-f4 -q1 198.18.4.2 -- -80",
	}},
	{name: "usage", mask: ownTexts, shows: "USAGE", lists: []string{
		"-h",
		"--help",
		"-h 198.18.4.2",
		"--help extra",
		"-nh -Z",
		"-h -q x",
	}},
	{name: "mistakes in the form of the command line", mask: oneLine, lists: []string{
		"-n",
		"198.18.4.2 25 40 4",
		"-Z",
		"-Z -v",
		"-nZq 198.18.4.2",
		"-1 198.18.4.2",
		"198.18.4.2 80 -1",
		"-? 198.18.4.2",
		"-: 198.18.4.2",
		"--bogus=3 198.18.4.2",
		"--dna 198.18.4.2",
		"--dnat=1 198.18.4.2",
		"--help=x",
		"--no- 198.18.4.2",
		"---dnat 198.18.4.2",
		"--queries 1 198.18.4.2",
		"--track -f4 198.18.4.2",
	}},
	{name: "a mistake after debugging messages", mask: func(o outcome) outcome { return debugMessages(oneLine(o)) }, lists: []string{"-dZ"}},
	{name: "version", mask: ownTexts, shows: "VERSION", lists: []string{
		"-v",
		"--version",
		"-v 198.18.4.2",
		"-v -Z",
		"-v -qx",
		"-f0 -v",
		"-nvh",
	}},
	{name: "not a number", mask: letter, shows: "Numeric argument required for -LETTER", lists: []string{
		"-q x 198.18.4.2",
		"-q '' 198.18.4.2",
		"-qx -v",
		"-nq1w1 198.18.4.2",
		"-q=1 198.18.4.2",
		"-f -2 198.18.4.2",
		"-f -- 198.18.4.2",
		"-m +2 198.18.4.2",
		"-l 1x 198.18.4.2",
		"-p x 198.18.4.2",
		"-P x 198.18.4.2",
	}},
	{name: "no value", shows: "Argument required for -", lists: []string{
		"-q", "198.18.4.2 -q", "-nf", "-m", "-w", "-t", "-l", "-p", "-P", "-s", "-i",
	}},
	{name: "wrong values, of several the first", lists: []string{
		"-f0 198.18.4.2",
		"-m0 198.18.4.2",
		"-f256 198.18.4.2",
		"-f5 -m3 198.18.4.2",
		"-m256 -f0 198.18.4.2",
		"-f300 -m200 198.18.4.2",
		"-q0 198.18.4.2",
		"-q0 -f0 198.18.4.2",
		"-f5 -m3 -q0 198.18.4.2",
		"-w0 198.18.4.2",
		"-w0 -q0 198.18.4.2",
		"-l10 -q0 198.18.4.2",
		"''",
		"nohost",
		"nohost.invalid nosuch",
		"-q0 nohost",
		"-f4 -",
		"198.18.4.2 nosuch",
		"198.18.4.2 ''",
		"198.18.4.2 SMTP",
		"198.18.4.2 tftp",
		"198.18.4.2 25x",
		"198.18.4.2 +25",
		"198.18.4.2 25.5",
		"198.18.4.2 0x19",
		"-f0 198.18.4.2 nosuch",
		"-s nohost 198.18.4.2",
		"-s '' 198.18.4.2",
		"-s nohost nohost2",
		"-s nohost -f0 198.18.4.2",
		"-l10 -s nohost 198.18.4.2",
		"-i nosuch 198.18.4.2",
		"-i '' 198.18.4.2",
		"-i nosuch -l10 198.18.4.2",
		"-i nosuch -s nohost 198.18.4.2",
		"-i nosuch nohost",
		"-i nosuch -q0 198.18.4.2",
		"-i nosuch --track-port -p5000 198.18.4.2",
		"-i nosuch 198.18.4.2 nosuch",
		"-i '' -q0 198.18.4.2",
		"--track-port -p5000 -f0 198.18.4.2",
		"-q0 255.255.255.255",
		"255.255.255.255",
		"198.18.4.2.1",
		"1.2.3.256",
	}},

	{name: "hosts and services", lists: []string{
		"-n -q1 -f4 www",
		"-q1 www.example 25",
		"-q1 -f4 WWW.Example smtp",
		"-n -q1 -f4 www mail",
		"-n -q1 -f4 198.18.4.2 smtp",
		"-n -q1 -f4 198.18.4.2 0",
		"-n -q1 -f4 198.18.4.2 025",
		"-n -q1 -f4 198.18.4.2 26",
		"-n -q1 -f4 198.18.4.2 https",
		"-n -q1 -f4 0306.022.4.2",
		"-n -q1 -f4 3323069442",
		"-n -q1 -f4 198.18.1026",
		"-n -q1 -f4 0xc6120402",
		"-n -q1 -f4 198.18.4",
		"-n -q1 -f1 gw.example",
		"-q2 -f4 -N 198.18.4.2",
		"-q1 -nN 198.18.4.2",
		"-q1 -Nn 198.18.4.2",
		"-q1 -N -n -f4 198.18.4.2 25",
		"-q1 -n -N 198.18.4.2 25",
	}},
	{name: "addresses that are looked up", edit: answersFrom(
		"10.9.9.1", "172.16.9.1", "172.31.9.1", "172.32.9.1", "192.168.9.1", "100.64.9.1", "169.254.9.1"), lists: []string{
		"-q7 -f2 -m2 198.18.4.2",
		"-q7 -f2 -m2 -N 198.18.4.2",
		"-q7 -f2 -m2 -n 198.18.4.2",
	}},
	{name: "this host", shows: " 1  ", lists: []string{
		"-q2 127.0.0.1",
		"-q1 127.0.0.2",
		"-n -q1 127.0.0.1 26",
		"-q1 localhost",
		"-q2 198.18.1.1",
		"-n -q1 -i lo 127.0.0.1",
	}},
	{name: "this host, further away", lists: []string{"-n -q1 -f3 127.0.0.1"}},
	{name: "not a host", mask: ownWarnings, lists: []string{"-n -q1 -w1 -m1 224.0.0.1", "-n -q1 -w1 -m1 0.0.0.0"}},
	{name: "no route", edit: noRoute, shows: "connect: Network is unreachable", lists: []string{
		"-n -q1 198.18.4.2", "-f0 198.18.4.2", "-p7777 198.18.4.2", "--track-port -p5000 198.18.4.2",
	}},

	{name: "source", mask: ownWarnings, lists: []string{
		"-n -q1 -f4 -i eth0 198.18.4.2",
		"-n -q1 -f4 -s 198.18.1.1 198.18.4.2",
		"-n -q1 -f4 -s me.example 198.18.4.2",
		"-n -q1 -w1 -f4 -m4 -s 198.18.1.77 198.18.4.2",
		"-n -q1 -w1 -f4 -m4 -s 203.0.113.9 198.18.4.2",
		"-n -q1 -w1 -f4 -m4 -s 127.0.0.1 198.18.4.2",
		"-n -q1 -w1 -f4 -m4 -i eth0 -s 127.0.0.1 198.18.4.2",
		"-n -q2 -f4 -p 12 198.18.4.2",
		"-n -q2 -f4 -p5001 198.18.4.2 25",
		"-n -q1 -f4 -p12 -p13 198.18.4.2",
		"-n -q1 -f4 -p5555 -p0 198.18.4.2",
		"-n -q1 -f4 -p0 198.18.4.2",
		"-n -q2 -f4 -P5002 198.18.4.2",
		"-n -q1 -f4 -P65535 198.18.4.2",
		"-n -q1 -f4 -P0 198.18.4.2",
	}},
	{name: "source port in use", mask: ownWarnings, lists: []string{
		"-n -q1 -f4 -p7777 198.18.4.2",
		"-n -q1 -f4 -P7777 198.18.4.2",
		"-n -q1 -f4 -p7778 198.18.4.2",
		"-n -q1 -f4 -P7778 198.18.4.2",
		"-n -q1 -f4 -p7777 -P7777 198.18.4.2",
		"-n -q1 -f4 -P7777 -p7777 198.18.4.2",
		"-p7777 -l10 198.18.4.2",
		"-p7777 -i nosuch 198.18.4.2",
		"-p7777 -q0 198.18.4.2",
		"-p7777 -f0 198.18.4.2",
		"-p7777 -s nohost 198.18.4.2",
		"-P7777 -q0 198.18.4.2",
		"--track-port -p7777 -q0 198.18.4.2",
		"--track-port -p7777 -l10 198.18.4.2",
	}},
	{name: "which probe", mask: ownWarnings, lists: []string{
		"-n -q2 --track-id 198.18.4.2 25",
		"-n -q1 --track-ipid -f4 198.18.4.2",
		"-n -q2 --track-port 198.18.4.2 25",
		"-n -q1 -f4 --track-id --track-port 198.18.4.2",
		"-n -q1 -f4 --track-port --track-id 198.18.4.2",
		"-n -q1 -f4 --track-port -p5000 198.18.4.2",
		"-n -q1 -f4 -p5000 --track-port 198.18.4.2",
		"-n -q1 -f4 --track-port -P5000 198.18.4.2",
		"-n -q1 -f4 --track-id -p5000 198.18.4.2",
		"-n -q1 -f4 --track-port -p0 198.18.4.2",
	}},
	{name: "the packet", lists: []string{
		"-n -q1 -S 198.18.4.2 25",
		"-n -q1 -f4 -A 198.18.4.2 25",
		"-n -q1 -A 198.18.4.2",
		"-n -q1 -f4 -SA 198.18.4.2 25",
		"-n -q1 -f4 -E -A 198.18.4.2 25",
		"-n -q1 -f4 -t 16 198.18.4.2",
		"-n -q1 -f4 -t255 198.18.4.2",
		"-n -q1 -f4 -t2 -F 198.18.4.2",
		"-n -q1 -F 198.18.4.2 25",
		"-n -q1 -f4 -l0 198.18.4.2",
		"-n -q1 -f4 -l39 198.18.4.2",
		"-n -q1 -f4 -l40 198.18.4.2",
		"-n -q1 -f4 -l41 198.18.4.2",
		"-n -q1 -l1500 198.18.4.2 25",
		"-n -q1 -f4 198.18.4.2 25 60",
		"-n -q1 -f4 198.18.4.2 25 39",
		"-n -q1 -f4 198.18.4.2 25 0",
		"-n -q1 -f4 198.18.4.2 25 ''",
		"-n -q1 -f4 -l50 198.18.4.2 25 60",
		"-n -q1 -f4 198.18.4.2 25 60 -l50",
	}},
	{name: "ECN", edit: ecn, shows: "[open, ecn]", lists: []string{"-n -q2 -f4 -E 198.18.4.2 25", "-n -q1 -f4 -ES 198.18.4.2 25"}},
	{name: "ECN not agreed to", edit: ecn, shows: "[open]", lists: []string{"-n -q1 -f4 198.18.4.2 25"}},

	{name: "debugging", mask: debugMessages, lists: []string{
		"-d -n -q2 198.18.4.2 25",
		"-dn -q1 -f4 --track-port 198.18.4.2",
		"-q1 -f4 -d -d 198.18.4.2",
	}},
	{name: "without a look at the interfaces", mask: lookupWarning, lists: []string{"-n -q1 -f4 --no-getinterfaces 198.18.4.2"}},

	// Silence.
	{name: "silent hop", edit: func(t *testing.T, p *lab.Path) { p.Hop(2).Silent(t) }, shows: " 2  *", lists: []string{
		"-n -q2 -w1 198.18.4.2 25",
		"-q1 -w1 www",
	}},
	{name: "every other answer lost, from the first", shows: " 2  * ",
		edit: filters(2, "output", "icmp type time-exceeded numgen inc mod 2 == 0 drop"), lists: []string{
			"-n -q2 -w1 -f2 198.18.4.2",
			"-q4 -w1 -m2 198.18.4.2",
		}},
	{name: "every other answer lost, from the second", shows: " ms * ",
		edit: filters(2, "output", "icmp type time-exceeded numgen inc mod 2 == 1 drop"), lists: []string{"-n -q4 -w1 198.18.4.2 25"}},
	{name: "one of three answers", edit: filters(2, "output", "icmp type time-exceeded numgen inc mod 3 != 1 drop"),
		shows: " 2  * r2.example (198.18.2.2) 0.000 ms *", lists: []string{"-q3 -w1 -m2 198.18.4.2"}},
	{name: "filtered", edit: func(t *testing.T, p *lab.Path) { p.Hop(3).Drop(t, "tcp dport 25") },
		shows: "Destination not reached", lists: []string{"-n -q1 -w1 -m5 198.18.4.2 25", "-n -q1 -w1 -f99 -m100 198.18.4.2 25"}},
	{name: "blackhole", edit: func(t *testing.T, p *lab.Path) { p.Hop(2).Add(t, "route", "blackhole 198.18.4.99") },
		shows: "Destination not reached", lists: []string{"-n -q1 -w1 -f2 -m4 198.18.4.99"}},
	{name: "target silent at first", edit: filters(4, "input", "tcp dport 25 tcp flags syn numgen inc mod 3 == 0 drop"),
		shows: " 4  * www.example (198.18.4.2) [open] 0.000 ms", lists: []string{"-q3 -w1 -m4 --track-port 198.18.4.2 25"}},
	{name: "target silent in the end", edit: filters(4, "input", "tcp dport 25 tcp flags syn numgen inc mod 3 == 2 drop"),
		shows: "[open]  0.000 ms  0.000 ms *", lists: []string{"-n -q3 -w1 -f4 -m4 198.18.4.2 25"}},
	{name: "target silent where it is met first", edit: func(t *testing.T, p *lab.Path) { p.Target.Mangle(t, "ip ttl 1 drop") },
		shows: " 5  198.18.4.2 [open]", lists: []string{"-n -q2 -w1 -m6 198.18.4.2 25"}},

	// Several responders.
	{name: "two in turn", edit: answersFrom("198.18.2.2", "198.18.2.3"), shows: "\n    ", lists: []string{
		"-n -q3 -m2 198.18.4.2",
		"-q4 198.18.4.2 25",
	}},
	{name: "three in turn", edit: answersFrom("198.18.2.2", "198.18.2.3", "198.18.2.4"), shows: "\n    ", lists: []string{
		"-q5 -m3 198.18.4.2",
	}},
	{name: "two after silence", shows: " 2  * 198.18.2.2 0.000 ms\n    198.18.2.3  0.000 ms\n", edit: filters(2, "output",
		"icmp type time-exceeded numgen inc mod 3 vmap { 0 : drop }",
		"icmp type time-exceeded ip saddr set numgen inc mod 2 map { 0 : 198.18.2.2, 1 : 198.18.2.3 }"),
		lists: []string{"-n -q3 -w1 -m2 198.18.4.2"}},
	{name: "silence after two", shows: "198.18.2.3  0.000 ms *\n", edit: filters(2, "output",
		"icmp type time-exceeded numgen inc mod 3 vmap { 2 : drop }",
		"icmp type time-exceeded ip saddr set numgen inc mod 2 map { 0 : 198.18.2.2, 1 : 198.18.2.3 }"),
		lists: []string{"-n -q3 -w1 -m2 198.18.4.2"}},
	{name: "answers in the target's name", edit: answersFrom("198.18.4.2"), shows: " 2  www.example (198.18.4.2)  0.000 ms",
		lists: []string{"-q2 198.18.4.2 25"}},

	// The end.
	{name: "prohibited for all", edit: rejects(10), shows: "0.000 ms !C", lists: []string{
		"-n -q2 198.18.4.2 25", "-q3 www.example 25", "-n -q1 -f6 198.18.4.2 25",
	}},
	{name: "unreachable code 200", edit: rejects(200), shows: "!<200>", lists: []string{"-n -q2 198.18.4.2 25"}},
	// These answers, unlike those of a firewall, the kernel limits to five at once and one a second (ip_error in
	// net/ipv4/route.c), so that one router must not be asked by both scenes.
	{name: "unreachable route", edit: func(t *testing.T, p *lab.Path) { p.Hop(2).Add(t, "route", "unreachable 198.18.4.99") },
		shows: "!H", lists: []string{"-n -q2 198.18.4.99"}},
	{name: "prohibited route", edit: func(t *testing.T, p *lab.Path) { p.Hop(3).Add(t, "route", "prohibit 198.18.4.99") },
		shows: "!A", lists: []string{"-q2 198.18.4.99"}},
	{name: "refused by the target itself", edit: filters(4, "input", "tcp dport 25 reject with icmp type port-unreachable"),
		shows: " 4  www.example (198.18.4.2)  0.000 ms !p", lists: []string{"-q2 198.18.4.2 25"}},
	{name: "reset by a firewall", edit: func(t *testing.T, p *lab.Path) { p.Hop(3).Reset(t, "tcp dport 25") },
		shows: "[closed]", lists: []string{"-n -q2 198.18.4.2 25"}},
	{name: "the second refused", edit: filters(3, "forward", "tcp dport 25 tcp flags syn numgen inc mod 3 == 1 reject with icmp type host-prohibited"),
		shows: "[open]  0.000 ms\n    198.18.3.2  0.000 ms !C\n    www", lists: []string{"-q3 -m4 198.18.4.2 25"}},
	{name: "the first refused", edit: filters(3, "forward", "tcp dport 25 tcp flags syn numgen inc mod 3 == 0 reject with icmp type host-prohibited"),
		shows: "!C\n    198.18.4.2 [open]", lists: []string{"-n -q3 -m4 198.18.4.2 25"}},
	{name: "the last refused by the target", edit: filters(4, "input", "tcp dport 25 tcp flags syn numgen inc mod 3 == 2 reject with icmp type admin-prohibited"),
		shows: "0.000 ms  0.000 ms !A", lists: []string{"-n -q3 -f4 -m4 198.18.4.2 25"}},
	{name: "closed in the end", edit: filters(4, "input", "tcp dport 25 tcp flags syn numgen inc mod 3 == 2 reject with tcp reset"),
		shows: " [closed]  0.000 ms", lists: []string{"-n -q3 -f4 -m4 198.18.4.2 25"}},
	{name: "too big", edit: func(t *testing.T, p *lab.Path) { p.Links[2].SetMTU(t, 500) },
		shows: " 3  198.18.2.2  0.000 ms !F  0.000 ms !F", lists: []string{"-n -q2 -l1000 -F 198.18.4.2 25"}},
	{name: "fragmented", edit: func(t *testing.T, p *lab.Path) { p.Links[2].SetMTU(t, 500) },
		shows: "[open]", lists: []string{"-n -q1 -w1 -l1000 198.18.4.2 25"}},

	// What a TCP answer may have besides.
	{name: "ACK", edit: answers("ack"), shows: "[unknown, ACK]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "ACK PSH FIN", edit: answers("fin,psh,ack"), shows: "[unknown, ACK PSH FIN]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "ACK URG", edit: answers("ack,urg"), shows: "[unknown, ACK URG]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "ACK CWR ECN", edit: answers("ack,ecn,cwr"), shows: "[unknown, ACK CWR ECN]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "SYN ACK PSH", edit: answers("syn,ack,psh"), shows: "[open]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "SYN ACK CWR", edit: answers("syn,ack,cwr"), shows: "[open]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "SYN ACK ECN CWR", edit: answers("syn,ack,ecn,cwr"), shows: "[open, ecn]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "RST ACK", edit: answers("rst,ack"), shows: "[closed]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},
	{name: "RST SYN ACK", edit: answers("rst,syn,ack"), shows: "[closed]", lists: []string{"-n -q1 -f4 -m4 198.18.4.2 25"}},

	// Destination NAT.
	{name: "address translated", edit: translated("10.6.35.86:25"), lists: []string{
		"-n -q2 198.18.4.2 25",
		"-n -q2 --dnat 198.18.4.2 25",
		"-q1 --dnat 198.18.4.2 25",
		"-n -q2 --no-dnat 198.18.4.2 25",
		"-n -q1 -w1 --no-dnat-strict 198.18.4.2 25",
		"-n -q1 --no-dnat-strict --dnat 198.18.4.2 25",
		"-n -q1 --dnat --no-dnat 198.18.4.2 25",
		"-n -q1 -f3 --dnat 198.18.4.2 25",
		"-n -q1 --track-port --dnat 198.18.4.2 25",
	}},
	{name: "address and port translated", edit: translated("10.6.35.86:443"), lists: []string{
		"-n -q2 --dnat 198.18.4.2 25",
		"-n -q1 --no-dnat 198.18.4.2 25",
		"-n -q1 -w1 --no-dnat-strict 198.18.4.2 25",
	}},
	{name: "port translated", edit: translated("198.18.4.2:443"), mask: portOnly, lists: []string{
		"-n -q2 --dnat 198.18.4.2 25",
		"-n -q1 --no-dnat 198.18.4.2 25",
		"-n -q1 -w1 --no-dnat-strict 198.18.4.2 25",
	}},
	{name: "translated behind silence", edit: together(translated("10.6.35.86:25"), func(t *testing.T, p *lab.Path) { p.Hop(2).Silent(t) }),
		shows: " 2  *\n      Detected DNAT to 10.6.35.86\n 3", lists: []string{"-n -q1 -w1 --dnat 198.18.4.2 25"}},
	{name: "translated twice", edit: together(translated("198.18.4.77:25"), func(t *testing.T, p *lab.Path) {
		p.Target.AddAddr(t, netip.MustParseAddr("10.6.35.86"))
		p.Hop(3).Redirect(t, netip.MustParseAddrPort("198.18.4.77:25"), netip.MustParseAddrPort("10.6.35.86:25"))
	}), shows: "Detected DNAT to 10.6.35.86", lists: []string{"-n -q2 --dnat 198.18.4.2 25", "-q1 --dnat www 25"}},
	{name: "translated and refused", edit: together(translated("10.6.35.86:25"), rejects(10)), shows: "!C",
		lists: []string{"-n -q2 --dnat 198.18.4.2 25", "-n -q1 198.18.4.2 25"}},
	{name: "translated in turn", shows: "Detected DNAT to 198.18.4.77\n    198.18.2.2", lists: []string{"-n -q4 -f2 -m2 --dnat 198.18.4.2 25"},
		edit: func(t *testing.T, p *lab.Path) {
			p.Hop(2).Mangle(t, "tcp dport 25 ip daddr set numgen inc mod 2 map { 0 : 10.6.35.86, 1 : 198.18.4.77 }")
		}},
	{name: "translated now and then", shows: " 2  198.18.2.2  0.000 ms\n      Detected DNAT to 10.6.35.86\n    198.18.2.2",
		lists: []string{"-n -q3 -f2 -m2 --dnat 198.18.4.2 25"}, edit: func(t *testing.T, p *lab.Path) {
			p.Hop(2).Mangle(t, "tcp dport 25 ip daddr set numgen inc mod 2 map { 0 : 198.18.4.2, 1 : 10.6.35.86 }")
		}},
	{name: "translated after silence", shows: " 2  *\n      Detected DNAT to 10.6.35.86\n     198.18.2.2 0.000 ms",
		lists: []string{"-n -q2 -w1 -f2 -m2 --dnat 198.18.4.2 25"}, edit: together(translated("10.6.35.86:25"),
			filters(2, "output", "icmp type time-exceeded numgen inc mod 2 == 0 drop"))},
	{name: "translated with connection tracking", edit: func(t *testing.T, p *lab.Path) {
		p.Target.AddAddr(t, netip.MustParseAddr("10.6.35.86"))
		p.Hop(2).DNAT(t, netip.AddrPortFrom(p.Target.V4(), 25), netip.MustParseAddrPort("10.6.35.86:25"))
	}, shows: " 2  198.18.4.2  0.000 ms", lists: []string{"-n -q2 --dnat 198.18.4.2 25", "-n -q1 --no-dnat-strict 198.18.4.2 25"}},
}...)
