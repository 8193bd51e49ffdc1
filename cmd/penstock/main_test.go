package main

import (
	"context"
	"flag"
	"io"
	"os"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"penstock": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, unstamped{os.Stderr})) },
	})
}

// unstamped leaves out the times in a log, so that scripts can compare it. With STAMPED set it does not.
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

// TestScripts runs penstock as its users do. The commands that the scripts use
// are in script_test.go, the server that they send to is in server_test.go.
func TestScripts(t *testing.T) {
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
