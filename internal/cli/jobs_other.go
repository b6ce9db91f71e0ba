//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cli

// jobs is the part in the shell's job control of a program that has the terminal in raw mode: there is none.
type jobs struct{}

func watchJobs(func()) *jobs { return new(jobs) }
func (*jobs) end()           {}
func (*jobs) stop()          {}
