//go:build linux || darwin || freebsd || netbsd || openbsd

package options

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// notOfUser says why a file can't be trusted to be the user's own; "": it can.
func notOfUser(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	user := os.Geteuid()
	switch {
	case !ok:
		return "has no owner"
	case stat.Uid != 0 && int(stat.Uid) != user:
		return fmt.Sprintf("belongs to user %d, and the program runs as user %d", stat.Uid, user)
	case user == 0 && info.Mode().Perm()&0o022 != 0:
		return "can be written by others than root"
	}
	return ""
}
