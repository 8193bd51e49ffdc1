package servers

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end the server when this program ends, however it ends.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
}

// unprivileged makes a command that root would start run as nobody, to whom it gives the directory.
// For other users it does nothing.
func unprivileged(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
	}
	return os.Chown(dir, nobody, nobody)
}
