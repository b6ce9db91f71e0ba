package wire

import (
	"slices"

	"golang.org/x/sys/unix"
)

const auditMachine = unix.AUDIT_ARCH_X86_64

// machineCalls are calls that newer machines have only in another form.
var machineCalls = slices.Concat(wordCalls, []uint32{unix.SYS_POLL, unix.SYS_EPOLL_WAIT})

func machineConditionalCalls() []conditional { return nil }
