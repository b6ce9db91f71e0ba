package record_test

import (
	"fmt"
	"os"

	"go.example/tcptraceroute/record"
)

// A saved trace, read back: who answered at each hop.
func ExampleReadJSON() {
	f, err := os.Open("testdata/saved/first-open.json")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	saved, err := record.ReadJSON(f)
	if err != nil {
		panic(err)
	}
	for e := range saved.Fold().Entries() {
		for _, p := range record.Responders(e.Probes) {
			fmt.Println(e.TTL, p.Addr)
		}
	}
	// Output:
	// 1 198.18.1.2
	// 3 198.18.3.2
	// 4 198.18.4.2
	// 5 198.18.5.2
}
