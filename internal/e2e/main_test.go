package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var strict = flag.Bool("goals", false, "with -large: fail where a goal is missed")

var large = flag.Bool("large", false,
	"send as much as it takes to judge the pace, which takes some minutes")

// size picks how much of something there is.
func size(small, big int) int {
	if *large {
		return big
	}
	return small
}

// together has a test run beside others: one that mostly waits, and in a small run all of them.
// What is left measures speed, and has the machine to itself.
func together(t *testing.T, waits bool) {
	if waits || !*large {
		t.Parallel()
	}
}

// stall is how long the machine may keep a process waiting before a test counts it as penstock's
// fault.
func stall() time.Duration {
	if *large {
		return 100 * time.Millisecond
	}
	return 250 * time.Millisecond
}

var binDir string

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests that wait need no processor of their own.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "e2e"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binDir)
		status := m.Run()
		if *large {
			printGoals()
		}
		return status
	}())
}

// penstock builds the command, once.
var penstock = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binDir, "penstock.exe")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin,
		"github.com/penstock/penstock/cmd/penstock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})
