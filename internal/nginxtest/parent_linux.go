package nginxtest

import "syscall"

// dieWithParent makes the kernel end the server when this program ends, however it ends.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
