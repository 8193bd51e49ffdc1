//go:build unix

package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Unprivileged has a command that root would start run as nobody, who gets the
// directory. For others it does nothing. It is called before [Run].
func Unprivileged(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return fmt.Errorf("servertest: %w", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return nil
}
