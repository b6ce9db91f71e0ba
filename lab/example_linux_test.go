package lab_test

import (
	"testing"

	"go.example/tcptraceroute/lab"
)

// In a test, a program runs in a network of real routers. The package that holds the test needs a TestMain that calls
// lab.Main.
func Example() {
	test := func(t *testing.T) {
		c := lab.Chain(t, lab.ChainOptions{Hops: 3})
		c.Target.Listen(t, 80)
		out, err := c.Source.Command(t.Context(), "traceroute", "-n", c.Target.V4().String()).Output()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	_ = test // is called by go test
}
