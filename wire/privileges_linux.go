package wire

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atSecure is AT_SECURE of getauxval(3).
const atSecure = 23

// Caller tells who started the program. It reads nothing but what the kernel keeps about the process.
func Caller() Identity {
	id := Identity{
		RealUID: unix.Getuid(), EffectiveUID: unix.Geteuid(),
		RealGID: unix.Getgid(), EffectiveGID: unix.Getegid(),
	}
	if aux, err := unix.Auxv(); err == nil {
		for _, a := range aux {
			id.Elevated = id.Elevated || a[0] == atSecure && a[1] != 0
		}
	}
	// Without an answer there is no capability to speak of.
	if caps, err := capabilities(); err == nil {
		id.NetRaw = caps[0].Permitted&(1<<unix.CAP_NET_RAW) != 0
		id.NetAdmin = caps[0].Permitted&(1<<unix.CAP_NET_ADMIN) != 0
		id.AnyFile = caps[0].Permitted&(1<<unix.CAP_DAC_OVERRIDE|1<<unix.CAP_DAC_READ_SEARCH) != 0
	}
	return id
}

// openingCapabilities are what [Open] can make use of: raw and packet sockets, a mark before Linux 5.17, a low source
// port.
const openingCapabilities = 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE

// raise makes those effective that are permitted. A program file should have its capability permitted and no more
// (cap_net_raw+p): where the file makes it effective too and the bounding set lacks it, as in a container without
// capabilities, execve(2) refuses to start the program at all.
func raise() error {
	caps, err := capabilities()
	if err != nil {
		return opError("capget", nil, err)
	}
	missing := caps[0].Permitted & openingCapabilities &^ caps[0].Effective
	if missing == 0 {
		return nil
	}
	caps[0].Effective |= missing
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&caps)), 0)
	return allThreadsError("capset", errno)
}

// Drop gives up every privilege for good, in all threads. It is to be called once, when everything that needs a
// privilege, and every file to be written, is open, and before anything from the network is parsed. Afterwards
//
//   - all user and group ids are the caller's real ones, supplementary groups are gone where the kernel lets go of them
//     (those left are the caller's own), and no capability is permitted, effective, inheritable or ambient;
//   - no execve(2) can give any of it back (PR_SET_NO_NEW_PRIVS), and no process of the caller's can take the open
//     sockets out of this one (PR_SET_DUMPABLE). The capability bounding set, where it could be emptied, is left as
//     it is: it bounds only what execve gives, and to empty it stops all threads 41 times, for 4 ms, or 100 ms on a
//     busy machine;
//   - the only files that can be opened are those that name look-ups need and those handed in, for reading
//     (Landlock): the files of a caller who is root are closed too. readable finds the latter, with the caller's
//     rights already; what isn't there, or not for the caller, stays closed;
//   - the only system calls left are those of the Go runtime, of name look-ups, and of talking on sockets and open
//     files (seccomp). Others fail as not implemented, and with arguments that aren't allowed as not permitted;
//     nothing kills the process. New sockets may be TCP, UDP and ICMP datagram sockets, and netlink for routes and
//     interfaces.
//
// An error means that the process may still hold privileges that its caller lacks ([Identity.Elevated] and
// [Identity.SetID] tell who does): it must exit at once. The chain holds [ErrNotDropped]. A caller who has them himself
// gains nothing by a process that keeps them. There what a sandbox refuses is listed in missing, with ErrNotDropped in
// its chain, and the rest is done all the same. What only this kernel or container doesn't have (Landlock, seccomp) is
// listed in missing too.
//
// Drop needs a build without cgo: with it Go can't reach all threads, and Drop fails.
func Drop(readable ...func() []string) (missing []error, err error) {
	return DropKeeping(func() []*Replacement { return nil }, readable...)
}

// DropKeeping is [Drop], but some files can still be replaced. replaced finds them, after readable. In their
// directories files can be given other names and be removed (Landlock), and only relative to the open directory
// (seccomp).
func DropKeeping(replaced func() []*Replacement, readable ...func() []string) (missing []error, err error) {
	caller := Caller()
	for _, step := range []func(uid, gid int) error{dropIDs, dropCapabilities, shutDoors, checkDropped} {
		err := step(caller.RealUID, caller.RealGID)
		if err == nil {
			continue
		}
		err = fmt.Errorf("%w: %w", ErrNotDropped, err)
		if caller.exceedsCaller() || errors.Is(err, errCgo) {
			return nil, err
		}
		missing = append(missing, err)
	}
	var files []string
	for _, find := range readable {
		files = append(files, find()...)
	}
	// From here on it is about what a bug in us can be used for, no longer about privileges.
	dirs := directories(replaced())
	if err := confineFiles(files, dirs); err != nil {
		missing = append(missing, fmt.Errorf("landlock: %w", err))
	}
	if err := confineCalls(dirs); err != nil {
		missing = append(missing, fmt.Errorf("seccomp: %w", err))
	}
	return missing, nil
}

