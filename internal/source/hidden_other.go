//go:build !windows

package source

import "io/fs"

func hidden(e fs.DirEntry) bool { return e.Name()[0] == '.' }
