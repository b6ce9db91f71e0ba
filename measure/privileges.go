package measure

import "go.example/tcptraceroute/wire"

// Identity is whose program this is.
type Identity = wire.Identity

// Caller returns who has started the program, and with which privileges.
func Caller() Identity { return wire.Caller() }

// Drop gives every privilege up, in all threads and for good, when all Tracers are open. See [wire.Drop].
func Drop(readable ...func() []string) (missing []error, err error) { return wire.Drop(readable...) }

// Limits fails if the system's limits leave the program no room to begin.
func Limits() error { return wire.Limits() }

// SettingFiles returns the files that tell what this host's own SYNs look like. They are read after [Drop] if a request
// wants such SYNs.
func SettingFiles() []string { return wire.StackFiles() }
