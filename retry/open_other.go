//go:build !unix

package retry

import "os"

func openFile(path string) (*os.File, error) { return os.Open(path) }
