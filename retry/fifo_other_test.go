//go:build !unix

package retry

func mkfifo(string) bool { return false }
