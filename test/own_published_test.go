package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// A container host traces a port that it publishes itself, as with a node port: it translates both ends of what it sends.
// Where its firewall sees what bridges pass, answers come in by the bridge half translated back. Connections open, or are
// refused by the container, and nobody answers from elsewhere.
func TestOwnPublishedPort(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		t.Skip("br_netfilter isn't loaded")
	}
	for members := 1; members <= 2; members++ {
		t.Run(fmt.Sprintf("%d on the bridge", members), func(t *testing.T) { ownPublishedPort(t, members) })
	}
}

func ownPublishedPort(t *testing.T, members int) {
	l := lab.New(t)
	source, router := l.Host(t, "source"), l.Host(t, "router")
	outside := l.Link(t, source, router)
	source.IP(t, "link add br0 type bridge")
	source.IP(t, "link set br0 up")
	var inside *lab.Interface
	for i := range members {
		container := l.Host(t, fmt.Sprintf("container%d", i))
		inside = l.Link(t, source, container).B
		inside.Host.Default(t, inside)
		source.IP(t, "addr flush dev "+inside.Peer.Name)
		source.IP(t, fmt.Sprintf("link set %s master br0", inside.Peer.Name))
		inside.Host.Listen(t, 80)
	}
	source.IP(t, fmt.Sprintf("addr add %v/24 dev br0", inside.Peer.V4))
	source.IP(t, fmt.Sprintf("addr add %v/64 dev br0 nodad", inside.Peer.V6))
	source.Sysctl(t, "net.bridge.bridge-nf-call-iptables", "1")
	source.Sysctl(t, "net.bridge.bridge-nf-call-ip6tables", "1")
	gone4, gone6 := inside.Peer.V4.Next().Next().Next(), inside.Peer.V6.Next().Next().Next()
	source.NFT(t, fmt.Sprintf("chain gone { type nat hook output priority -100;\nip daddr %v tcp dport 8082 dnat ip to %v:80\n"+
		"ip6 daddr %v tcp dport 8082 dnat ip6 to [%v]:80\n}\n", outside.A.V4, gone4, outside.A.V6, gone6))
	for port, to := range map[int]int{8080: 80, 8081: 81} {
		source.NFT(t, fmt.Sprintf("chain p%d { type nat hook output priority -100;\n"+
			"ip daddr %v tcp dport %[1]d dnat ip to %[3]v:%[4]d\n"+
			"ip6 daddr %[5]v tcp dport %[1]d dnat ip6 to [%[6]v]:%[4]d\n}\n",
			port, outside.A.V4, inside.V4, to, outside.A.V6, inside.V6))
	}
	source.NFT(t, "chain out { type nat hook postrouting priority 100; oifname br0 masquerade; }")
	families(t, func(t *testing.T, v family) {
		for port, state := range map[string]string{"8080": "[open]", "8081": "[closed]"} {
			out := launch(t, source, "-n --explain "+addressOf(outside.A, v == ip4)+" "+port).outcome()
			if !strings.Contains(out.stdout, state) || !strings.Contains(out.stdout, "this-host") ||
				strings.Contains(out.stdout, "elsewhere") || strings.Contains(out.stdout, "nobody asked") {
				t.Errorf("port %s: %v", port, out)
			}
		}
		// The container that it was published for is gone: no SYN leaves this host.
		out := launch(t, source, "-n --explain "+addressOf(outside.A, v == ip4)+" 8082").outcome()
		if !strings.Contains(out.stdout, "this-host") || !strings.Contains(out.stdout, "a container") {
			t.Errorf("port 8082: %v", out)
		}
	})
}
