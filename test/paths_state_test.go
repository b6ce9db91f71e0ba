package test

import (
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// States of connections in a firewall that tracks them: enum tcp_conntrack of the kernel.
const (
	trackedSYNSent = 1
	trackedClose   = 8 // the target answered, and a reset came after
)

// A search for all paths leaves a stateful firewall on the way no more half-open connections than it may use flows, and
// resets what the target answers.
func TestPathsState(t *testing.T) {
	t.Parallel()
	const silentPort = 81
	for _, c := range []struct {
		name        string
		port, flows int
	}{
		{"an open port", 80, 256}, // as without the option
		{"few flows", 80, 24},
		{"few flows, a silent target", silentPort, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := lab.Diamond(t, lab.DiamondOptions{Width: 16})
			m.Target.Listen(t, 80)
			m.Target.Filter(t, "input", "tcp dport "+strconv.Itoa(silentPort)+" drop")
			m.Split.Filter(t, "forward", "ct state new accept")               // a rule that asks for the state makes the kernel track it
			for _, state := range []string{"syn_sent", "syn_recv", "close"} { // nothing is forgotten before it is counted
				m.Split.Sysctl(t, "net.netfilter.nf_conntrack_tcp_timeout_"+state, "36000")
			}
			for _, v4 := range []bool{true, false} {
				out := run(t, m.Source, program(t), "-n", "-q", "2", "--paths", "--max-flows", strconv.Itoa(c.flows),
					addressOf(m.Target.Interfaces[0], v4), strconv.Itoa(c.port))
				states, total := map[uint8]int{}, 0
				for _, state := range tracked(t, m.Split, v4) {
					states[state]++
					total++
				}
				halfOpen, closed := states[trackedSYNSent], states[trackedClose]
				// If the target accepted a SYN and it was not reset, the connection is in a third state.
				if halfOpen > c.flows || halfOpen < c.flows/4 || halfOpen+closed != total ||
					(closed > 0) != (c.port == 80) {
					t.Errorf("IPv4 %v: connections by state %v\n%v", v4, states, out)
				}
			}
		})
	}
}

// tracked are the states of the TCP connections that a host tracks, by source port.
func tracked(t *testing.T, h *lab.Host, v4 bool) map[uint16]uint8 {
	t.Helper()
	family := netlink.InetFamily(unix.AF_INET)
	if !v4 {
		family = unix.AF_INET6
	}
	var all []*netlink.ConntrackFlow
	var err error
	h.Do(t, func() { all, err = netlink.ConntrackTableList(netlink.ConntrackTable, family) })
	if err != nil {
		t.Fatal(err)
	}
	states := map[uint16]uint8{}
	for _, c := range all {
		if tcp, ok := c.ProtoInfo.(*netlink.ProtoInfoTCP); ok {
			states[c.Forward.SrcPort] = tcp.State
		}
	}
	return states
}
