package cli

import (
	"net/netip"
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/record"
)

// However the arguments are mixed, parsing ends with operands or with one printable line, and what is refused is named.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		"-nq1 host 80 -m 9", "-q x", "-q", "host -- -1", "--dnat --parallel=4 h", "--parallel", "-\x1b[31m", "--\xff", "-l70000 h",
		"-p 99999999999999999999 h", "-w1 -t 300", "- --", "-vh", "--loose=1", "h 80 40 50",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		var c options.Config
		operands, err := options.Parse(options.Options(), args, &c)
		if err != nil {
			if operands != nil {
				t.Errorf("operands %q with error %v", operands, err)
			}
			text := err.Error()
			if text == "" || strings.Contains(record.Printable(text), "\n") {
				t.Errorf("error %q", text)
			}
			return
		}
		if len(operands) > len(args) {
			t.Errorf("%d operands of %d arguments", len(operands), len(args))
		}
		if c.Path.Parallel < 0 || c.Path.TOS < 0 || c.Path.TOS > 255 || c.Path.Length < 0 || c.Path.Length > 65535 || c.Port < 0 || c.Port > 65535 {
			t.Errorf("out of range: %+v", c)
		}
	})
}

// Whatever stands for the host is taken apart, or refused in words that name it. No address loses a part.
func FuzzHost(f *testing.F) {
	for _, s := range []string{
		"host", "host:443", " host:443 ", "2001:db8::1", "[2001:db8::1]:443", "[::1", "fe80::1%eth0", "https://me:secret@host:8443/a?b#c",
		"http://[::1%25lo]/", "://", ":", "::", "[]:", "b\u00fccher.example:80", "http://\xff", "a:b:c", "host:443/path",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := options.SplitHost(s)
		if err != nil {
			if host != "" || port != "" || !strings.HasPrefix(err.Error(), "Bad destination address: ") {
				t.Errorf("%q: %q, %q, %v", s, host, port, err)
			}
			return
		}
		trimmed := strings.TrimSpace(s)
		if a, err := netip.ParseAddr(trimmed); err == nil && !strings.Contains(s, "://") && (host != trimmed || port != "") {
			t.Errorf("%v: host %q, port %q", a, host, port)
		}
		if !strings.ContainsAny(s, ":[") && (host != trimmed || port != "") {
			t.Errorf("%q: host %q, port %q", s, host, port)
		}
	})
}
