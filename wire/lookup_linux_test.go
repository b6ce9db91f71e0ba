package wire

import (
	"net/netip"
	"testing"
)

// TestRouteAllocations: a list asks for some eight routes for each of its targets.
func TestRouteAllocations(t *testing.T) {
	r, err := newRouter(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	here := netip.MustParseAddrPort("127.0.0.1:80")
	n := testing.AllocsPerRun(100, func() {
		if h, err := r.lookup(flow{dst: here, src: here}, true); err != nil || !h.local {
			t.Fatalf("%+v, %v", h, err)
		}
	})
	if n > 15 {
		t.Errorf("a route takes %v allocations", n)
	}
}
