//go:build amd64 || arm64 || riscv64

// The maker of the MMDB format has a writer that does not compile for 32 bits.

package test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/names"
)

// database writes an MMDB file that says who owns these networks: AS number, name.
func database(t *testing.T, path string, mode os.FileMode, owners map[string]mmdbtype.Map) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", RecordSize: 28, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, value := range owners {
		_, network, err := net.ParseCIDR(cidr)
		if err == nil {
			err = tree.Insert(network, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func asRecord(asn uint32, name string) mmdbtype.Map {
	return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(asn), "autonomous_system_organization": mmdbtype.String(name)}
}

// openDir is a directory that every user may read.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tcptraceroute")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Owners come from files that are opened when every privilege is gone: by root, by an ordinary user, by names and from the
// usual places; and a user whom the program lends its privilege reads no file by it.
func TestOwnersFromFiles(t *testing.T) {
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 25)
	dir := openDir(t)
	asn := database(t, filepath.Join(dir, "asn.mmdb"), 0o644, map[string]mmdbtype.Map{
		"198.18.1.0/24": asRecord(64500, "EXAMPLE"), "2001:db8:1::/48": asRecord(64500, "EXAMPLE"),
		"198.18.3.0/24": asRecord(64501, "a] [open] \x1b[31mred"),
	})
	country := database(t, filepath.Join(dir, "country.mmdb"), 0o644, map[string]mmdbtype.Map{
		"198.18.0.0/16": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("DE")}},
	})
	home := filepath.Join(dir, "home")
	usual := filepath.Join(home, ".local/share/GeoIP")
	if err := os.MkdirAll(usual, 0o755); err != nil {
		t.Fatal(err)
	}
	database(t, filepath.Join(usual, "dbip-asn-lite-2026-11.mmdb"), 0o644, map[string]mmdbtype.Map{"198.18.2.0/24": asRecord(64502, "HOME")})
	const (
		both = " 1  198.18.1.2 [AS64500 EXAMPLE, DE]  0.000 ms\n 2  198.18.2.2 [*, DE]  0.000 ms\n" +
			" 3  198.18.3.2 [AS64501 a) (open) \\x1b(31mred, DE] [open]  0.000 ms\n"
		fromHome = " 1  198.18.1.2 [*]  0.000 ms\n 2  198.18.2.2 [AS64502 HOME]  0.000 ms\n 3  198.18.3.2 [*] [open]  0.000 ms\n"
		nothing  = " 1  198.18.1.2 [*]  0.000 ms\n 2  198.18.2.2 [*]  0.000 ms\n 3  198.18.3.2 [*] [open]  0.000 ms\n"
		warning  = "Warning: no MMDB file with AS numbers in the usual places: --mmdb names one, --as-dns asks the DNS\n"
	)
	told := warning
	if len(names.FindDatabases("")) > 0 {
		told = "" // this machine has files of its own, which know nothing of these addresses
	}
	for _, tt := range []struct {
		name, args, home, want, stderr string
	}{
		{"two files", "--mmdb " + asn + " --mmdb " + country, "", both, ""},
		{"a relative home is none", "-a", "home", nothing, told},
		{"the usual places", "-a", home, fromHome, ""},
		{"a file instead of the usual places", "--mmdb " + asn + " --mmdb=" + country + " -a", home, both, ""},
		{"not asked for", "", home, strings.NewReplacer(" [*]", "").Replace(nothing), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			of := func(program string, uid uint32) outcome {
				return times(finish(t, func(ctx context.Context) *lab.Cmd {
					cmd := p.Source.Command(ctx, program, strings.Fields("-n -q1 "+tt.args+" 198.18.3.2 25")...)
					cmd.Env = []string{"HOME=" + tt.home}
					if uid != 0 {
						cmd.As(uid, uid)
					}
					return cmd
				}))
			}
			users := map[string]outcome{"root": of(ours, 0)}
			if os.Getuid() == 0 {
				users["file capability"] = of(lab.Install(t, ours, 0o755, unix.CAP_NET_RAW), 65534)
				users["set-user-ID"] = of(lab.Install(t, ours, 0o4755), 65534)
			}
			for user, o := range users {
				if o.stdout != tt.want || o.code != 0 || strings.Contains(o.stderr, "Warning") != (tt.stderr != "") || !strings.Contains(o.stderr, tt.stderr) {
					t.Errorf("%s: want\n%s\n%v", user, tt.want, o)
				}
			}
		})
	}
	t.Run("IPv6", func(t *testing.T) {
		o := times(run(t, p.Source, ours, "-n", "-q1", "--mmdb", asn, "2001:db8:3::2", "25"))
		if !strings.HasPrefix(o.stdout, " 1  2001:db8:1::2 [AS64500 EXAMPLE]  0.000 ms\n 2  2001:db8:2::2 [*]  0.000 ms\n") {
			t.Errorf("%v", o)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		if o := run(t, p.Source, ours, "-n", "-q1", "--json", "--mmdb", asn, "198.18.3.2", "25"); !strings.Contains(o.stdout, "64500") || o.code != 0 {
			t.Errorf("%v", o)
		}
	})
}

