package lab

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func BenchmarkChain(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		b.StartTimer()
		Chain(b, ChainOptions{Hops: 9})
	}
}

func TestX(t *testing.T) {
	c := Chain(t, ChainOptions{Hops: 9})
	fmt.Print(c.Source.Run(t, "ping", "-c1", "-W1", c.Target.V4().String()))
	fmt.Print(c.Source.Run(t, "traceroute", "-T", "-n", "-q1", c.Target.V4().String()))
	fmt.Print(c.Source.Run(t, "traceroute", "-T", "-n", "-q1", c.Target.V6().String()))
	fmt.Print(c.Source.Run(t, "tcptraceroute", "-n", "-q1", c.Target.V4().String()))
	c.Routers[7].IP(t, "-6 route")
	m := Diamond(t, DiamondOptions{Width: 3, PerPacket: true})
	fmt.Print(m.Source.Run(t, "traceroute", "-T", "-n", "-q6", m.Target.V4().String()))
	fmt.Print(m.Source.Run(t, "traceroute", "-T", "-n", "-q6", m.Target.V6().String()))
	m = Diamond(t, DiamondOptions{Width: 3})
	fmt.Print(m.Source.Run(t, "traceroute", "-T", "-n", "-q6", m.Target.V4().String()))
	fmt.Print(m.Source.Run(t, "traceroute", "-T", "-n", "-q6", m.Target.V6().String()))
	_ = netip.Addr{}
}
