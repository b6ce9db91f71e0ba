package cli

import (
	"context"
	"net/netip"
	"testing"

	"go.example/tcptraceroute/names"
)

// A panic still ends the program, and the terminal is whole before that: in this goroutine, and in those of name look-ups.
func TestGuard(t *testing.T) {
	r := &rescue{}
	whole := 0
	done := r.changes(func() { whole++ })
	panics := func() (v any) {
		defer func() { v = recover() }()
		defer r.guard()
		panic("a mistake")
	}
	if v := panics(); v != "a mistake" || whole != 1 {
		t.Errorf("panic %v, the terminal was made whole %d times", v, whole)
	}

	caught := make(chan any)
	n := names.New(names.Options{
		Policy:     names.All,
		LookupAddr: func(context.Context, string) ([]string, error) { panic("another mistake") },
		Guard:      func() { caught <- recover() },
	})
	n.Start(netip.MustParseAddr("192.0.2.1"))
	if v := <-caught; v != "another mistake" {
		t.Errorf("the look-up's panic is %v", v)
	}
	n.Close()

	done()
	func() {
		defer r.guard()
	}()
	if panics(); whole != 1 {
		t.Error("a terminal that is whole is changed")
	}
	r = nil
	if v := panics(); v != "a mistake" {
		t.Errorf("panic %v of a program that is part of another", v)
	}
	r.begin()
	r.writes(nil)
	r.changes(nil)()
}
