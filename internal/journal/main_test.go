package journal

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memdir"
	"github.com/penstock/penstock/internal/test"
)

// The test binary is its own child, for what only another process can do.
func TestMain(m *testing.M) {
	switch os.Getenv("JOURNAL_TEST_CHILD") {
	case "put":
		putUntilKilled(os.Args[1])
		return
	case "put1":
		j, err := Open(context.Background(), Options{Path: os.Args[1]})
		if err != nil {
			panic(err)
		}
		j.Put(full(2), nil)
		if err := j.Close(0); err != nil {
			panic(err)
		}
		return
	case "hold":
		hold(os.Args[1])
		return
	}
	goleak.VerifyTestMain(memdir.For(m))
}

func child(t *testing.T, what string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_CHILD="+what)
	cmd.Stderr = os.Stderr
	return cmd
}

func mustOpen(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := Open(context.Background(), Options{Path: path, Target: "https://h/{name}",
		Method: "PUT", Command: "penstock send", Version: "1.0"})
	test.OK(t, err)
	t.Cleanup(func() { j.Close(1) })
	return j
}

func mustRead(t rapid.TB, path string) *Reader {
	t.Helper()
	r, err := OpenReader(path)
	test.OK(t, err)
	return r
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	test.OK(t, j.Close(0))
}

func mustPut(t testing.TB, j *Journal, it Item) {
	t.Helper()
	done := make(chan error, 1)
	j.Put(it, func(err error) { done <- err })
	test.OK(t, <-done)
}

func all(t rapid.TB, path string, states ...item.Fate) []Item {
	t.Helper()
	r := mustRead(t, path)
	defer r.Close()
	var items []Item
	for it, err := range r.Items(item.FatesOf(states...)) {
		test.OK(t, err)
		items = append(items, it)
	}
	return items
}

func equal(t rapid.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "j.db") }

var mtime = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func full(id uint64) Item {
	return Item{
		ID: id, Method: "POST", Path: "/data/a\xff\nb", Rel: "a\xff\nb", URL: "https://h/x?***",
		Key:         `"k"`,
		Fingerprint: Fingerprint{5, mtime, 1<<63 + 7}, Digest: []byte{0, 1, 2}, State: item.Failed,
		Doubt: true, Older: true, KeyMade: true, Attempts: 3,
		First: time.UnixMilli(1_700_000_000_123), Last: time.UnixMilli(1_700_000_001_456),
		HTTPStatus: 500, Error: "500: \x00 it broke", Captured: `{"id":"<7>"}`,
	}
}

func everything(Item) bool { return true }
