package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Lab is a network of hosts. One goroutine builds it; then many may use it.
type Lab struct {
	// Link number n, counted from 1, takes the n-th /24 of Net4 (a /16) and the n-th /64 of Net6 (a /32). They may be
	// changed before the first link: 198.18.0.0/16 and 2001:db8::/32.
	Net4, Net6 netip.Prefix

	tables atomic.Int64 // nftables tables made

	mu       sync.Mutex
	hosts    []*Host
	links    int
	commands map[*Cmd]bool // running
	mayLimit bool
	files    string // directory of what commands see in place of the machine's files; "" before the first
}

// New makes an empty lab that lasts as long as t. Where that isn't possible it skips t as [Need] does.
//
// A program that is not a test can have labs too, by a testing.TB of its own: a struct that embeds the interface and
// has Helper, Name, Cleanup, Logf, Errorf, Fatalf and Skip.
func New(t testing.TB) *Lab {
	t.Helper()
	Need(t)
	l := &Lab{
		Net4:     netip.MustParsePrefix("198.18.0.0/16"),
		Net6:     netip.MustParsePrefix("2001:db8::/32"),
		commands: make(map[*Cmd]bool),
	}
	t.Cleanup(func() { l.close(t) })
	return l
}

func (l *Lab) close(t testing.TB) {
	l.mu.Lock()
	commands, hosts := slices.Collect(maps.Keys(l.commands)), l.hosts
	l.mu.Unlock()
	for _, c := range commands {
		c.kill() // an error: it has ended
		c.Wait() // an error: killed
	}
	for _, h := range hosts {
		if n, err := h.limited(); err != nil {
			t.Errorf("lab: %s: %v", h.Name, err)
		} else if n != 0 && !l.mayLimit {
			t.Errorf("lab: %s withheld %d ICMP messages by its rate limits: what this test measured is the limits", h.Name, n)
		}
		h.nl.Close()
		h.ns.Close()
	}
	if l.files != "" {
		os.RemoveAll(l.files)
	}
}

// AllowRateLimits says that routers of this lab are meant to limit their ICMP messages.
func (l *Lab) AllowRateLimits() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mayLimit = true
}

// Host is a network stack of its own: a router, or an end of the network.
type Host struct {
	Name       string
	Interfaces []*Interface // in the order of their links: eth0, eth1, ...

	lab   *Lab
	ns    *os.File
	nl    *netlink.Handle
	mu    sync.Mutex
	files map[string]string // what commands see in place of a file: [Host.SetFile]
}

// settings of every host. They stand before its first interface is made, which takes its own from "default".
var settings = [...]struct{ key, value string }{
	{"net.ipv4.ip_forward", "1"},
	{"net.ipv6.conf.all.forwarding", "1"},
	// No limit on ICMP errors: the per-destination one, the mask of what is limited, the global one (in the first
	// namespace only on older kernels, where the mask is enough), and IPv6.
	{"net.ipv4.icmp_ratelimit", "0"},
	{"net.ipv4.icmp_ratemask", "0"},
	{"net.ipv4.icmp_msgs_per_sec", "1000000"},
	{"net.ipv4.icmp_msgs_burst", "100000"},
	{"net.ipv6.icmp.ratelimit", "0"},
	// Paths that differ there and back are no offence here.
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
	{"net.ipv4.conf.all.send_redirects", "0"},
	{"net.ipv4.conf.default.send_redirects", "0"},
	// Addresses are there without being asked about first, and only those that the lab gives.
	{"net.ipv6.conf.default.accept_dad", "0"},
	{"net.ipv6.conf.default.accept_ra", "0"},
	{"net.ipv6.conf.default.addr_gen_mode", "1"},
}

// Host makes a new host, linked to nothing.
func (l *Lab) Host(t testing.TB, name string) *Host {
	t.Helper()
	h, err := l.host(name)
	if err != nil {
		t.Fatalf("lab: host %s: %v", name, err)
	}
	return h
}

func (l *Lab) host(name string) (*Host, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, lab: l, ns: ns, files: make(map[string]string)}
	err = within(ns, func() error {
		for _, s := range settings {
			if err := writeSysctl(s.key, s.value); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		ns.Close()
		return nil, err
	}
	if h.nl, err = netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE); err != nil {
		ns.Close()
		return nil, err
	}
	l.mu.Lock() // from here on the lab's end closes it
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	lo, err := h.nl.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	return h, h.nl.LinkSetUp(lo)
}

