//go:build !linux

package statedir

// FileSystem is not known here.
func FileSystem(string) string { return "" }
