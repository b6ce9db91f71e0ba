package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"go.example/tcptraceroute/lab"
)

// hostRecords are what the name server of TestHostNames knows. A name without records has no address.
var hostRecords = map[string]map[dnsmessage.Type][]dnsmessage.ResourceBody{
	"one.test.": {dnsmessage.TypeA: {&dnsmessage.AResource{A: [4]byte{198, 18, 3, 2}}}},
	"two.test.": {dnsmessage.TypeA: {
		&dnsmessage.AResource{A: [4]byte{198, 18, 3, 2}}, &dnsmessage.AResource{A: [4]byte{198, 18, 3, 2}},
		&dnsmessage.AResource{A: [4]byte{198, 18, 3, 77}},
	}},
	"both.test.": {
		dnsmessage.TypeA:    {&dnsmessage.AResource{A: [4]byte{198, 18, 3, 2}}},
		dnsmessage.TypeAAAA: {&dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 0x01, 0xd, 0xb8, 5: 3, 15: 2}}},
	},
	"xn--bcher-kva.test.": {dnsmessage.TypeA: {&dnsmessage.AResource{A: [4]byte{198, 18, 3, 2}}}},
	"empty.test.":         {},
}

// answerHosts is a name server that knows hostRecords, and can't tell of broken.test.
func answerHosts(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	records, known := hostRecords[q.Name.String()]
	switch {
	case q.Name.String() == "broken.test.":
		m.RCode = dnsmessage.RCodeServerFailure
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, r := range records[q.Type] {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: r,
		})
	}
	return m.Pack()
}

// TestHostNames gives hosts as people type them. Which of several addresses is traced is said, and why there is none.
func TestHostNames(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 443)
	p.Source.SetFile(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
	p.Source.SetFile(t, "/etc/nsswitch.conf", "hosts: dns\nservices: files\n")
	serveDNS(t, p.Source, answerHosts)
	ours := program(t)
	device := "Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\n"
	to := func(name string) string {
		return device + "Tracing the path to " + name + " (198.18.3.2) on TCP port 443 (https), 30 hops max\n"
	}
	for _, tt := range []struct {
		args   []string
		stderr string
		code   int
	}{
		{[]string{"one.test", "443"}, to("one.test"), 0},
		{[]string{"one.test:443"}, to("one.test"), 0},
		{[]string{" one.test ", " https "}, to("one.test"), 0},
		{[]string{"https://one.test/a?b"}, to("one.test"), 0},
		{[]string{"two.test:443"}, strings.Replace(to("two.test"), "Tracing", "two.test has 2 addresses: tracing to 198.18.3.2, not 198.18.3.77\nTracing", 1), 0},
		{[]string{"both.test", "443"}, to("both.test"), 0},
		{[]string{"bücher.test:443"}, to("xn--bcher-kva.test"), 0},
		{[]string{"https://BÜCHER.test"}, to("xn--bcher-kva.test"), 0},
		{[]string{"xn--bcher-kva.test", "443"}, to("xn--bcher-kva.test"), 0},
		{[]string{"no.test", "443"}, "Bad destination address: no.test (the DNS has no such name: NXDOMAIN)\n", 1},
		{[]string{"nö.test:443"}, "Bad destination address: n\\u00f6.test (the DNS has no such name: NXDOMAIN)\n", 1},
		{[]string{"empty.test", "443"}, "Bad destination address: empty.test (the name is in the DNS, but has no address: neither A nor AAAA)\n", 1},
		{[]string{"-6", "one.test", "443"}, "Bad destination address: one.test (the name is in the DNS, but has no IPv6 address)\n", 1},
		{[]string{"-4", "empty.test", "443"}, "Bad destination address: empty.test (the name is in the DNS, but has no IPv4 address)\n", 1},
		{[]string{"broken.test", "443"}, "Bad destination address: broken.test (the name servers could not tell)\n", 1},
		{[]string{"-s", "no.test", "one.test", "443"}, "Bad source address: no.test (the DNS has no such name: NXDOMAIN)\n", 1},
	} {
		got := kernelPort(run(t, p.Source, ours, slices.Concat([]string{"-nq1", "-f3"}, tt.args)...))
		if got.stderr != tt.stderr || got.code != tt.code || (got.stdout == "") != (tt.code != 0) {
			t.Errorf("%q: %v\nwant %q, exit code %d", tt.args, got, tt.stderr, tt.code)
		}
	}

	for name, resolv := range map[string]string{
		" (no name server could be reached: connection refused)": "nameserver 127.0.0.2\noptions timeout:1 attempts:1\n",
		" (no name server could be reached: no route to host)":   "nameserver 2001:db8:77::1\noptions timeout:1 attempts:1\n",
		" (no name server answered)":                             fmt.Sprintf("nameserver %v\noptions timeout:1 attempts:1\n", p.Target.V4()),
	} {
		t.Run(name, func(t *testing.T) {
			p.Target.Filter(t, "input", "udp dport 53 drop")
			p.Source.IP(t, "-6 route add unreachable 2001:db8:77::/48")
			t.Cleanup(func() { p.Source.IP(t, "-6 route del unreachable 2001:db8:77::/48") })
			p.Source.SetFile(t, "/etc/resolv.conf", resolv)
			got := run(t, p.Source, ours, "-n", "one.test", "443")
			if want := (outcome{"", "Bad destination address: one.test" + name + "\n", 1}); got != want {
				t.Errorf("%v\nwant %v", got, want)
			}
		})
	}
}

