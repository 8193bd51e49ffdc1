//go:build !unix

package filebody

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
