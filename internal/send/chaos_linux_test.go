package send

import (
	"os"
	"syscall"
)

// dieWithParent makes the kernel end a child when this program ends, however it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// The signals that put a process to sleep, and wake it.
var sleepSignal, wakeSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
