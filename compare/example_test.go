package compare_test

import (
	"log"
	"os"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/record"
)

// What has changed since a trace that was saved with --json.
func ExampleCompare() {
	read := func(name string) *record.Trace {
		f, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		t, err := record.ReadJSON(f)
		if err != nil {
			log.Fatal(err)
		}
		return t
	}
	r := compare.Compare(read("yesterday.json"), read("today.json"))
	if err := r.WriteText(os.Stdout); err != nil {
		log.Fatal(err)
	}
	if r.Changed() {
		os.Exit(3)
	}
}
