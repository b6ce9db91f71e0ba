package wire

import "golang.org/x/sys/unix"

const auditMachine = unix.AUDIT_ARCH_AARCH64

var machineCalls = wordCalls

func machineConditionalCalls() []conditional { return nil }
