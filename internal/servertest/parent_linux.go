package servertest

import "syscall"

// dieWithParent makes the kernel end the server when this program ends, however it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
