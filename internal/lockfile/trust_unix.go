//go:build unix

package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OpenFlags keep a link that somebody else has put there from leading to another file, and a pipe
// from blocking.
const OpenFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// checkOwner fails if path, which need not exist, belongs to a user who is neither we, nor root,
// nor the owner of the directory. The last one may replace the file anyway; and where a file system
// maps users, as NFS does, all files have the owner of the directory.
func checkOwner(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	uid := ownerOf(fi)
	if uid == uint32(os.Geteuid()) || uid == 0 {
		return nil
	}
	if dir, err := os.Stat(filepath.Dir(path)); err == nil && ownerOf(dir) == uid {
		return nil
	}
	what := "file"
	if fi.Mode()&fs.ModeSymlink != 0 {
		what = "link"
	}
	return fmt.Errorf("%w: the %s %s belongs to user %d", ErrStranger, what, path, uid)
}

func ownerOf(fi fs.FileInfo) uint32 { return fi.Sys().(*syscall.Stat_t).Uid }

// onlyName reports whether a file has no other names: one that has may be somebody's file that was
// linked to here.
func onlyName(fi fs.FileInfo) bool { return fi.Sys().(*syscall.Stat_t).Nlink == 1 }