// What is wrong with a file is told before anything is sent, in a line.
func TestBadOwnerFiles(t *testing.T) {
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	dir := openDir(t)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no database"), 0o644); err != nil {
		t.Fatal(err)
	}
	secret := database(t, filepath.Join(dir, "secret"), 0o600, map[string]mmdbtype.Map{"198.18.0.0/15": asRecord(1, "SECRET")})
	refuses := func(want string, o outcome) {
		t.Helper()
		if o.stdout != "" || o.stderr != want || o.code != 1 {
			t.Errorf("want %q\n%v", want, o)
		}
	}
	sent := p.Source.Interfaces[0].Capture(t)
	refuses("Bad database /nonexistent: no such file or directory\n", run(t, p.Source, ours, "-n", "--mmdb", "/nonexistent", "198.18.1.2"))
	refuses("Bad database "+text+": not an MMDB file (error opening database: invalid MaxMind DB file)\n", run(t, p.Source, ours, "-n", "--mmdb", text, "198.18.1.2"))
	fifo := filepath.Join(dir, "fifo") // that nobody ever writes to
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{fifo: "not a regular file", "/dev/zero": "not a regular file", dir: "a directory"} {
		refuses("Bad database "+path+": is "+why+"\n", run(t, p.Source, ours, "-n", "--mmdb", path, "198.18.1.2"))
	}
	if os.Getuid() == 0 {
		for _, mode := range []os.FileMode{0o755, 0o4755} {
			lent := lab.Install(t, ours, mode)
			if mode == 0o755 {
				lent = lab.Install(t, ours, mode, unix.CAP_NET_RAW, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH)
			}
			refuses("Bad database "+secret+": permission denied\n", finish(t, func(ctx context.Context) *lab.Cmd {
				return p.Source.Command(ctx, lent, "-n", "--mmdb", secret, "198.18.1.2").As(65534, 65534)
			}))
		}
	}
	if s := probes(sent.Stop(t)); s != "" {
		t.Errorf("probes were sent: %s", s)
	}
}

// nameServer answers TXT questions inside a host, on 127.0.0.1, and writes down what it was asked.
type nameServer struct {
	mu    sync.Mutex
	asked []string
}

func (s *nameServer) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.asked)
	slices.Sort(all)
	return slices.Compact(all)
}

func serveTXT(t *testing.T, h *lab.Host, records map[string]string) *nameServer {
	t.Helper()
	s := new(nameServer)
	serveDNS(t, h, func(query []byte) ([]byte, error) { return s.reply(query, records) })
	return s
}

func (s *nameServer) reply(query []byte, records map[string]string) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked = append(s.asked, q.Type.String()+" "+q.Name.String())
	s.mu.Unlock()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true, RCode: dnsmessage.RCodeNameError},
		Questions: []dnsmessage.Question{q},
	}
	if record, ok := records[q.Name.String()]; ok && q.Type == dnsmessage.TypeTXT {
		m.RCode = dnsmessage.RCodeSuccess
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.TXTResource{TXT: []string{record}},
		}}
	}
	return m.Pack()
}

// Owners come from the DNS where the user says so, of public addresses only, and hostile records come out harmless.
func TestOwnersFromDNS(t *testing.T) {
	t.Parallel()
	ours := program(t)
	l := lab.New(t)
	source, router, target := l.Host(t, "source"), l.Host(t, "router"), l.Host(t, "target")
	first, second := l.Link(t, source, router), l.Link(t, router, target)
	source.Default(t, first.A)
	target.Default(t, second.B)
	target.Listen(t, 25)
	target.AddAddr(t, netip.MustParseAddr("10.9.9.9"))
	router.Add(t, "route", fmt.Sprintf("10.9.9.9/32 via %v", second.B.V4))
	source.SetFile(t, "/etc/resolv.conf", "nameserver 127.0.0.1\nsearch example.com\noptions timeout:1 attempts:1\n")
	source.SetFile(t, "/etc/nsswitch.conf", "hosts: dns\n")
	reversed := func(a string) string {
		b := strings.Split(a, ".")
		slices.Reverse(b)
		return strings.Join(b, ".") + ".origin.asn.cymru.com."
	}
	hop, end := first.B.V4.String(), second.B.V4.String()
	s := serveTXT(t, source, map[string]string{
		reversed(hop):            "64500 64510 | 198.18.0.0/24 | DE | ripencc | 2020-01-01",
		reversed(end):            "64501 | 198.18.0.0/15 | XX\x1b | iana |",
		"AS64500.asn.cymru.com.": "64500 | DE | ripencc | 2020-01-01 | EXAMPLE-AS Example Ltd, DE",
		"AS64501.asn.cymru.com.": "64501 | US | arin | | ] [open] \x1b]0;owned\a\n 9  fake",
	})
	want := fmt.Sprintf(" 1  %s [AS64500 EXAMPLE-AS Example Ltd, DE]  0.000 ms\n 2  %s [AS64501 ) (open) \\x1b)0;owned\\a\\n 9  fake] [open]  0.000 ms\n", hop, end)
	if o := times(run(t, source, ours, "-n", "-q1", "--as-dns", end, "25")); o.stdout != want || o.code != 0 {
		t.Errorf("want\n%s\n%v", want, o)
	}
	wantAsked := []string{"TypeTXT " + reversed(hop), "TypeTXT " + reversed(end), "TypeTXT AS64500.asn.cymru.com.", "TypeTXT AS64501.asn.cymru.com."}
	slices.Sort(wantAsked)
	if got := s.names(); !slices.Equal(got, wantAsked) {
		t.Errorf("asked for %q, want %q", got, wantAsked)
	}
	// A private address is nobody's business, and without --as-dns nothing is.
	if o := times(run(t, source, ours, "-n", "-q1", "--as-dns", "-f2", "10.9.9.9", "25")); !strings.Contains(o.stdout, "10.9.9.9 [*] [open]") {
		t.Errorf("%v", o)
	}
	if o := times(run(t, source, ours, "-n", "-q1", "-a", end, "25")); !strings.Contains(o.stdout, end+" [*] [open]") {
		t.Errorf("%v", o)
	}
	if got := s.names(); !slices.Equal(got, wantAsked) {
		t.Errorf("asked for %q, want %q", got, wantAsked)
	}
}
