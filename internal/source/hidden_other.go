//go:build !windows

package source

import "io/fs"

func hidden(fi fs.FileInfo) bool { return fi.Name()[0] == '.' }
