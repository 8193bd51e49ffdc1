package source

import (
	"io/fs"
	"syscall"
)

// hidden goes by the name as elsewhere, and by the attribute that desktop.ini, Thumbs.db and the
// like carry.
func hidden(fi fs.FileInfo) bool {
	if fi.Name()[0] == '.' {
		return true
	}
	data, ok := fi.Sys().(*syscall.Win32FileAttributeData)
	return ok && data.FileAttributes&syscall.FILE_ATTRIBUTE_HIDDEN != 0
}
