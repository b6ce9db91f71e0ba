//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cli

import "os"

// terminalWidth is how wide the terminal is that f is; 0 where it is none, or nobody knows.
func terminalWidth(*os.File) int { return 0 }
