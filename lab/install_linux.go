package lab

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Install copies a program to where every user may run it, until t ends, and returns the copy's path. It belongs to
// root with the given mode (0o755, 0o4755 for setuid) and file capabilities (unix.CAP_NET_RAW), permitted and not
// effective, as the packages give them.
func Install(t testing.TB, program string, mode os.FileMode, capabilities ...int) string {
	t.Helper()
	dir, err := publicDir()
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, filepath.Base(program))
	if err := install(program, path, mode, capabilities); err != nil {
		t.Fatalf("lab: installing %s: %v", program, err)
	}
	return path
}

// WriteProgram writes a program, or a script, that may be run at once: a process that another test starts meanwhile
// would hold the file open for writing for a moment, in which nobody can run it (ETXTBSY).
func WriteProgram(path string, program []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, program, mode)
}

func install(from, to string, mode os.FileMode, capabilities []int) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := WriteProgram(to, program, 0o755); err != nil {
		return err
	}
	if err := unix.Chmod(to, uint32(mode)); err != nil { // os.Chmod has other bits for setuid
		return os.NewSyscallError("chmod", err)
	}
	if len(capabilities) == 0 {
		return nil
	}
	var set uint64
	for _, c := range capabilities {
		set |= 1 << c
	}
	// struct vfs_cap_data of linux/capability.h: permitted and inheritable, in two halves.
	const revision2 = 0x02000000
	attr := binary.LittleEndian.AppendUint32(nil, revision2)
	for range 2 {
		attr = binary.LittleEndian.AppendUint32(attr, uint32(set))
		attr = binary.LittleEndian.AppendUint32(attr, 0)
		set >>= 32
	}
	if err := unix.Setxattr(to, "security.capability", attr, 0); err != nil {
		return fmt.Errorf("file capabilities: %w", err)
	}
	return nil
}
