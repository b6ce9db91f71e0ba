//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package terminal

import (
	"os"
	"syscall"
)

// widthOf is how wide the terminal is that f is; 0 where it is none, or nobody knows.
func widthOf(*os.File) int { return 0 }

// Writable reports whether a write to f would not wait; true where nobody knows.
func Writable(*os.File) bool { return true }

// dieBy ends the process.
func dieBy(syscall.Signal) { os.Exit(2) }

// User returns the signals that are the user's to give a meaning; nil where there are none.
func User() (first, second os.Signal) { return nil, nil }
