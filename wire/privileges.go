package wire

import "errors"

// Privileges are needed for one thing: to open the sockets. The rule of the files called privileges: before [Drop]
// nothing is read that the network wrote, no name, and no file by other rights than the caller's; after it the process
// has what its caller has and less, and there is no way back, in no thread.

// Identity is who started the program, and with what. It holds until [Drop].
type Identity struct {
	RealUID, EffectiveUID int // of the caller, and of the process; -1 where the platform has no such ids
	RealGID, EffectiveGID int

	// Elevated: the kernel gave the program privileges that its caller doesn't have (AT_SECURE in getauxval(3)): it is
	// installed set-user-ID, set-group-ID or with file capabilities, and the caller isn't root. What the caller asks for
	// is then to be judged by the caller's rights, which the kernel no longer does.
	Elevated bool

	// NetRaw and NetAdmin: the capabilities CAP_NET_RAW and CAP_NET_ADMIN are effective, or permitted, which [Open] makes
	// effective. SO_MARK needs either of them
	// (only the latter does before Linux 5.17). Inside a user namespace they may still not be good for the network
	// namespace, so that only opening a socket tells.
	NetRaw, NetAdmin bool

	// AnyFile: a capability for files that aren't the user's is permitted (CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH).
	AnyFile bool
}

// SetID reports whether the process runs with a user or group id that isn't its caller's: a set-user-ID or set-group-ID
// install, and the caller isn't the file's owner.
func (id Identity) SetID() bool {
	return id.RealUID != id.EffectiveUID || id.RealGID != id.EffectiveGID
}

// exceedsCaller reports whether the process may have privileges that its caller, who isn't root, lacks.
func (id Identity) exceedsCaller() bool { return id.RealUID != 0 && (id.Elevated || id.SetID()) }

// ErrNotDropped is in the chain of [Drop]'s error, and of what is missing for the same reason.
var ErrNotDropped = errors.New("privileges can't be given up")
