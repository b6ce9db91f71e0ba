package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// TestPcap reads what --pcap wrote back with tshark and with another library, beside a capture of the link.
func TestPcap(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4, Silent: []int{2}})
		p.Target.Listen(t, 80)
		p.Hop(3).Reject(t, "tcp dport 83", 13, 1)
		for _, tt := range []struct {
			port, end string // the comment of the answer at the end of the path, times masked
		}{
			{"80", "answers probe N, TTL 4, after T ms: SYN|ACK"},
			{"81", "answers probe N, TTL 4, after T ms: RST|ACK"},
			{"83", pick(v, "answers probe N, TTL 4, after T ms: unreachable, code 13", "answers probe N, TTL 4, after T ms: unreachable, code 1")},
		} {
			t.Run(tt.port, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "out.pcapng")
				record := p.Links[0].A.Capture(t)
				o := run(t, p.Source, program(t), "-n", "-q", "2", "--pcap", file, v.of(p.Target).String(), tt.port)
				if o.code != 0 {
					t.Fatalf("%v", o)
				}
				onWire := record.Stop(t)
				seen := make(map[string]bool)
				for _, x := range onWire {
					packet.CompleteTCPChecksum(x.Data) // where the link left that to a device which isn't there
					seen[fmt.Sprint(x.Out, x.Data)] = true
				}
				sent := 0
				rows := readCapture(t, file)
				for i, row := range rows {
					if !seen[fmt.Sprint(row.outbound, row.data)] {
						t.Errorf("packet %d (%s) wasn't on the link: %x", i+1, row.comment, row.data)
					}
					if row.outbound {
						sent++
					}
				}
				syns := 0
				segments, _ := sentTCP(t, onWire)
				for _, s := range segments {
					if s.TCP.Flags.String() == "SYN" {
						syns++
					}
				}
				if sent != syns || sent < 8 {
					t.Errorf("%d probes in the file, %d on the link", sent, syns)
				}
				mask := regexp.MustCompile(`probe \d+|after [\d.]+`)
				if !slices.ContainsFunc(rows, func(row captured) bool {
					return tt.end == mask.ReplaceAllStringFunc(row.comment, func(s string) string {
						return map[bool]string{true: "probe N", false: "after T"}[strings.HasPrefix(s, "probe")]
					})
				}) {
					t.Errorf("no packet is said to be %q", tt.end)
				}
				if first := rows[0]; first.comment != "probe 1, TTL 30" || !first.outbound {
					t.Errorf("the first packet is %+v", first)
				}
				// The times of the text stand in the comments.
				for _, time := range regexp.MustCompile(`(\d+\.\d{3}) ms`).FindAllStringSubmatch(o.stdout, -1) {
					found := false
					for _, row := range rows {
						found = found || strings.Contains(row.comment, "after "+time[1]+" ms")
					}
					if !found {
						t.Errorf("no packet is said to have taken %s ms", time[1])
					}
				}
			})
		}
	})
}

type captured struct {
	outbound bool
	comment  string
	data     []byte
}

// readCapture reads a capture file: the packets by a library, comments and directions by tshark, which must find nothing wrong.
func readCapture(t *testing.T, file string) []captured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(text), pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tshark", "-n", "-r", file, "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|",
		"-e", "frame.comment", "-e", "frame.packet_flags_direction", "-e", "_ws.expert.severity", "-e", "frame.len", "-e", "frame.interface_name").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var all []captured
	for line := range strings.Lines(string(out)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if n := len(cells); n > 5 { // the flags in a comment
			cells = append([]string{strings.Join(cells[:n-4], "|")}, cells[n-4:]...)
		}
		data, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		if cells[3] != strconv.Itoa(len(data)) || cells[4] != "eth0" || info.Timestamp.IsZero() {
			t.Errorf("tshark reads %q, the library %v", line, info)
		}
		if strings.Contains(cells[2], "8388608") {
			t.Errorf("tshark finds an error in %q", line)
		}
		all = append(all, captured{cells[1] == "0x00000002" || cells[1] == "2", cells[0], data})
	}
	if _, _, err := r.ReadPacketData(); err == nil || len(all) == 0 {
		t.Fatalf("tshark reads %d packets, the library more", len(all))
	}
	return all
}

// callersFiles makes a directory of the caller's that nobody else may look into (for root, of somebody else's), one of
// root's, and a file of root's, until t ends.
func callersFiles(t *testing.T) (own, theirs, secret string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "files")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	own, theirs = filepath.Join(dir, "own"), filepath.Join(dir, "theirs")
	for _, d := range []string{own, theirs} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret = filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	os.Chown(own, ordinary, ordinary)
	return own, theirs, secret
}

// TestPcapFile: the file is the caller's. What he may not write he can't write by a program that has more rights than he;
// and root keeps his own, though the program gives them up.
func TestPcapFile(t *testing.T) {
	t.Parallel()
	p := privilegesLab(t)
	for _, in := range installs {
		t.Run(in.name, func(t *testing.T) {
			bin := in.place(t, program(t))
			own, theirs, secret := callersFiles(t)
			file := filepath.Join(own, "out.pcapng")
			if o := in.run(t, p.Source, bin, "-n", "--pcap", file, "198.18.3.2"); o.code != 0 {
				t.Fatalf("%v", o)
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != in.caller || info.Size() < 500 {
				t.Errorf("the file belongs to %d and has %d bytes", uid, info.Size())
			}
			readCapture(t, file)
			if in.caller == 0 {
				return
			}
			for _, forbidden := range []string{secret, filepath.Join(theirs, "new")} {
				o := in.run(t, p.Source, bin, "-n", "--pcap", forbidden, "198.18.3.2")
				if o.code != 1 || o.stdout != "" || o.stderr != "--pcap "+forbidden+": permission denied\n" {
					t.Errorf("%v", o)
				}
			}
			if text, err := os.ReadFile(secret); err != nil || string(text) != "root's" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestPcapStdout: with --pcap - standard output is the capture alone, and refuses what else would go there.
func TestPcapStdout(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	bin := program(t)
	o := run(t, p.Source, bin, "-n", "--pcap", "-", "198.18.2.2")
	file := filepath.Join(t.TempDir(), "out.pcapng")
	if err := os.WriteFile(file, []byte(o.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if rows := readCapture(t, file); len(rows) < 8 {
		t.Errorf("%d packets", len(rows))
	}
	if !strings.Contains(o.stderr, " 2  198.18.2.2 [closed]") || o.code != 0 {
		t.Errorf("%v", o)
	}
	for _, tt := range []struct{ args, want string }{
		{"--json --pcap - 198.18.2.2", "--pcap - takes standard output, and so does --json: name a file\n"},
		{"--report --pcap - 198.18.2.2", "--pcap - takes standard output, and so does the table: name a file\n"},
		{"--pcap /nosuch/file 198.18.2.2", "--pcap /nosuch/file: no such file or directory\n"},
	} {
		if o := run(t, p.Source, bin, strings.Fields(tt.args)...); o.code != 1 || o.stdout != "" || o.stderr != tt.want {
			t.Errorf("%s: %v", tt.args, o)
		}
	}
	o = run(t, p.Source, bin, "-n", "--pcap", "/dev/full", "198.18.2.2")
	if o.code != 1 || !strings.Contains(o.stderr, "--pcap /dev/full: no space left on device\n") {
		t.Errorf("%v", o)
	}
}
