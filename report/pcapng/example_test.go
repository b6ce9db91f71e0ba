package pcapng_test

import (
	"bytes"
	"fmt"
	"time"

	"go.example/tcptraceroute/report/pcapng"
	"go.example/tcptraceroute/trace"
)

// A capture is written while a trace runs: the engine shows each packet to Options.Observe.
func Example() {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, "example 1.0", "eth0", "the path to 203.0.113.9, port 443")
	if err != nil {
		panic(err)
	}
	o := trace.Options{Observe: func(e trace.Event) {
		if p, ok := pcapng.Of(e); ok {
			w.Write(p)
		}
	}}
	_ = o // for trace.Run
	header := file.Len()
	if err := w.Write(pcapng.Packet{At: time.Unix(0, 0), Data: []byte{0x45}, Comment: "a probe"}); err != nil {
		panic(err)
	}
	fmt.Println(header > 0, file.Len() > header)
	// Output: true true
}
