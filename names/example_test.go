package names_test

import (
	"context"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/names"
)

// Names are looked up in the background while a trace runs, and waited for only at the end.
func ExampleResolver() {
	r := names.New(names.Options{})
	defer r.Close()
	hop := netip.MustParseAddr("192.0.2.1")
	r.Start(hop)
	// ... trace ...
	if name := r.Name(context.Background(), hop); name != "" {
		fmt.Println(name)
	}
}

// A name in any script is looked up as the DNS has it.
func ExampleASCII() {
	name, err := names.ASCII("bücher.example")
	fmt.Println(name, err)
	// Output: xn--bcher-kva.example <nil>
}
