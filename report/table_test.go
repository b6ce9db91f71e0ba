package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

func TestTable(t *testing.T) {
	stats := trace.NewStats(trace.PathOptions{})
	add := func(ttl uint8, from string, ms float64, kind packet.Kind) {
		r := trace.Result{Probe: packet.Probe{TTL: ttl}, Outcome: trace.Lost, Sent: time.Unix(1, 0)}
		if from != "" {
			r.Outcome, r.Recv = trace.Answered, r.Sent.Add(time.Duration(ms*1e6))
			r.Reply = &packet.Reply{IP: packet.IP{Version: 4, Src: netip.MustParseAddr(from)}, Kind: kind}
		}
		stats.Add(r)
	}
	add(1, "10.0.0.1", 1, packet.KindTimeExceeded)
	add(1, "10.0.0.1", 3, packet.KindTimeExceeded)
	add(1, "", 0, 0)
	add(2, "10.0.0.3", 1234.56, packet.KindTimeExceeded)
	add(2, "10.0.0.2", 2, packet.KindTimeExceeded)
	add(2, "10.0.0.2", 2, packet.KindTimeExceeded)
	add(3, "", 0, 0)
	add(4, "10.0.0.4", 7, packet.KindTCP)
	o := TableOptions{Host: "here", Start: time.Date(2026, 11, 25, 2, 24, 59, 0, time.UTC)}
	check := func(want string) {
		t.Helper()
		var b strings.Builder
		if err := WriteTable(&b, record.RoundsOf(stats), o); err != nil || b.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
		}
	}
	check(`Start: 2026-11-25T02:24:59+0000
HOST: here                        Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- 10.0.0.1                  33.3%     3    3.0   2.0   1.0   3.0   1.4
  2.|-- 10.0.0.2                   0.0%     3    2.0 412.9   2.0 1234.6 711.6
        10.0.0.3
  3.|-- ???                      100.0%     1    0.0   0.0   0.0   0.0   0.0
  4.|-- 10.0.0.4                   0.0%     1    7.0   7.0   7.0   7.0   0.0
`)
	o.Name = func(a netip.Addr) string {
		if a == netip.MustParseAddr("10.0.0.4") {
			return "a name with blanks\x1b[31m and more"
		}
		return ""
	}
	check(`Start: 2026-11-25T02:24:59+0000
HOST: here                                                  Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- 10.0.0.1                                            33.3%     3    3.0   2.0   1.0   3.0   1.4
  2.|-- 10.0.0.2                                             0.0%     3    2.0 412.9   2.0 1234.6 711.6
        10.0.0.3
  3.|-- ???                                                100.0%     1    0.0   0.0   0.0   0.0   0.0
  4.|-- a\x20name\x20with\x20blanks\x1b[31m\x20and\x20more   0.0%     1    7.0   7.0   7.0   7.0   0.0
`)
	o.Name = nil
	o.Owner = func(a netip.Addr) (record.Owner, bool) {
		return record.Owner{ASN: 64500}, a == netip.MustParseAddr("10.0.0.2")
	}
	check(`Start: 2026-11-25T02:24:59+0000
HOST: here                        Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- AS???      10.0.0.1       33.3%     3    3.0   2.0   1.0   3.0   1.4
  2.|-- AS64500    10.0.0.2        0.0%     3    2.0 412.9   2.0 1234.6 711.6
        AS???      10.0.0.3
  3.|-- AS???      ???           100.0%     1    0.0   0.0   0.0   0.0   0.0
  4.|-- AS???      10.0.0.4        0.0%     1    7.0   7.0   7.0   7.0   0.0
`)
}
