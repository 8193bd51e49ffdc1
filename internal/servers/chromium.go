package servers

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Chromium has a browser without a window, in a profile of its own, look at a page, and returns
// what it writes. Args say what it is to do, such as --dump-dom; the last is the URL. Where there
// is no Chromium the test is skipped, or fails if PENSTOCK_REQUIRE_SERVERS is 1.
func Chromium(tb testing.TB, args ...string) []byte {
	tb.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		must(tb, unavailable("chromium", "chromium is not on the PATH"))
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{
		"--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
		"--no-sandbox", // root has none, and the page is ours
		"--disable-dev-shm-usage", "--user-data-dir=" + filepath.Join(tb.TempDir(), "profile"),
	}, args...)...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		tb.Fatalf("chromium: %v\n%s", err, exit.Stderr)
	}
	must(tb, err)
	return out
}
