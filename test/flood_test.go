package test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

var floodPackets = flag.Int("flood", 100_000, "how many packets TestFloodOfAnswers sends in each of its cases")

// TestFloodOfAnswers floods a trace with what the kernel's filter has to let through: copies of the answers that it has had,
// answers that are nearly right, segments of nobody's connection and packets that can't be read. It needs no more memory for
// that, whatever it writes, and shows the same hops.
func TestFloodOfAnswers(t *testing.T) {
	t.Parallel()
	const growth = 8 << 20 // bytes
	capture := filepath.Join(t.TempDir(), "capture")
	for _, v := range []family{ip4, ip6} {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		p.Hop(3).Mangle(t, "tcp dport 81 drop")
		inject := injector(t, p.Routers[0].Interfaces[0])
		for _, args := range []string{"", "--json", "--jsonl", "--csv", "-d", "--pcap " + capture, "--report -c 1000"} {
			t.Run(fmt.Sprintf("IPv%d %s", v, strings.Fields(args + " text")[0]), func(t *testing.T) {
				packets := p.Source.Interfaces[0].Capture(t)
				l := launch(t, p.Source, fmt.Sprintf("-n -w 600 -m 6 %s %v 81", args, v.of(p.Target)))
				port := l.port(t)
				wanted := 6 // of two hops
				if strings.HasPrefix(args, "--report") {
					wanted = 2
				}
				var answers [][]byte
				eventually(t, "answers of two hops", func() bool {
					answers = answersIn(packets.Packets(), port)
					return len(answers) >= wanted
				})
				flood := floodOf(t, v, p, port, answers)
				before := peakMemory(t, l)
				var work sync.WaitGroup
				for range 2 {
					work.Go(func() {
						for n := range *floodPackets / 2 {
							inject(flood[n%len(flood)])
						}
					})
				}
				work.Wait()
				grown := peakMemory(t, l) - before
				l.signal(t, unix.SIGINT)
				got := l.outcome()
				t.Logf("%d packets, %d KiB more memory", *floodPackets, grown>>10)
				if grown > growth {
					t.Errorf("the program grew by %d bytes", grown)
				}
				if got.code != 128+int(unix.SIGINT) {
					t.Errorf("exit code %d", got.code)
				}
				if n := len(got.stdout) + len(got.stderr); n > 1<<20 {
					t.Errorf("it wrote %d bytes", n)
				}
				if args == "" && !strings.HasPrefix(masked(got.stdout), hop(1, v.of(p.Hop(1)), 3, "")+hop(2, v.of(p.Hop(2)), 3, "")) {
					t.Errorf("%v", got)
				}
				switch args {
				case "--json":
					checkFloodCounts(t, []byte(got.stdout))
				case "--pcap " + capture:
					if info, err := os.Stat(capture); err != nil || info.Size() > 1<<18 {
						t.Errorf("the capture: %v, %v", info, err)
					}
				}
			})
		}
	}
}

// checkFloodCounts checks that a document counts what it doesn't show.
func checkFloodCounts(t *testing.T, document []byte) {
	t.Helper()
	var d struct {
		Hops   []struct{ Notices []struct{} }
		Totals struct{ Duplicates, Repeats, Near_misses, Unrelated, Malformed int }
	}
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	shown := 0
	for _, h := range d.Hops {
		shown += len(h.Notices)
	}
	if c := d.Totals; shown == 0 || shown > 100 || c.Duplicates != c.Repeats+shown || c.Repeats == 0 || c.Near_misses == 0 || c.Malformed == 0 {
		t.Errorf("%d notices, %+v", shown, c)
	}
}

// answersIn are the ICMP errors about probes from this port.
func answersIn(packets []lab.Packet, port uint16) (all [][]byte) {
	for _, pk := range packets {
		var r packet.Reply
		if pk.Out || packet.Parse(pk.Data, &r) != nil || r.Kind != packet.KindTimeExceeded || r.Quote.TCP.SrcPort != port {
			continue
		}
		all = append(all, bytes.Clone(pk.Data))
	}
	return all
}

// floodOf are packets of all kinds that a trace from this port gets to see.
func floodOf(t *testing.T, v family, p *lab.Path, port uint16, answers [][]byte) (all [][]byte) {
	t.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for n, answer := range answers {
		var r packet.Reply
		if err := packet.Parse(answer, &r); err != nil {
			t.Fatal(err)
		}
		probe := packet.Probe{
			Src: netip.AddrPortFrom(v.of(p.Source), port), Dst: netip.AddrPortFrom(v.of(p.Target), 81),
			TTL: 1, Seq: r.Quote.TCP.Seq + 1000 + uint32(n), ID: r.Quote.IP.ID, FlowLabel: r.Quote.IP.FlowLabel, Flags: packet.SYN,
		}
		nearly := must(packet.AppendICMP(nil, &packet.ICMPError{
			Src: r.IP.Src, Dst: v.of(p.Source), TTL: 60, Type: r.Type, Code: r.Code, Quote: must(probe.AppendBinary(nil)),
		}))
		stranger := must(packet.Probe{
			Src: netip.AddrPortFrom(v.of(p.Hop(2)), 81), Dst: netip.AddrPortFrom(v.of(p.Source), port), TTL: 60, Flags: packet.RST,
		}.AppendBinary(nil))
		unreadable := bytes.Clone(stranger)
		unreadable[len(unreadable)-20+12] = 0x10 // a TCP header of four bytes
		all = append(all, answer, nearly, stranger, unreadable)
	}
	return all
}
