package source

import (
	"io/fs"
	"syscall"
)

// hasHiddenAttribute reports whether a file has the attribute of desktop.ini, Thumbs.db and the
// like.
func hasHiddenAttribute(fi fs.FileInfo) bool {
	data, ok := fi.Sys().(*syscall.Win32FileAttributeData)
	return ok && data.FileAttributes&syscall.FILE_ATTRIBUTE_HIDDEN != 0
}
