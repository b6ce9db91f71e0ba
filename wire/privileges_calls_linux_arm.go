package wire

import "golang.org/x/sys/unix"

const auditMachine = unix.AUDIT_ARCH_ARM

var machineCalls = wordCalls

func machineConditionalCalls() []conditional {
	return []conditional{{unix.SYS_FCNTL64, descriptorFlags}}
}
