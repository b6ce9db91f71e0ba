package measure_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/wire"
)

// Why a connection fails, as the command says it with --explain, and the record of it in a file.
func ExampleTracer_Trace() {
	t, err := measure.Open(measure.Options{Wire: wire.Options{Attempts: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made, err := t.Trace(ctx, measure.Request{Host: "www.example.com", Port: 443, Explain: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range made.Findings {
		fmt.Printf("%s [%s, %v]\n", f.Title, f.Code, f.Confidence)
	}
	if err := made.WriteJSON(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
