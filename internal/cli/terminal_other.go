//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cli

import (
	"os"
	"syscall"
)

// terminalWidth is how wide the terminal is that f is; 0 where it is none, or nobody knows.
func terminalWidth(*os.File) int { return 0 }

// writable reports whether a write to f would not wait; true where nobody knows.
func writable(*os.File) bool { return true }

// dieBy ends the process.
func dieBy(syscall.Signal) { os.Exit(exitLocal) }
