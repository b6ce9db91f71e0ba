package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// When flows have moved is told once for all times.
func TestRemapped(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	const since = ": a flow took another path than before; the figures are of the time since"
	for n, want := range []string{"", "Remapped at 03:04:05" + since, "Remapped 2 times, last at 03:04:05" + since} {
		if got := Remapped(slices.Repeat([]time.Time{at}, n)); got != want {
			t.Errorf("%d times: %q, want %q", n, got, want)
		}
	}
}

// What opening the sockets failed for, in words.
func TestUnopened(t *testing.T) {
	const noDevice = "error opening device eth7: eth7: No such device exists (No such device exists)"
	for _, tt := range []struct {
		config options.Config
		err    error
		want   string
	}{
		{options.Config{}, fmt.Errorf("%w (%w)", measure.ErrPrivilege, syscall.EPERM), "Raw sockets need root or the capability CAP_NET_RAW: run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute"},
		{options.Config{Interface: "eth7"}, fmt.Errorf("interface: %w", syscall.ENODEV), noDevice},
		{options.Config{Interface: "eth7"}, fmt.Errorf("interface: %w", syscall.EINVAL), noDevice},
		{options.Config{}, fmt.Errorf("interface: %w", syscall.ENODEV), "interface: no such device"},
		{options.Config{}, fmt.Errorf("port: %w", syscall.EADDRINUSE), ErrPortInUse.Error()},
		{options.Config{}, measure.ErrUnsupported, "sending TCP probes is not supported on this platform yet; it is on Linux"},
		{options.Config{}, fmt.Errorf("raw socket: %w", syscall.EMFILE), "raw socket: too many open files"},
	} {
		if got := Unopened(&tt.config, tt.err); got.Error() != tt.want {
			t.Errorf("%+v, %v: %q, want %q", tt.config, tt.err, got, tt.want)
		}
	}
}

// Answers that this host has lost are told of.
func TestWarningsLostHere(t *testing.T) {
	const want = "Warning: packets lost on this host, which was too busy to read them: 3. Probes in flight then are not counted as lost"
	if got := Warnings(new(report.Unsent), trace.Counts{LostHere: 3}); !slices.Equal(got, []string{want}) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Warnings(new(report.Unsent), trace.Counts{}); len(got) > 0 {
		t.Errorf("%q without a loss", got)
	}
}

// Who sends errors that can't be believed makes silent hops, and that is said.
func TestWarningsShortQuotes(t *testing.T) {
	const want = "Warning: 2 ICMP errors quote too little of a probe to be believed (the addresses and ports, without the " +
		"sequence number): hops that send such errors are shown as silent"
	if got := Warnings(new(report.Unsent), trace.Counts{ShortQuotes: 2}); !slices.Equal(got, []string{want}) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of a name with many addresses the one that is traced is named, and some of the others.
func TestOthers(t *testing.T) {
	for _, tt := range []struct {
		host, others, want string
	}{
		{"a.test", "", ""},
		{"a.test", "192.0.2.2", "a.test has 2 addresses: tracing to 192.0.2.1, not 192.0.2.2"},
		{"b\u00fc.test", "2001:db8::2 2001:db8::3", "xn--b-eha.test has 3 addresses: tracing to 192.0.2.1, not 2001:db8::2, 2001:db8::3"},
		{"a.test", "192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5", "a.test has 5 addresses: tracing to 192.0.2.1, not 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5"},
		{"a.test", "192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7", "a.test has 7 addresses: tracing to 192.0.2.1, not 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, and 2 more"},
	} {
		var p options.Config
		p.Host, p.Path.Target = tt.host, netip.MustParseAddrPort("192.0.2.1:80")
		for other := range strings.FieldsSeq(tt.others) {
			p.Others = append(p.Others, netip.MustParseAddr(other))
		}
		if got := Others(&p); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// How long a probe by a connection waits is said as it is.
func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		want string
	}{{0, "850 ms"}, {500 * time.Millisecond, "500 ms"}, {5 * time.Second, "850 ms"}} {
		var p options.Config
		p.Path.Wait = tt.wait
		if got, want := Connections(&p, false, nil), "Tracing without raw sockets: by connections, one probe at a time, waiting up to "+tt.want+" for each answer"; got != want {
			t.Errorf("-w %v: %q, want %q", tt.wait, got, want)
		}
	}
}

// Who means a list of targets is told how one is given.
func TestNoTarget(t *testing.T) {
	for _, tt := range []struct {
		config options.Config
		file   bool
		want   string
	}{
		{options.Config{Host: "no..host"}, true, "Bad destination address: no..host"},
		{options.Config{Host: "no..host", Path: trace.PathOptions{DontFragment: true}}, false, "Bad destination address: no..host"},
		{options.Config{Host: "no..host", Path: trace.PathOptions{DontFragment: true}}, true, "Bad destination address: no..host; -F sets the don't-fragment bit; the targets of a file are traced by --targets no..host"},
		{options.Config{Host: "no..host", Interface: "L"}, true, "Bad destination address: no..host" + listHint},
		{options.Config{Host: "2001:db8::/120"}, false, "Bad destination address: 2001:db8::/120" +
			"; the addresses of a network are traced by --targets FILE, with a line 2001:db8::/120"},
		{options.Config{Host: "10.0.0.1-9"}, false, "Bad destination address: 10.0.0.1-9" +
			"; a range of addresses is traced by --targets FILE, with a line 10.0.0.1-10.0.0.9"},
		{options.Config{Host: "10-9"}, false, "Bad destination address: 10-9"},
	} {
		if got := NoTarget(&tt.config, tt.file, measure.ErrBroadcast); got.Error() != tt.want {
			t.Errorf("%+v, %t: %q", tt.config.Host, tt.file, got)
		}
	}
}

// A run over lists of targets begins with what it is about to do.
func TestMany(t *testing.T) {
	for _, tt := range []struct {
		rate, open, rounds int
		want               string
	}{
		{1000, 1, 0, "Tracing the targets of list, 30 hops max, 1,000 packets a second, one target at a time"},
		{1, 100_000, 0, "Tracing the targets of list, 30 hops max, 1 packet a second, up to 100,000 targets at a time"},
		{200, 1, 1, "Tracing the targets of list, 30 hops max, 200 packets a second, one target at a time, 1 round of 1s each"},
	} {
		var c options.Config
		c.Many.Lists, c.Watch.Live, c.Watch.Count, c.Watch.Interval = []string{"list"}, tt.rounds > 0, tt.rounds, time.Second
		m := &measure.Many{Open: tt.open}
		m.SetRate(tt.rate)
		if got := strings.Join(Many(&c, m), "\n"); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
