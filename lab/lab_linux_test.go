package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const victim = "LAB_TEST_VICTIM" // in the environment of this program when it is to be killed: see TestKilled

func TestMain(m *testing.M) {
	if os.Getenv(victim) != "" {
		flag.Parse() // -short is asked for
		beVictim()
		return
	}
	Main(m)
}

// hop is one line of a peer's output: the addresses, and what stands after the last time.
type hop struct {
	addrs []string
	mark  string
}

var (
	address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+`)
	mark    = regexp.MustCompile(`![A-Za-z]|!<\d+>|\[[a-z ,]+\]`)
)

// trace runs a real peer in the host, tcptraceroute for IPv4 (from which the marks are) and traceroute for IPv6, with one
// probe a hop, and returns its hops.
func trace(t *testing.T, from *Host, to netip.Addr, args ...string) []hop {
	t.Helper()
	command := []string{"tcptraceroute", "-n", "-q1", "-w1", "-m6", to.String(), "25"}
	if to.Is6() {
		command = []string{"traceroute", "-6", "-T", "-n", "-q1", "-w0.5", "-m6", "-p25", to.String()}
	}
	NeedProgram(t, command[0])
	command = append(command, args...)
	out, err := from.Command(t.Context(), command[0], command[1:]...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // exit code 1: not reached
		t.Fatal(err)
	}
	var hops []hop
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "traceroute to") {
			continue
		}
		hops = append(hops, hop{address.FindAllString(line, -1), mark.FindString(line)})
	}
	return hops
}

func (p *Path) wants(v6 bool) (hops []hop) {
	for ttl := range len(p.Links) {
		a := p.Hop(ttl + 1).V4()
		if v6 {
			a = p.Hop(ttl + 1).V6()
		}
		hops = append(hops, hop{addrs: []string{a.String()}})
	}
	if !v6 {
		hops[len(hops)-1].mark = "[open]"
	}
	return hops
}

// bothFamilies runs a test for IPv4 and for IPv6, each with the target's address there.
func bothFamilies(t *testing.T, target *Host, f func(t *testing.T, to netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { f(t, target.V4()) })
	t.Run("IPv6", func(t *testing.T) { f(t, target.V6()) })
}

func TestChain(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 9, Silent: []int{4}})
	c.Target.Listen(t, 25)
	bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
		// Every host has a way to every other one, and the first packet gets there.
		for _, h := range append(slices.Clone(c.Routers), c.Target) {
			a := h.V4()
			if to.Is6() {
				a = h.V6()
			}
			for _, from := range []*Host{c.Source, c.Target, c.Routers[3]} {
				from.Run(t, "ping", "-n", "-c1", "-W1", a.String())
			}
		}
		want := c.wants(to.Is6())
		want[3] = hop{}
		got := trace(t, c.Source, to, "-m9")
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestChainOptions(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 1, Net4: netip.MustParsePrefix("10.7.0.0/16"), Net6: netip.MustParsePrefix("2001:db8:0::/32")})
	if len(c.Routers) != 0 || c.Hop(1) != c.Target || c.Target.V4() != netip.MustParseAddr("10.7.1.2") ||
		c.Source.V6() != netip.MustParseAddr("2001:db8:1::1") {
		t.Errorf("%d routers, target %v, source %v", len(c.Routers), c.Target.V4(), c.Source.V6())
	}
	c.Source.Run(t, "ping", "-n", "-c1", "-W1", c.Target.V4().String())
	c.Source.Run(t, "ping", "-n", "-c1", "-W1", c.Links[0].B.LinkLocal.String()+"%eth0")
}

func TestDiamond(t *testing.T) {
	t.Parallel()
	for _, perPacket := range []bool{false, true} {
		t.Run(fmt.Sprintf("perPacket=%v", perPacket), func(t *testing.T) {
			m := Diamond(t, DiamondOptions{Width: 3, PerPacket: perPacket})
			m.Target.Listen(t, 25)
			bothFamilies(t, m.Target, func(t *testing.T, to netip.Addr) {
				var middle []string
				for _, h := range m.Middle {
					a := h.V4()
					if to.Is6() {
						a = h.V6()
					}
					middle = append(middle, a.String())
				}
				seen := make(map[string]int)
				// One flow: the same addresses and ports for each of six packets.
				NeedProgram(t, "traceroute")
				out := m.Source.Run(t, "traceroute", "-T", "-n", "-f2", "-m2", "-q6", "-N1", "-p25", "--sport=4444", to.String())
				for _, a := range address.FindAllString(out[strings.Index(out, "\n"):], -1) {
					if !slices.Contains(middle, a) {
						t.Fatalf("%s is not in the middle", a)
					}
					seen[a]++
				}
				if want := map[bool]int{false: 1, true: 3}[perPacket]; len(seen) != want {
					t.Errorf("one flow saw %v, want %d of them\n%s", seen, want, out)
				}
				if perPacket {
					return
				}
				for port := range 40 { // 40 flows miss one of three ways with a chance of 3e-7
					out := m.Source.Run(t, "traceroute", "-T", "-n", "-f2", "-m2", "-q1", "-p25", fmt.Sprint("--sport=", 5000+port), to.String())
					for _, a := range address.FindAllString(out[strings.Index(out, "\n"):], -1) {
						seen[a]++
					}
				}
				if len(seen) != 3 {
					t.Errorf("many flows saw only %v", seen)
				}
			})
		})
	}
}

// icmp is an ICMP error that a capture saw come in.
type icmp struct {
	from       netip.Addr
	kind, code uint8
	quote      []byte // the quoted packet
	message    []byte
}

func icmpIn(packets []Packet) (all []icmp) {
	for _, p := range packets {
		switch b := p.Data; {
		case p.Out:
		case b[0]>>4 == 4 && b[9] == unix.IPPROTO_ICMP:
			all = append(all, icmp{netip.AddrFrom4([4]byte(b[12:])), b[20], b[21], b[28:], b[20:]})
		case b[0]>>4 == 6 && b[6] == unix.IPPROTO_ICMPV6 && b[40] < 128:
			all = append(all, icmp{netip.AddrFrom16([16]byte(b[8:])), b[40], b[41], b[48:], b[40:]})
		}
	}
	return all
}

func (i icmp) quotedDst() netip.AddrPort {
	if b := i.quote; b[0]>>4 == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), uint16(b[22])<<8|uint16(b[23]))
	}
	b := i.quote
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])), uint16(b[42])<<8|uint16(b[43]))
}

func (i icmp) quotedSrc() netip.Addr {
	if b := i.quote; b[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16([16]byte(i.quote[8:]))
}

// checksumGood is of ICMP for IPv4; in IPv6 the addresses are part of the sum, and the peer's kernel checks it.
func (i icmp) checksumGood() bool {
	var sum uint32
	for pair := range slices.Chunk(i.message, 2) {
		sum += uint32(pair[0])<<8 | uint32(append(pair, 0)[1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum == 0xffff
}

func TestFirewalls(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 4})
	c.Target.Listen(t, 25)
	r2 := c.Routers[1]
	v4, v6 := c.wants(false), c.wants(true)
	// What r2 says at TTL 3, where it is asked to send on: the classic mark, and the ICMP itself.
	rejects := []struct {
		code4 uint8
		mark  string
		code6 uint8
	}{
		{0, "!N", 0}, {1, "!H", 1}, {2, "!P", 2}, {3, "!p", 3}, {5, "!S", 4}, {6, "!U", 5}, {7, "!U", 6}, {8, "!I", 7},
		{9, "!A", 1}, {10, "!C", 1}, {11, "!T", 1}, {12, "!T", 1}, {13, "!A", 1}, {14, "!<14>", 1}, {15, "!<15>", 1},
	}
	for _, r := range rejects {
		t.Run(fmt.Sprintf("reject %d", r.code4), func(t *testing.T) {
			r2.Reject(t, "tcp dport 25", r.code4, r.code6)
			bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
				record := c.Links[0].A.Capture(t)
				got := trace(t, c.Source, to)
				last := got[len(got)-1]
				from, want := r2.V4(), [2]uint8{3, r.code4}
				if to.Is6() {
					from, want = r2.V6(), [2]uint8{1, r.code6}
				}
				if len(got) < 3 || last.addrs[0] != from.String() {
					t.Errorf("got %v, want %v at 3", got, from)
				}
				if to.Is4() && last.mark != r.mark {
					t.Errorf("mark %s, want %s", last.mark, r.mark)
				}
				all := icmpIn(record.Stop(t))
				i := all[len(all)-1]
				if i.from != from || i.kind != want[0] || i.code != want[1] {
					t.Errorf("%v said %d/%d, want %v %d", i.from, i.kind, i.code, from, want)
				}
				if to.Is4() && !i.checksumGood() {
					t.Error("ICMP checksum is bad")
				}
			})
		})
	}
	t.Run("drop", func(t *testing.T) {
		r2.Drop(t, "tcp dport 25")
		bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
			want := append(slices.Clone(map[bool][]hop{true: v4, false: v6}[to.Is4()][:2]), hop{}, hop{})
			if got := trace(t, c.Source, to, "-m4"); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
	t.Run("reset", func(t *testing.T) {
		r2.Reset(t, "tcp dport 25")
		bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
			got := trace(t, c.Source, to)
			if last := got[len(got)-1]; len(got) != 3 || last.addrs[0] != to.String() || to.Is4() && last.mark != "[closed]" {
				t.Errorf("got %v", got)
			}
		})
	})
	t.Run("silent", func(t *testing.T) {
		r2.Silent(t)
		bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
			want := slices.Clone(map[bool][]hop{true: v4, false: v6}[to.Is4()])
			want[1] = hop{}
			if got := trace(t, c.Source, to); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
	for _, route := range []struct{ kind, mark string }{{"unreachable", "!H"}, {"prohibit", "!A"}, {"blackhole", ""}} {
		t.Run("route "+route.kind, func(t *testing.T) {
			r2.Add(t, "route", route.kind+" "+c.Target.V4().String())
			got := trace(t, c.Source, c.Target.V4(), "-m3")
			if len(got) < 2 || got[1].mark != route.mark || (got[1].addrs == nil) != (route.mark == "") {
				t.Errorf("got %v, want %s", got, route.mark)
			}
		})
	}
	// All of that is gone again.
	bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
		want := map[bool][]hop{true: v4, false: v6}[to.Is4()]
		if got := trace(t, c.Source, to); !reflect.DeepEqual(got, want) {
			t.Errorf("after all: got %v, want %v", got, want)
		}
	})
}

func TestTranslation(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 4})
	c.Target.Listen(t, 25)
	c.Target.Listen(t, 26)
	r2 := c.Routers[1]
	inner := map[bool]netip.Addr{true: netip.MustParseAddr("10.6.35.86"), false: netip.MustParseAddr("2001:db8:ff::86")}
	c.Target.AddAddr(t, inner[true])
	c.Target.AddAddr(t, inner[false])
	bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
		from := netip.AddrPortFrom(to, 25)
		for _, n := range []struct {
			name string
			to   netip.AddrPort
		}{
			{"address", netip.AddrPortFrom(inner[to.Is4()], 0)},
			{"port", netip.AddrPortFrom(to, 26)},
			{"both", netip.AddrPortFrom(inner[to.Is4()], 26)},
		} {
			translated := n.to
			if translated.Port() == 0 {
				translated = netip.AddrPortFrom(n.to.Addr(), 25)
			}
			for name, kind := range map[string]struct {
				set    func(*Host, testing.TB, netip.AddrPort, netip.AddrPort)
				quoted netip.AddrPort
			}{
				"redirect": {(*Host).Redirect, translated},
				"DNAT":     {(*Host).DNAT, from}, // the quote is translated back
			} {
				t.Run(name+" "+n.name, func(t *testing.T) {
					kind.set(r2, t, from, n.to)
					record := c.Links[0].A.Capture(t)
					got := trace(t, c.Source, to)
					if last := got[len(got)-1]; len(got) != 4 || last.addrs[0] != to.String() || to.Is4() && last.mark != "[open]" {
						t.Errorf("got %v", got)
					}
					all := icmpIn(record.Stop(t))
					if len(all) != 3 {
						t.Fatalf("%d ICMP errors", len(all))
					}
					for i, want := range []netip.AddrPort{from, kind.quoted, kind.quoted} {
						if all[i].quotedDst() != want {
							t.Errorf("hop %d quotes %v, want %v", i+1, all[i].quotedDst(), want)
						}
					}
				})
			}
		}
		t.Run("masquerade", func(t *testing.T) {
			source, as := c.Source.V4(), netip.MustParseAddr("198.18.1.77")
			if to.Is6() {
				source, as = c.Source.V6(), netip.MustParseAddr("2001:db8:1::77")
			}
			r2.Masquerade(t, source, as)
			record := c.Links[0].A.Capture(t)
			lis := c.Target.Listen(t, 27)
			var conn net.Conn
			c.Source.Do(t, func() {
				d := net.Dialer{Timeout: time.Minute}
				var err error
				if conn, err = d.DialContext(t.Context(), "tcp", netip.AddrPortFrom(to, 27).String()); err != nil {
					t.Fatal(err)
				}
			})
			defer conn.Close()
			peer, err := lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if got := peer.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); got != as {
				t.Errorf("the target saw %v, want %v", got, as)
			}
			NeedProgram(t, "traceroute")
			c.Source.Run(t, "traceroute", "-T", "-n", "-q1", "-w1", "-f1", "-m3", to.String()) // it believes only hop 1
			for i, want := range []netip.Addr{source, source, as} {
				if all := icmpIn(record.Packets()); len(all) != 3 || all[i].quotedSrc() != want {
					t.Fatalf("hop %d of %d quotes %v, want %v", i+1, len(all), all[i].quotedSrc(), want)
				}
			}
		})
	})
	t.Run("IP ID", func(t *testing.T) {
		r2.Mangle(t, "tcp dport 25 ip id set 4242")
		record := c.Links[0].A.Capture(t)
		got := trace(t, c.Source, c.Target.V4())
		want := c.wants(false)
		want[1], want[2] = hop{}, hop{} // the peer knows its probes by it
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v", got)
		}
		all := icmpIn(record.Stop(t))
		if len(all) != 3 || !bytes.Equal(all[1].quote[4:6], []byte{4242 >> 8, 4242 & 0xff}) || bytes.Equal(all[0].quote[4:6], all[1].quote[4:6]) {
			t.Errorf("%v", all)
		}
	})
	t.Run("several responders", func(t *testing.T) {
		bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
			addrs := []netip.Addr{netip.MustParseAddr("198.18.2.2"), netip.MustParseAddr("198.18.2.77")}
			if to.Is6() {
				addrs = []netip.Addr{netip.MustParseAddr("2001:db8:2::2"), netip.MustParseAddr("2001:db8:2::77")}
			}
			r2.AnswerFrom(t, addrs...)
			record := c.Links[0].A.Capture(t)
			NeedProgram(t, "traceroute")
			c.Source.Run(t, "traceroute", "-T", "-n", "-q4", "-N1", "-f2", "-m2", to.String())
			all := icmpIn(record.Stop(t))
			if len(all) != 4 {
				t.Fatalf("%d ICMP errors", len(all))
			}
			for i := range all {
				if all[i].from != addrs[i%2] {
					t.Errorf("answer %d from %v", i, all[i].from)
				}
			}
		})
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 3})
	ping := func(to netip.Addr, args ...string) error {
		return c.Source.Command(t.Context(), "ping", append(args, "-n", "-c1", "-W1", to.String())...).Run()
	}
	bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
		t.Run("down", func(t *testing.T) {
			up := c.Links[0].A.Down(t)
			if ping(to) == nil {
				t.Error("still reached")
			}
			up()
			if err := ping(to); err != nil {
				t.Error("not reached again")
			}
		})
		t.Run("router down", func(t *testing.T) {
			c.Links[1].A.Down(t)
			if ping(to) == nil {
				t.Error("still reached")
			}
		})
		t.Run("MTU", func(t *testing.T) {
			c.Links[1].SetMTU(t, 1300)
			record := c.Links[0].A.Capture(t)
			if ping(to, "-Mdo", "-s1400") == nil {
				t.Error("a big packet passed")
			}
			all := icmpIn(record.Stop(t))
			if len(all) != 1 || [2]uint8{all[0].kind, all[0].code} != map[bool][2]uint8{true: {3, 4}, false: {2, 0}}[to.Is4()] {
				t.Errorf("%+v", all)
			}
		})
		t.Run("small MTU", func(t *testing.T) {
			c.Links[1].SetMTU(t, 576)
		})
		t.Run("unknown neighbour", func(t *testing.T) {
			c.Links[2].A.Forget(t)
			c.Links[2].B.Host.Filter(t, "input", "icmpv6 type nd-neighbor-solicit drop")
			c.Target.IP(t, "link set eth0 arp off")
			defer c.Target.IP(t, "link set eth0 arp on")
			record := c.Links[0].A.Capture(t)
			if c.Source.Command(t.Context(), "ping", "-n", "-c1", "-W5", to.String()).Run() == nil {
				t.Error("reached without a neighbour")
			}
			all := icmpIn(record.Stop(t))
			if len(all) != 1 || [2]uint8{all[0].kind, all[0].code} != map[bool][2]uint8{true: {3, 1}, false: {1, 3}}[to.Is4()] {
				t.Errorf("%+v", all)
			}
		})
		if err := ping(to); err != nil {
			t.Error("not reached after all")
		}
	})
}

func TestCommand(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 2})
	h := c.Source
	t.Run("files", func(t *testing.T) {
		real, err := os.ReadFile("/etc/hosts")
		if err != nil {
			t.Fatal(err)
		}
		t.Run("replaced", func(t *testing.T) {
			h.SetFile(t, "/etc/hosts", "198.18.2.2 www.example\n")
			if got := h.Run(t, "cat", "/etc/hosts"); got != "198.18.2.2 www.example\n" {
				t.Errorf("%q", got)
			}
			if got := c.Target.Run(t, "cat", "/etc/hosts"); got != string(real) {
				t.Errorf("the other host has %q", got)
			}
			if now, err := os.ReadFile("/etc/hosts"); err != nil || !bytes.Equal(now, real) {
				t.Errorf("the machine has %q, %v", now, err)
			}
			if out := h.Run(t, "getent", "hosts", "www.example"); !strings.HasPrefix(out, "198.18.2.2 ") {
				t.Errorf("%q", out)
			}
			if err := h.Command(t.Context(), "cat", "/etc/hosts").Run(); err != nil {
				t.Error(err)
			}
		})
		if got := h.Run(t, "cat", "/etc/hosts"); got != string(real) {
			t.Errorf("after all %q", got)
		}
		t.Run("missing", func(t *testing.T) {
			h.SetFile(t, "/etc/no such file", "")
			if err := h.Command(t.Context(), "true").Run(); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("streams and exit code", func(t *testing.T) {
		cmd := h.Command(t.Context(), "sh", "-c", "cat; echo err >&2; exit 7")
		cmd.Stdin = strings.NewReader("in\n")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if string(out) != "in\n" || stderr.String() != "err\n" || cmd.ProcessState.ExitCode() != 7 || err == nil {
			t.Errorf("%q, %q, %v", out, stderr.String(), err)
		}
	})
	t.Run("no such program", func(t *testing.T) {
		if err := h.Command(t.Context(), "no-such-program").Run(); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled with what it started", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := h.Command(ctx, "sh", "-c", "sleep 1000 & echo started; wait")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := cmd.Wait(); err == nil || cmd.Wait() != err {
			t.Errorf("got %v, then %v", err, cmd.Wait())
		}
		if n, err := out.Read(make([]byte, 1)); n != 0 || err == nil { // held open by sleep, if it lived
			t.Errorf("read %d, %v", n, err)
		}
	})
	t.Run("another user", func(t *testing.T) {
		NeedRoot(t)
		if got, err := h.Command(t.Context(), "sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/self/status").As(65534, 65533).Output(); err != nil ||
			string(got) != "65534\n65533\n65533\nCapEff:\t0000000000000000\n" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("file capabilities and setuid", func(t *testing.T) {
		NeedRoot(t)
		cat, err := exec.LookPath("cat")
		if err != nil {
			t.Fatal(err)
		}
		for want, program := range map[string]string{
			"CapPrm:\t0000000000002000": Install(t, cat, 0o755, unix.CAP_NET_RAW),
			"Uid:\t65534\t0\t0\t0":      Install(t, cat, 0o4755),
			"CapPrm:\t0000000000000000": Install(t, cat, 0o755),
		} {
			got, err := h.Command(t.Context(), program, "/proc/self/status").As(65534, 65534).Output()
			if err != nil || !strings.Contains(string(got), want+"\n") {
				t.Errorf("%v, want %q in\n%s", err, want, got)
			}
		}
	})
}

// A program's own namespaces and threads are as they were, whatever was done in a host.
func TestThreads(t *testing.T) {
	home, err := os.Readlink(threadNet)
	if err != nil {
		t.Fatal(err)
	}
	l := New(t)
	a, b := l.Host(t, "a"), l.Host(t, "b")
	a.Do(t, func() {
		b.Do(t, func() {})
		if now, _ := os.Readlink(threadNet); now == home {
			t.Error("Do ran at home")
		}
		runtime.Gosched()
	})
	a.Run(t, "true")
	checkThreads(t, home)
}

// checkThreads waits until no thread of ours is away from home: one that served a command takes a moment to end.
func checkThreads(t *testing.T, home string) {
	t.Helper()
	away := func() (threads []string) {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if now, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && now != home { // an error: it has ended
				threads = append(threads, task.Name())
			}
		}
		return threads
	}
	for deadline := time.Now().Add(time.Minute); len(away()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("threads %v are not at home", away())
		}
	}
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	h := New(t).Host(t, "h")
	const key = "net.ipv4.tcp_syn_retries"
	get := func() string { return strings.TrimSpace(h.Run(t, "cat", sysctlPath(key))) }
	before := get()
	t.Run("set", func(t *testing.T) {
		h.Sysctl(t, key, "1")
		if get() != "1" {
			t.Error("not set")
		}
	})
	if get() != before || before == "1" {
		t.Errorf("was %s, is %s", before, get())
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	c := Chain(t, ChainOptions{Hops: 2})
	before := c.Hop(1).Counters(t)
	bothFamilies(t, c.Target, func(t *testing.T, to netip.Addr) {
		c.Source.Command(t.Context(), "ping", "-n", "-c1", "-W1", "-t1", to.String()).Run()
	})
	after := c.Hop(1).Counters(t)
	for _, name := range []string{"IcmpOutTimeExcds", "Icmp6OutTimeExcds"} {
		if after[name] != before[name]+1 {
			t.Errorf("%s: %d, then %d", name, before[name], after[name])
		}
	}
	if _, ok := after["TcpExtListenDrops"]; !ok {
		t.Error("nothing of netstat")
	}
}

func TestReadCounters(t *testing.T) {
	got := make(map[string]int64)
	err := readCounters(got, "Ip: A B\nIp: 1 -1\nTcpExt: C\nTcpExt: 9\n")
	if want := map[string]int64{"IpA": 1, "IpB": -1, "TcpExtC": 9}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"Ip: A\nIp: 1 2\n", "Ip: A\nIp: x\n", "A B C\n"} {
		if readCounters(got, bad) == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// double is a testing.TB that records its end, for tests of tests.
type double struct {
	testing.TB
	errors, fatal, skipped string
	cleanups               []func()
}

func (d *double) Helper()             {}
func (d *double) Name() string        { return "double" }
func (d *double) Cleanup(f func())    { d.cleanups = append(d.cleanups, f) }
func (d *double) Logf(string, ...any) {}
func (d *double) Skip(a ...any)       { d.skipped = fmt.Sprint(a...); runtime.Goexit() }
func (d *double) Errorf(f string, a ...any) {
	d.errors += fmt.Sprintf(f, a...)
}
func (d *double) Fatalf(f string, a ...any) {
	d.fatal = fmt.Sprintf(f, a...)
	runtime.Goexit()
}

// run runs f as a test of its own, cleanups included.
func (d *double) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, c := range slices.Backward(d.cleanups) {
				c()
			}
		}()
		f()
	}()
	<-done
}

func TestRateLimitIsNoticed(t *testing.T) {
	t.Parallel()
	Need(t)
	for _, v6 := range []bool{false, true} {
		for _, allowed := range []bool{false, true} {
			d := &double{TB: t}
			d.run(func() {
				c := Chain(d, ChainOptions{Hops: 2})
				if allowed {
					c.AllowRateLimits()
				}
				r, to, option := c.Hop(1), c.Target.V4(), "-4"
				if v6 {
					to, option = c.Target.V6(), "-6"
				}
				if _, counted := r.Counters(d)["Icmp6OutRateLimitHost"]; !counted {
					d.Skip("this kernel doesn't count what it limits")
				}
				for key, value := range map[string]string{
					"net.ipv4.icmp_ratelimit": "60000", "net.ipv4.icmp_ratemask": "6168", "net.ipv6.icmp.ratelimit": "60000",
				} {
					r.Sysctl(d, key, value)
				}
				c.Source.Command(context.Background(), "ping", option, "-n", "-c20", "-i0.002", "-W1", "-t1", to.String()).Run()
			})
			if limited := strings.Contains(d.errors, "rate limits"); limited == allowed || d.fatal != "" {
				t.Errorf("allowed %v, v6 %v: %q, %q", allowed, v6, d.errors, d.fatal)
			}
		}
	}
}

func TestLackingIsLoud(t *testing.T) {
	notShort(t)
	t.Setenv("CI", "")
	d := &double{TB: t}
	d.run(func() { NeedProgram(d, "no-such-program") })
	if !strings.Contains(d.skipped, "no-such-program") || d.fatal != "" {
		t.Errorf("%+v", d)
	}
	t.Setenv("CI", "true")
	d = &double{TB: t}
	d.run(func() { NeedProgram(d, "no-such-program") })
	if !strings.Contains(d.fatal, "no-such-program") || d.skipped != "" {
		t.Errorf("%+v", d)
	}
}

func TestCapture(t *testing.T) {
	t.Parallel()
	NeedProgram(t, "tcpdump")
	c := Chain(t, ChainOptions{Hops: 2})
	eth0 := c.Links[0].A
	file := filepath.Join(t.TempDir(), "pcap")
	dump := c.Source.Command(t.Context(), "tcpdump", "-n", "-i", "eth0", "-Z", "root", "--immediate-mode", "-c10", "--nano", "-w", file, "icmp")
	stderr, err := dump.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on") {
		t.Log(lines.Text())
	}
	record := eth0.Capture(t)
	c.Source.Run(t, "ping", "-n", "-c5", "-i0.002", "-W1", c.Target.V4().String())
	got := record.Stop(t)
	if again := record.Stop(t); len(again) != len(got) {
		t.Error("the second Stop has others")
	}
	got = slices.DeleteFunc(got, func(p Packet) bool { return p.Data[0]>>4 == 6 }) // the kernel's own: multicast listener reports
	for lines.Scan() {                                                             // it ends after ten packets
	}
	if err := dump.Wait(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tcpdump", "-n", "-tt", "--nano", "-r", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(got) != 10 || len(want) != 10 {
		t.Fatalf("we saw %d packets, tcpdump %d", len(got), len(want))
	}
	for i, p := range got {
		if p.Out != (i%2 == 0) || p.Data[0] != 0x45 {
			t.Errorf("packet %d: out %v, %x", i, p.Out, p.Data)
		}
		if stamp := fmt.Sprintf("%d.%09d", p.Time.Unix(), p.Time.Nanosecond()); !strings.HasPrefix(want[i], stamp+" ") {
			t.Errorf("packet %d at %s, tcpdump has %s", i, stamp, want[i])
		}
	}
}

func TestTUN(t *testing.T) {
	t.Parallel()
	h := New(t).Host(t, "h")
	tun := h.TUN(t, "tun0")
	h.Add(t, "addr", "198.18.0.1/24 dev tun0")
	cmd := h.Command(t.Context(), "ping", "-n", "-c1", "-W5", "198.18.0.9")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tun.SetDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 2000)
	for {
		n, err := tun.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if b[0]>>4 != 4 {
			continue // the kernel's own IPv6
		}
		// An echo reply, its checksum changed by what the type was.
		src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
		copy(b[12:], dst[:])
		copy(b[16:], src[:])
		b[20] = 0
		sum := (uint32(b[22])<<8 | uint32(b[23])) + 8<<8
		sum = sum&0xffff + sum>>16
		b[22], b[23] = byte(sum>>8), byte(sum)
		if _, err := tun.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	tun.SetReadDeadline(time.Now())
	for {
		if _, err := tun.Read(b); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// watch returns a function that waits until the host, whose lab may be gone, has lost all its links: their other ends were in
// namespaces that are no more.
func watch(t *testing.T, ns *os.File) (lost func()) {
	t.Helper()
	updates := make(chan netlink.LinkUpdate, 100)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	if err := within(ns, func() error { return netlink.LinkSubscribe(updates, done) }); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			var left int
			if err := within(ns, func() error {
				links, err := netlink.LinkList()
				left = len(links) - 1 // lo
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if left == 0 {
				return
			}
			select {
			case <-updates:
			case <-deadline:
				t.Fatalf("%d links are left", left)
			}
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	Need(t)
	home, err := os.Readlink(threadNet)
	if err != nil {
		t.Fatal(err)
	}
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before, goroutines := open(), runtime.NumGoroutine()
	var keep *os.File // one router's namespace: the others must go, and its links with them
	var left *Cmd
	var dir string
	t.Run("lab", func(t *testing.T) {
		c := Chain(t, ChainOptions{Hops: 3, Silent: []int{1}})
		c.Source.SetFile(t, "/etc/hosts", "")
		dir = c.files
		c.Target.Listen(t, 80)
		c.Links[0].A.Capture(t)
		left = c.Source.Command(t.Context(), "sleep", "1000")
		if err := left.Start(); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.FcntlInt(c.Routers[0].ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		keep = os.NewFile(uintptr(fd), "ns")
		trace(t, c.Source, c.Target.V4())
	})
	lost := watch(t, keep)
	lost()
	keep.Close()
	if left.ProcessState == nil {
		t.Error("a command outlives its lab")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
	checkThreads(t, home)
	if now := open(); now > before+1 { // watch's netlink socket
		t.Errorf("%d open files, before %d", now, before)
	}
	if now := runtime.NumGoroutine(); now > goroutines+2 { // watch's
		t.Errorf("%d goroutines, before %d", now, goroutines)
	}
}

// beVictim builds a network and runs a command in it until it is killed.
func beVictim() {
	d := &double{} // a lab without a test
	d.run(func() {
		c := Chain(d, ChainOptions{Hops: 3})
		cmd := c.Source.Command(context.Background(), "sleep", "1000")
		if err := cmd.Start(); err != nil {
			d.Fatalf("%v", err)
		}
		fmt.Printf("ready %d %d\n", c.Routers[0].ns.Fd(), cmd.Process.Pid)
		time.Sleep(time.Hour)
		runtime.KeepAlive(c) // what nobody refers to is closed by the garbage collector
	})
	fmt.Println(d.fatal, d.errors)
}

func TestKilled(t *testing.T) {
	t.Parallel()
	NeedRoot(t) // to look into another process's namespaces
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victim+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var fd, pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		fmt.Sscanf(lines.Text(), "ready %d %d", &fd, &pid)
	}
	if pid == 0 {
		t.Fatal("the victim isn't ready")
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	sleep, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sleep)
	lost := watch(t, ns)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
	lost()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(sleep), Events: unix.POLLIN}}, 5000); n != 1 || err != nil {
		t.Errorf("the command lives on: %d, %v", n, err)
	}
}

// An ordinary user has the whole lab, but for what needs a second user and /dev/net/tun.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	NeedRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Install(t, self, 0o755), "-test.v", "-test.skip=/^(drop|silent|route blackhole)$", // these wait
		"-test.run=^(TestChain|TestFirewalls|TestCommand|TestSysctl|TestThreads|TestCounters|TestNothingIsLeft)$")
	cmd.Dir = "/"
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "CI=") || strings.HasPrefix(s, "HOME=") }), "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // its end would be taken for ours
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("may not make network namespaces")) {
		lacking(t, "user namespaces are forbidden here")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	skipped := regexp.MustCompile(`(?m)^lab: SKIPPED .*`).FindAllString(string(out), -1)
	want := []string{
		"lab: SKIPPED TestCommand/another_user: needs real root, not that of a user namespace",
		"lab: SKIPPED TestCommand/file_capabilities_and_setuid: needs real root, not that of a user namespace",
	}
	if !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	if n := strings.Count(string(out), "\n--- PASS: "); n < 7 {
		t.Errorf("%d tests passed\n%s", n, out)
	}
}

// BenchmarkChain builds the chain that most end-to-end tests use, and takes it down.
func BenchmarkChain(b *testing.B) {
	Need(b)
	for b.Loop() {
		d := &double{TB: b}
		d.run(func() { Chain(d, ChainOptions{Hops: 9}) })
		if d.errors+d.fatal != "" {
			b.Fatal(d.errors, d.fatal)
		}
	}
}