// Mistakes leave standard output empty, whatever was asked for to be written there, as root and as an ordinary user.
func TestMistakesAreOneLine(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	onlyFiles(t, p.Source, "")
	ours := program(t)
	for _, format := range []string{"--json", "--jsonl", "--csv", "--format=mtr-json", "--format=atlas", "--format=dot", "--format=mermaid", "--format=svg", "--format=text", "--pcap=-"} {
		for _, args := range []string{"", "--jsno 198.18.2.2", "-T 198.18.2.2", "198.18.2.2 80 abc", "198.18.2.2 80 40 4", "198.18.2.2:443 80", "-q x 198.18.2.2", "-q0 198.18.2.2", "nohost", "198.18.2.2 nosuch", "-i nosuch 198.18.2.2"} {
			list := append([]string{format}, strings.Fields(args)...)
			got := run(t, p.Source, ours, list...)
			if got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || got.code != 1 {
				t.Errorf("%q: %v", list, got)
			}
			user := finish(t, func(ctx context.Context) *lab.Cmd { return p.Source.Command(ctx, ours, list...).As(65534, 65534) })
			if user.stdout != "" || strings.Count(user.stderr, "\n") != 1 || user.code != 1 {
				t.Errorf("%q, an ordinary user: %v", list, user)
			}
		}
	}
}

