//go:build !linux

package send

import (
	"os"
	"syscall"
)

func dieWithParent(*syscall.SysProcAttr) {}

var sleepSignal, wakeSignal os.Signal // there are none
