package outbox

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/memdir"
	"github.com/penstock/penstock/internal/test"
)

// The test binary is its own child, for what only another process can do.
func TestMain(m *testing.M) {
	switch os.Getenv("OUTBOX_TEST_CHILD") {
	case "work":
		workUntilKilled(os.Args[1])
		return
	case "fill":
		fill(os.Args[1])
		return
	}
	goleak.VerifyTestMain(memdir.For(m))
}

func child(what string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "OUTBOX_TEST_CHILD="+what)
	cmd.Stderr = os.Stderr
	return cmd
}

func newDir(t testing.TB) string { return filepath.Join(t.TempDir(), "store") }

// mustOpen opens a store, which need not be closed.
func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	test.OK(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func request(client string) Request {
	return Request{
		Client: client,
		Target: "api",
		Method: "POST",
		URI:    "/v1/items?x=%2F",
		Header: http.Header{"Content-Type": {"text/plain"}, "X": {"1", "2"}},
		Key:    `"k"`,
	}
}

func mustPut(t testing.TB, s *Store, client, body string) Entry {
	t.Helper()
	e, err := s.Put(request(client), strings.NewReader(body))
	test.OK(t, err)
	return e
}

func mustGet(t testing.TB, s *Store, id string) Entry {
	t.Helper()
	e, err := s.Get(id)
	test.OK(t, err)
	return e
}

// next returns what Next does, which must be one request.
func mustNext(t testing.TB, s *Store) Entry {
	t.Helper()
	list, _, err := s.Next("api", 1)
	test.OK(t, err)
	if len(list) != 1 {
		t.Fatalf("%d requests", len(list))
	}
	return list[0]
}

type bodySource interface {
	Body(string) (func() (io.ReadCloser, error), error)
}

func mustRead(t testing.TB, s bodySource, id string) string {
	t.Helper()
	open, err := s.Body(id)
	test.OK(t, err)
	b, err := open()
	test.OK(t, err)
	defer b.Close()
	data, err := io.ReadAll(b)
	test.OK(t, err)
	return string(data)
}

// files returns the names of the bodies that have files of their own.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, bodies))
	test.OK(t, err)
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}
