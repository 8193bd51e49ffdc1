//go:build !linux

package nginxtest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
