package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock/penstock/internal/memdir"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	// Scripts mostly wait, and need no processor of their own.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(memdir.For(m), map[string]func(){
		"penstock": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout,
				unstamped{os.Stderr}))
		},
	})
}

// unstamped leaves out the times in a log, so that scripts can compare it. With STAMPED set it does
// not.
type unstamped struct{ w io.Writer }

var stamps = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)

func (u unstamped) Write(p []byte) (int, error) {
	text := p
	if os.Getenv("STAMPED") == "" {
		text = stamps.ReplaceAll(p, nil)
	}
	if _, err := u.w.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestScripts runs penstock as its users do. The commands that the scripts use are in
// script_test.go, the server that they send to is in server_test.go.
func TestScripts(t *testing.T) {
	// Programs inherit which signals are ignored, and those of the scripts are not to depend on
	// whether the tests run under nohup or in the background. A signal that the tests handle
	// themselves is not ignored in the programs that they start.
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds:                commands,
		Condition: func(name string) (bool, error) {
			return name == "root" && os.Getuid() == 0, nil
		},
	})
}