// dropIDs makes all ids the caller's. Clearing the capabilities of a set-user-ID program alone would leave user id 0,
// which owns root's files. Groups come first: to give them up takes a privilege. What is right already isn't set again,
// since each call stops all threads.
func dropIDs(uid, gid int) error {
	if groups, err := unix.Getgroups(); err != nil || len(groups) > 0 {
		// These are the caller's own. Without CAP_SETGID, in a user namespace, and where the call is refused, they stay.
		syscall.Setgroups(nil)
	}
	if r, e, s := unix.Getresgid(); r != gid || e != gid || s != gid {
		if err := syscall.Setresgid(gid, gid, gid); err != nil {
			return opError("setresgid", gid, err)
		}
	}
	if r, e, s := unix.Getresuid(); r != uid || e != uid || s != uid {
		if err := syscall.Setresuid(uid, uid, uid); err != nil {
			return opError("setresuid", uid, err)
		}
	}
	return nil
}

// dropCapabilities empties the permitted, effective and inheritable sets, and with them the ambient one, which is never
// more than the first and the last have in common (capabilities(7)).
func dropCapabilities(int, int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	return allThreadsError("capset", errno)
}

// shutDoors closes the ways back that are not a system call away: programs with privileges to be executed, and
// debuggers of the same user, who could take over the sockets that are open here.
func shutDoors(int, int) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	if err := allThreadsError("prctl PR_SET_NO_NEW_PRIVS", errno); err != nil {
		return err
	}
	return opError("prctl PR_SET_DUMPABLE", nil, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// checkDropped trusts none of the calls before. One thread stands for all: they were changed together, and Go ends the
// process where the threads disagree.
func checkDropped(uid, gid int) error {
	if r, e, s := unix.Getresuid(); r != uid || e != uid || s != uid {
		return fmt.Errorf("user ids are %d, %d, %d instead of %d", r, e, s, uid)
	}
	if r, e, s := unix.Getresgid(); r != gid || e != gid || s != gid {
		return fmt.Errorf("group ids are %d, %d, %d instead of %d", r, e, s, gid)
	}
	caps, err := capabilities()
	if err != nil {
		return opError("capget", nil, err)
	}
	if caps != [2]unix.CapUserData{} {
		return fmt.Errorf("capabilities are left: %x", caps)
	}
	return nil
}

// capabilities are those of the calling thread, lower and upper half.
func capabilities() (caps [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &caps[0])
	return caps, err
}

// errCgo says that the program was built in a way in which it can never give up a privilege.
var errCgo = errors.New("can't reach all threads: the program must be built with CGO_ENABLED=0")

// allThreadsError says what AllThreadsSyscall's error number means.
func allThreadsError(op string, errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return opError(op, nil, errCgo)
	}
	return opError(op, "in all threads", errno)
}

// lookupFiles is what Go's resolver reads, when it likes: resolv.conf(5) again whenever its time changes. Symbolic
// links are followed. systemd-resolved and resolvconf replace their files, so their directories are open as a whole
// (a replaced file is another one to Landlock; an /etc/resolv.conf that is a file of its own and replaced can no
// longer be read).
var lookupFiles = [...]string{
	"/etc/resolv.conf",
	"/etc/nsswitch.conf",
	"/etc/hosts",
	"/etc/services",
	"/etc/protocols",
	"/run/systemd/resolve",
	"/run/resolvconf",
}

// confineFiles keeps every file closed but lookupFiles and these, and those in open directories where files are
// replaced, by Landlock (landlock(7)).
func confineFiles(files []string, dirs []int) error {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return opError("landlock_create_ruleset", nil, errno)
	}
	// A program says which accesses it denies, and the kernel refuses those that it doesn't know.
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockAccess(int(abi))}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if errno != 0 {
		return opError("landlock_create_ruleset", nil, errno)
	}
	defer unix.Close(int(ruleset))
	allow := func(fd int, access uint64, what any) error {
		rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset,
			unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		if errno != 0 {
			return opError("landlock_add_rule", what, errno)
		}
		return nil
	}
	for _, path := range slices.Concat(lookupFiles[:], files) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // not there, or not for this caller: nothing to be allowed
		}
		err = allow(fd, unix.LANDLOCK_ACCESS_FS_READ_FILE, path)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := allow(dir, replaceAccess, "a directory"); err != nil {
			return err
		}
	}
	if abi >= 8 { // the kernel reaches all threads itself
		_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, unix.LANDLOCK_RESTRICT_SELF_TSYNC, 0)
	} else {
		_, _, errno = syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0)
	}
	return allThreadsError("landlock_restrict_self", errno)
}

// landlockAccess is every access to files that a kernel with this version of Landlock can deny (landlock(7)).
func landlockAccess(abi int) uint64 {
	switch {
	case abi >= 9:
		return unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX<<1 - 1
	case abi >= 5:
		return unix.LANDLOCK_ACCESS_FS_IOCTL_DEV<<1 - 1
	case abi >= 3:
		return unix.LANDLOCK_ACCESS_FS_TRUNCATE<<1 - 1
	case abi == 2:
		return unix.LANDLOCK_ACCESS_FS_REFER<<1 - 1
	}
	return unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
}
