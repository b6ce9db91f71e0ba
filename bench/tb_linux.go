package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// bed is the testing.TB that package lab asks for, in a program that is no test: what a test would fail with ends the
// benchmark with an error, and what lasts as long as a test lasts as long as the function given to withBed.
type bed struct {
	testing.TB // nil: lab uses only what is below
	mu         sync.Mutex
	cleanups   []func()
	errs       []error
}

// withBed calls f with a bed of its own, and undoes what was made on it.
func withBed(f func(b *bed) error) error {
	b := new(bed)
	done := make(chan struct{})
	var err error
	go func() { // its own goroutine, which Fatalf can end
		defer close(done)
		defer b.cleanUp()
		err = f(b)
	}()
	<-done
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.errs) > 0 {
		return b.errs[0] // the others came of it
	}
	return err
}

func (b *bed) cleanUp() {
	for {
		b.mu.Lock()
		n := len(b.cleanups)
		if n == 0 {
			b.mu.Unlock()
			return
		}
		f := b.cleanups[n-1]
		b.cleanups = slices.Delete(b.cleanups, n-1, n)
		b.mu.Unlock()
		f()
	}
}

func (b *bed) Helper()             {}
func (b *bed) Name() string        { return "bench" }
func (b *bed) Logf(string, ...any) {}

func (b *bed) Cleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *bed) Errorf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *bed) Fatalf(format string, args ...any) {
	b.Errorf(format, args...)
	runtime.Goexit()
}

func (b *bed) Skip(args ...any) { b.Fatalf("%s", fmt.Sprint(args...)) }