// V4 and V6 are the addresses of the host's first interface, the one towards the source in the lab's own topologies:
// what a source has, what a router answers from, and where a target is. They are invalid where there is no link yet.
func (h *Host) V4() netip.Addr { return h.first().V4 }
func (h *Host) V6() netip.Addr { return h.first().V6 }

func (h *Host) first() Interface {
	if len(h.Interfaces) == 0 {
		return Interface{}
	}
	return *h.Interfaces[0]
}

// Do runs f inside the host, on the calling goroutine: sockets that f opens belong to the host for ever, goroutines
// that f starts don't.
func (h *Host) Do(t testing.TB, f func()) {
	t.Helper()
	if err := within(h.ns, func() error { f(); return nil }); err != nil {
		t.Fatalf("lab: %s: %v", h.Name, err)
	}
}

// Listen opens a TCP listener on the port for both families, 0 for a free one, and closes it when t ends. Nothing
// accepts unless the caller does; the kernel answers all the same.
func (h *Host) Listen(t testing.TB, port uint16) net.Listener {
	t.Helper()
	var lis net.Listener
	err := within(h.ns, func() error {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // plain TCP, as most servers have it
		var err error
		lis, err = lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		t.Fatalf("lab: %s: %v", h.Name, err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis
}

// Sysctl sets a kernel parameter of the host ("net.ipv4.tcp_ecn") until t ends.
func (h *Host) Sysctl(t testing.TB, key, value string) {
	t.Helper()
	var old string
	err := within(h.ns, func() error {
		b, err := os.ReadFile(sysctlPath(key))
		if err != nil {
			return err
		}
		old = strings.TrimSpace(string(b))
		return writeSysctl(key, value)
	})
	if err != nil {
		t.Fatalf("lab: %s: %v", h.Name, err)
	}
	t.Cleanup(func() {
		if err := within(h.ns, func() error { return writeSysctl(key, old) }); err != nil {
			t.Errorf("lab: %s: %v", h.Name, err)
		}
	})
}

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

func writeSysctl(key, value string) error {
	return os.WriteFile(sysctlPath(key), []byte(value), 0)
}

// Counters are the host's SNMP counters by name, as nstat shows them: IcmpOutTimeExcds, Ip6InReceives,
// TcpExtListenDrops.
func (h *Host) Counters(t testing.TB) map[string]int64 {
	t.Helper()
	c, err := h.counters()
	if err != nil {
		t.Fatalf("lab: %s: %v", h.Name, err)
	}
	return c
}

func (h *Host) counters() (map[string]int64, error) {
	c := make(map[string]int64)
	err := within(h.ns, func() error {
		for _, file := range []string{"snmp", "netstat", "snmp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			if err := readCounters(c, string(b)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	})
	return c, err
}

// readCounters reads both forms that the kernel has: a line of names and a line of values, each begun by "Tcp:", and
// one name and value a line.
func readCounters(c map[string]int64, text string) error {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		group, grouped := strings.CutSuffix(fields[0], ":")
		switch {
		case !grouped && len(fields) == 2:
			names, fields = fields[:1], fields[1:]
			group = ""
		case grouped && names == nil:
			names = fields[1:]
			continue
		case grouped && len(names) == len(fields)-1:
			fields = fields[1:]
		default:
			return fmt.Errorf("counters: %q", line)
		}
		for i, name := range names {
			var v int64
			if _, err := fmt.Sscan(fields[i], &v); err != nil {
				return fmt.Errorf("counters: %q: %w", line, err)
			}
			c[group+name] = v
		}
		names = nil
	}
	return nil
}

// limited is how many ICMP messages the host has withheld. Older kernels don't count that.
func (h *Host) limited() (int64, error) {
	c, err := h.counters()
	return c["IcmpOutRateLimitGlobal"] + c["IcmpOutRateLimitHost"] + c["Icmp6OutRateLimitHost"], err
}

// DefaultLimits gives the host the limits on ICMP that the kernel has by itself, until t ends: of errors to one
// destination, six at once and then one in a second.
func (h *Host) DefaultLimits(t testing.TB) {
	t.Helper()
	h.lab.AllowRateLimits()
	for _, s := range []struct{ key, value string }{
		{"net.ipv4.icmp_ratelimit", "1000"},
		{"net.ipv4.icmp_ratemask", "6168"},
		{"net.ipv4.icmp_msgs_per_sec", "1000"},
		{"net.ipv4.icmp_msgs_burst", "50"},
		{"net.ipv6.icmp.ratelimit", "1000"},
	} {
		h.Sysctl(t, s.key, s.value)
	}
}
