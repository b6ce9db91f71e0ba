package tun_test

import (
	"fmt"
	"testing"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/sim/tun"
)

// In a test, any program traces through a simulated network.
func Example() {
	test := func(t *testing.T) {
		scenario, err := sim.Parse("router 10.0.0.1 delay=1ms\ntarget 203.0.113.9 delay=5ms")
		if err != nil {
			t.Fatal(err)
		}
		scenario.NoHostRST = true // the host's kernel resets
		model, err := sim.New(scenario)
		if err != nil {
			t.Fatal(err)
		}
		host := lab.New(t).Host(t, "host")
		host.Add(t, "addr", "192.0.2.1/32 dev tun0")
		front, err := tun.Start(host.TUN(t, "tun0"), model, tun.Options{})
		if err != nil {
			t.Fatal(err)
		}
		host.Add(t, "route", "default dev tun0")
		out, err := host.Command(t.Context(), "traceroute", "-T", "203.0.113.9").Output()
		fmt.Println(string(out), err)
		if _, err := front.Stop(); err != nil {
			t.Error(err)
		}
	}
	_ = test // is called by go test
}
