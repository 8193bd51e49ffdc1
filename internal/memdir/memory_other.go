//go:build !linux

package memdir

func memory() string { return "" }
