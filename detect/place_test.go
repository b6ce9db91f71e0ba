package detect

import (
	"fmt"
	"net/netip"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// A place of loss takes enough losses to bear it.
func TestPlaceOfLoss(t *testing.T) {
	f := &facts{path: &path{}}
	for ttl := 1; ttl <= 5; ttl++ {
		f.hops = append(f.hops, hop{ttl: ttl, routers: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(ttl), 1})}})
	}
	for _, tt := range []struct {
		name       string
		lost, sent []int // of hops 1 and up; the last is the target's
		want       string
	}{
		{"2 of 20 against 6 of 20 name no place", []int{2, 2, 2, 2, 6}, []int{20, 20, 20, 20, 20}, "possible 0-5"},
		{"2 of 20 and then 6 of 20 neither", []int{0, 2, 2, 6, 6}, []int{20, 20, 20, 20, 20}, "likely 1-4"},
		{"none, and then much", []int{0, 0, 9, 8, 9}, []int{20, 20, 20, 20, 20}, "likely 2-3"},
		{"much from the beginning", []int{9, 8, 9, 8, 9}, []int{20, 20, 20, 20, 20}, "likely 0-1"},
		{"at the target alone", []int{0, 0, 0, 0, 9}, []int{20, 20, 20, 20, 20}, "possible 4-5"},
		{"the same shares of more probes do", []int{20, 20, 60, 60, 60}, []int{200, 200, 200, 200, 200}, "likely 2-3"},
		{"loss that later hops don't share", []int{0, 15, 0, 9, 9}, []int{20, 20, 20, 20, 20}, "likely 3-4"},
		{"a hop that limits its answers tells nothing", []int{0, 19, 19, 0, 6}, []int{20, 20, 20, 20, 20}, "possible 4-5"},
		{"nor in front of the others", []int{19, 6, 6, 5, 6}, []int{20, 20, 20, 20, 20}, "likely 0-2"},
		{"too little", []int{0, 0, 0, 0, 1}, []int{20, 20, 20, 20, 20}, ""},
	} {
		var hops []hopLoss
		for i := range tt.lost {
			hops = append(hops, hopLoss{i + 1, tried{tt.lost[i], tt.sent[i]}})
		}
		got := ""
		for _, x := range f.lossFinding(hops[:4], hops[4]) {
			got = fmt.Sprintf("%v %d-%d", x.Confidence, x.After, x.Before)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A silent hop has the name that another trace has for it, unless that one is known to have gone another way before.
func TestNameOfSilentHop(t *testing.T) {
	way := func(routers ...string) *path {
		p := &path{}
		for i, r := range routers {
			h := hop{ttl: i + 1}
			if r != "" {
				h.routers = []netip.Addr{netip.MustParseAddr(r)}
			}
			p.hops = append(p.hops, h)
		}
		return p
	}
	for _, tt := range []struct {
		name      string
		own       *path
		echo, ack *path
		want      string
	}{
		{"by the same way", way("10.0.1.1", ""), way("10.0.1.1", "10.0.2.1"), nil, "hop 2 (10.0.2.1)"},
		{"by another way", way("10.0.1.1", ""), way("10.0.1.2", "10.0.2.1"), nil, "hop 2"},
		{"the way isn't known", way("", ""), way("", "10.0.2.1"), nil, "hop 2 (10.0.2.1)"},
		{"the ways have met again", way("10.0.1.1", "10.0.2.1", ""), way("10.0.1.2", "10.0.2.1", "10.0.3.1"), nil,
			"hop 3 (10.0.3.1)"},
		{"one with the same ports first", way("", ""), way("", "10.0.2.2"), way("", "10.0.2.1"), "hop 2 (10.0.2.1)"},
	} {
		f := &facts{path: tt.own, echo: tt.echo, ack: tt.ack}
		if got := f.hopName(len(tt.own.hops)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	// The target is that far by one of the ways, and another flow has met a router there.
	echo := way("10.0.1.1", "")
	echo.answer = &trace.Result{Probe: packet.Probe{TTL: 2}, Reply: &packet.Reply{}}
	f := &facts{path: way("10.0.1.1", ""), flow: way("10.0.1.2", "10.0.2.2"), echo: echo}
	if got := f.hopName(2); got != "hop 2" {
		t.Errorf("where ways differ: %q", got)
	}
	f.flow = way("10.0.1.2", "")
	if got := f.hopName(2); got != "hop 2 (the target)" {
		t.Errorf("the target's: %q", got)
	}
}
