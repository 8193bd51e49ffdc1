//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	commands["unread"] = unread
	commands["read"] = readPipe
}

// unread is start, with a pipe that is full and that nobody reads as standard output or error, or
// as both.
func unread(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1 && strings.Contains("stdout stderr both", args[0]),
		"unread stdout|stderr|both PROGRAM [ARG...]")
	r, w, err := os.Pipe()
	ts.Check(err)
	defer w.Close()
	raw, err := w.SyscallConn()
	ts.Check(err)
	ts.Check(raw.Write(func(fd uintptr) bool {
		for _, size := range []int{4096, 1} {
			for err = nil; err == nil; {
				_, err = syscall.Write(int(fd), bytes.Repeat([]byte("\n"), size))
			}
		}
		return true // it would block
	}))
	s := of(ts)
	s.pipe = r
	ts.Defer(func() { r.Close() })
	startWith(ts, args[1:], func(cmd *exec.Cmd) {
		if args[0] != "stderr" {
			cmd.Stdout = w
		}
		if args[0] != "stdout" {
			cmd.Stderr = w
		}
	})
}

// readPipe reads what unread has left unread, up to its end, into the file piped, or closes it
// unread.
func readPipe(ts *testscript.TestScript, neg bool, _ []string) {
	if neg {
		ts.Check(of(ts).pipe.Close())
		return
	}
	text, err := io.ReadAll(of(ts).pipe)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("piped"), bytes.TrimLeft(text, "\n"), 0o666))
}