// Whoever sits before a terminal is pointed to --explain when the target was not reached; nobody else is.
func TestPointToExplain(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 443)
	p.Hop(2).Drop(t, "tcp dport 25")
	ours := program(t)
	p.Hop(2).Filter(t, "forward", "tcp dport 26 reject with icmpx type admin-prohibited")
	const (
		same    = "the same with --explain"
		inPlace = "--explain in the place of "
	)
	terminal := func(term, args string) func(*testing.T) string {
		return func(t *testing.T) string { return onTerminal(t, p.Source, term, "1", ours, strings.Fields(args)...) }
	}
	shell := func(end string) func(*testing.T) string {
		return func(t *testing.T) string {
			return onTerminal(t, p.Source, "xterm", "1", "sh", "-c", `"$0" -nq1 -w0.5 -m4 198.18.3.2 25 `+end, ours)
		}
	}
	for name, tt := range map[string]struct {
		run  func(*testing.T) string
		want string // that it ends with; "": it says nothing of it
	}{
		"unreached":                      {terminal("xterm", "-nq1 -w0.5 -m4 198.18.3.2 25"), same},
		"a terminal that can do nothing": {terminal("", "-nq1 -w0.5 -m4 198.18.3.2 25"), same},
		"rejected":                       {terminal("xterm", "-nq1 198.18.3.2 26"), same},
		"--unprivileged":                 {terminal("xterm", "-nq1 -w0.5 -m4 --unprivileged 198.18.3.2 25"), same},
		"--json":                         {terminal("xterm", "-nq1 -w0.5 -m4 --json 198.18.3.2 25"), same},
		"--in-session":                   {terminal("xterm", "-nq1 -w0.5 -m4 --in-session 198.18.3.2 25"), inPlace + "--in-session"},
		"--report":                       {terminal("xterm", "-n -c1 --report --interval 0.5 -m4 198.18.3.2 25"), inPlace + "--report"},
		"reached":                        {terminal("xterm", "-nq1 198.18.3.2 443"), ""},
		"--explain":                      {terminal("xterm", "-nq1 -w0.5 -m4 --explain 198.18.3.2 25"), ""},
		"output in a pipe":               {shell("| cat"), ""},
		"messages in a pipe":             {shell("2>&1 >/dev/null | cat"), ""},
		"no terminal": {func(t *testing.T) string {
			return run(t, p.Source, ours, "-nq1", "-w0.5", "-m4", "198.18.3.2", "25").stderr
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stays(tt.run(t))
			const line = "\nTo find out why, and where: "
			if tt.want == "" && strings.Contains(got, line) || tt.want != "" && !strings.HasSuffix(got, line+tt.want+"\n") {
				t.Errorf("%q", got)
			}
			if name != "reached" && name != "rejected" && !strings.Contains(got, "Destination not reached") {
				t.Errorf("the target was reached: %q", got)
			}
		})
	}
}

// TestHostsFile: a name that has addresses of one family, in the file of hosts, is a target of that family, has none of the
// other, and may be excluded.
func TestHostsFile(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Target.Listen(t, 80)
	onlyFiles(t, p.Source, fmt.Sprintf("%v four.test\n%v six.test\n", p.Target.V4(), p.Target.V6()))
	ours, list := program(t), listFile(t, fmt.Sprintf("%v\n%v\nfour.test\nsix.test\n", p.Target.V4(), p.Target.V6()))
	for _, tt := range []struct {
		args        []string
		has, stderr string
		code        int
	}{
		{[]string{"four.test"}, p.Target.V4().String() + " [open]", "", 0},
		{[]string{"six.test"}, p.Target.V6().String() + " [open]", "", 0},
		{[]string{"-6", "four.test"}, "", "Bad destination address: four.test (the name has no IPv6 address)\n", 1},
		{[]string{"-4", "six.test"}, "", "Bad destination address: six.test (the name has no IPv4 address)\n", 1},
		{[]string{"--targets", list}, "six.test 80 not traced: another name leads to the same address and port\n",
			": 2 reached, 2 named twice\n", 0},
		{[]string{"-6", "--targets", list}, "four.test 80 not found: the name has no IPv6 address\n", "", 1},
		{[]string{"--targets", list, "--exclude", listFile(t, "four.test\n")}, p.Target.V6().String() + " 80 open",
			": 1 reached, 1 named twice, 2 excluded\n", 0},
		{[]string{"--targets", list, "--exclude", listFile(t, "six.test\nfour.test\n")}, "",
			"Nothing to trace: all targets are excluded\n", 0},
	} {
		got := run(t, p.Source, ours, append([]string{"-n"}, tt.args...)...)
		if !strings.Contains(got.stdout, tt.has) || !strings.HasSuffix(got.stderr, tt.stderr) || got.code != tt.code {
			t.Errorf("%q: %v", tt.args, got)
		}
	}
}
