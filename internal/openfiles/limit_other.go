//go:build !unix

package openfiles

// Limit returns how many files may be open at once; 0 if there is no such limit.
func Limit() int { return 0 }

// TooMany reports whether an error says that nothing more can be opened.
func TooMany(error) bool { return false }
