//go:build !windows

package source

import "io/fs"

func hasHiddenAttribute(fs.FileInfo) bool { return false }
