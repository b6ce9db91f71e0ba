package wire

import (
	"bytes"
	"os"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// A packet socket that the kernel is left to close is closed.
func TestPacketSocketsGo(t *testing.T) {
	h := lab.New(t).Host(t, "host")
	sockets := func() (n int) {
		h.Do(t, func() {
			b, err := os.ReadFile("/proc/thread-self/net/packet")
			if err != nil {
				t.Fatal(err)
			}
			n = bytes.Count(b, []byte("\n")) - 1 // the title
		})
		return n
	}
	for range 20 {
		open(t, h, Options{}, func(c *Conn) {
			if sockets() == 0 {
				t.Error("no packet socket")
			}
		})
	}
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(10 * time.Millisecond); sockets() > 0; <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("%d packet sockets are left", sockets())
		}
	}
}
