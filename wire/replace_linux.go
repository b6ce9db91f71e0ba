package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

// replaceable reports whether files in a directory can be replaced without a privilege. Only for root that isn't
// certain once they can be made there.
func replaceable(dir *os.File) bool {
	var s unix.Stat_t
	if unix.Geteuid() != 0 || unix.Getuid() != 0 || unix.Fstat(int(dir.Fd()), &s) != nil {
		return true
	}
	const group, others = 0o020, 0o002
	return s.Uid == 0 || s.Gid == 0 && s.Mode&group != 0 || s.Mode&others != 0 && s.Mode&unix.S_ISVTX == 0
}

// rename gives a file in a directory another name.
func rename(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	return unix.Renameat2(fd, from, fd, to, 0)
}

func unlink(dir *os.File, name string) error { return unix.Unlinkat(int(dir.Fd()), name, 0) }

// replaceAccess is what Landlock has to allow in a directory whose files are replaced.
const replaceAccess = unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE

// directories are those of files to be replaced.
func directories(all []*Replacement) (fds []int) {
	for _, r := range all {
		if r.dir != nil {
			fds = append(fds, int(r.dir.Fd()))
		}
	}
	return fds
}
