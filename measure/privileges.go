package measure

import "go.example/tcptraceroute/wire"

// Identity is whose program this is.
type Identity = wire.Identity

// Caller returns who has started the program, and with which privileges.
func Caller() Identity { return wire.Caller() }

// Drop gives every privilege up, in all threads and for good, when all Tracers are open. See [wire.Drop].
func Drop(readable ...func() []string) (missing []error, err error) { return wire.Drop(readable...) }

// ErrNotDropped is in the chain of what privileges can't be given up by: see [wire.Drop].
var ErrNotDropped = wire.ErrNotDropped

// Replacement is a file that is written whole or not at all.
type Replacement = wire.Replacement

// Replace opens a file to be replaced, see [wire.Replace].
func Replace(name string) (*Replacement, error) { return wire.Replace(name) }

// DropKeeping is [Drop], but some files can still be replaced. See [wire.DropKeeping].
func DropKeeping(replaced func() []*Replacement, readable ...func() []string) (missing []error, err error) {
	return wire.DropKeeping(replaced, readable...)
}

// Limits fails if the system's limits leave the program no room to begin.
func Limits() error { return wire.Limits() }

// SettingFiles returns the files that tell what this host's own SYNs look like. They are read after [Drop] if a request
// wants such SYNs.
func SettingFiles() []string { return wire.StackFiles() }
