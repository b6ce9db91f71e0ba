package test

import (
	"fmt"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// The gateway is a machine on this host, as a firewall in a virtual machine is: what it sends on passes this host once
// more, by a bridge, with a lower TTL and perhaps by another address. That is none of this host's doing.
func TestGatewayOnThisHost(t *testing.T) {
	for _, masquerades := range []bool{false, true} {
		t.Run(fmt.Sprintf("masquerades %v", masquerades), func(t *testing.T) { gatewayOnThisHost(t, masquerades) })
	}
}

func gatewayOnThisHost(t *testing.T, masquerades bool) {
	l := lab.New(t)
	source, gateway, router, target := l.Host(t, "source"), l.Host(t, "gateway"), l.Host(t, "router"), l.Host(t, "target")
	inside, outside := l.Link(t, source, gateway), l.Link(t, source, gateway)
	l.Link(t, source, router)
	l.Link(t, router, target)
	source.IP(t, "link add br0 type bridge")
	source.IP(t, "link set br0 up")
	for _, i := range []string{"eth1", "eth2"} {
		source.IP(t, "addr flush dev "+i)
		source.IP(t, "link set "+i+" master br0")
	}
	outside.B.Forget(t) // who has its neighbour's addresses now is the router
	router.IP(t, fmt.Sprintf("addr add %v/24 dev eth0", outside.A.V4))
	router.IP(t, fmt.Sprintf("addr add %v/64 dev eth0 nodad", outside.A.V6))
	router.IP(t, fmt.Sprintf("route add %v via %v", inside.Net4, outside.B.V4))
	router.IP(t, fmt.Sprintf("-6 route add %v via %v", inside.Net6, outside.B.V6))
	source.Default(t, inside.A)
	gateway.Default(t, outside.B)
	target.Default(t, target.Interfaces[0])
	target.Listen(t, 80)
	if masquerades {
		gateway.NFT(t, "chain out { type nat hook postrouting priority 100; oifname eth1 masquerade; }")
	}
	families(t, func(t *testing.T, v family) {
		to := target.Interfaces[0]
		out := launch(t, source, "-n --explain "+addressOf(to, v == ip4)+" 80").outcome()
		if !strings.Contains(out.stdout, "[open]") || strings.Contains(out.stdout, "this-host") ||
			strings.Contains(out.stderr, "This host") {
			t.Errorf("%v", out)
		}
	})
}
