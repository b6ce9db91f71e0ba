//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package terminal

// Jobs is the part in the shell's job control of a program that has the terminal in raw mode: there is none.
type Jobs struct{}

func WatchJobs(func()) *Jobs { return new(Jobs) }
func (*Jobs) End()           {}
func (*Jobs) Stop()          {}
