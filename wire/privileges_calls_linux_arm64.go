package wire

import "golang.org/x/sys/unix"

const auditMachine = unix.AUDIT_ARCH_AARCH64

// machineCalls are calls that only this machine has.
var machineCalls = [...]uint32{}
