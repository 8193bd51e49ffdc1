//go:build !unix

package servertest

import "os/exec"

// Unprivileged does nothing: there is no root.
func Unprivileged(*exec.Cmd, string) error { return nil }
