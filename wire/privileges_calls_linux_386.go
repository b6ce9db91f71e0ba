package wire

import (
	"slices"

	"golang.org/x/sys/unix"
)

const auditMachine = unix.AUDIT_ARCH_I386

// machineCalls has the call by which the Go runtime gives each new thread its storage.
var machineCalls = slices.Concat(wordCalls, []uint32{unix.SYS_SET_THREAD_AREA})

// Calls of socketcall(2), from linux/net.h.
const (
	socketcallSocket = 1 + iota
	socketcallBind
	socketcallConnect
	socketcallListen
	socketcallAccept
	socketcallGetsockname
	socketcallGetpeername
	socketcallSocketpair
	socketcallSend
	socketcallRecv
	socketcallSendto
	socketcallRecvfrom
	socketcallShutdown
	socketcallSetsockopt
	socketcallGetsockopt
	socketcallSendmsg
	socketcallRecvmsg
)

// machineConditionalCalls has the one call by which Go's packages make all calls on sockets here. A filter can't read
// what its second argument points to, and so can't keep apart the kinds of sockets: those that need a privilege are
// out of reach all the same, but a socket to a program on this host (AF_UNIX) can be had.
func machineConditionalCalls() []conditional {
	return []conditional{
		{unix.SYS_FCNTL64, descriptorFlags},
		{unix.SYS_SOCKETCALL, [][]argument{{{0, ^uint32(0), []uint32{
			socketcallSendmsg, socketcallRecvmsg, socketcallSendto, socketcallRecvfrom, socketcallSocket, socketcallBind,
			socketcallConnect, socketcallShutdown, socketcallGetsockname, socketcallGetpeername, socketcallSocketpair,
			socketcallGetsockopt, socketcallSetsockopt,
		}}}}},
	}
}
