package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

const (
	// gatewayDistance is how near a target appears behind a gateway that makes packets anew: its TTLs begin there.
	gatewayDistance = 2

	// farBack is how much longer than that the way back must be for it to be impossible.
	farBack = 4
)

// gateway finds the gateways of containers and virtual machines that send packets of their own in place of ours. What
// lies behind them can't be seen: every target seems to be the next hop.
func gateway(f *facts) []Finding {
	d := f.distance()
	if d == 0 || d > gatewayDistance || f.answer.Reply.Kind != packet.KindTCP {
		return nil
	}
	x := Finding{Code: LocalGateway, Confidence: Likely, After: d - 1, Before: d, Weight: weightTrap,
		Evidence: []string{f.answerText(f.path)}}
	product := f.product()
	back := f.back()
	switch {
	case f.gatewayEnds():
		x.Title = "A gateway near this host ends TCP itself, and answers in the target's name"
		for _, w := range f.others() {
			if w.distance() > d {
				x.Evidence = append(x.Evidence, fmt.Sprintf("But for %s: %s", w.what, f.answerText(w.path)))
				break
			}
		}
	case f.host.Host != nil && f.host.SetsTTL:
		return nil // this host itself does that
	case back-(d-1) >= farBack:
		x.Title = "A gateway near this host sends packets on with a TTL of its own"
		x.Evidence = append(x.Evidence, f.longBack(back, d-1))
		if product == "" && !f.agreeOnBack() {
			x.Title = "A gateway near this host may send packets on with a TTL of its own"
			x.Confidence, x.Weight = Possible, weightNotice
			x.Evidence = append(x.Evidence, "Or the target is that near, and its answers begin with an unusual TTL: all that "+
				"tell come with the same.")
		}
		if rtt := f.answer.RTT(); rtt > 0 {
			x.Evidence = append(x.Evidence, fmt.Sprintf("It took %v.", rtt.Round(10*time.Microsecond)))
		}
	case product != "" && isPublic(f.target.Addr()):
		x.Title = "A gateway near this host may answer in the target's name"
		x.Confidence, x.Weight = Possible, weightNotice
		x.Evidence = append(x.Evidence, fmt.Sprintf("The target has a public address, but is %s away. It may really "+
			"be that near.", times(d, "hop", "hops")))
	default:
		return nil
	}
	if product != "" {
		x.Title += ": it looks like " + product
		x.Evidence = append(x.Evidence, "The addresses of this host or its router are those that "+product+" gives.")
	}
	x.Advice = "Run it on the machine itself: in a container or a virtual machine with user-mode networking no " +
		"traceroute sees the path."
	return []Finding{x}
}

// longBack says what it means that an answer seems to have passed so many routers, where the probe passed few.
func (f *facts) longBack(back, there int) string {
	if back > longestWay {
		return fmt.Sprintf("By the usual initial TTLs the answer has passed more routers than any way has, the probe %d.",
			there)
	}
	return fmt.Sprintf("By the usual initial TTLs the answer has passed %d routers, the probe %d: no way back is that "+
		"much longer.", back, there)
}

// agreeOnBack reports whether answers that begin with different TTLs have come equally far: then none of them begins
// with an unusual one.
func (f *facts) agreeOnBack() bool {
	return slices.ContainsFunc(f.others(), func(w witness) bool {
		return w.answer != nil && w.back() >= 0 && w.back() == f.back() &&
			w.answer.Reply.IP.TTL != f.answer.Reply.IP.TTL
	})
}

// gatewayEnds reports whether something as near as a local gateway answers in the target's name.
func (f *facts) gatewayEnds() bool {
	return f.stranger != nil && f.distance() <= gatewayDistance && f.product() != ""
}

// product names the software whose addresses this host or the first router has; "" where they are nobody's.
func (f *facts) product() string {
	addrs := []netip.Addr{f.options.Source.Addr(), f.router(1)}
	for _, p := range []struct{ prefix, name string }{
		{"192.168.65.0/24", "Docker Desktop (vpnkit)"},
		{"192.168.127.0/24", "Podman machine or Colima (gvisor-tap-vsock)"},
		{"10.0.2.0/24", "QEMU or VirtualBox (user-mode networking)"},
		{"172.17.0.0/16", "Docker"},
	} {
		prefix := netip.MustParsePrefix(p.prefix)
		for _, a := range addrs {
			if a.IsValid() && prefix.Contains(a) {
				return p.name
			}
		}
	}
	return ""
}

// isPublic tells an address of the Internet from one of a private network.
func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}
