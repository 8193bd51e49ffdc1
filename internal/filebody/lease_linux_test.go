package filebody

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Servers of network file systems hold leases on files that their clients write. A lease ends when another program
// waits for the file.
func TestLeasedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	seen := file(t, path, "hello")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wanted := make(chan os.Signal, 1)
	signal.Notify(wanted, unix.SIGIO)
	defer signal.Stop(wanted)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("no leases here: ", err)
	}
	released := make(chan error)
	go func() {
		<-wanted
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		released <- err
	}()
	req := newRequest(t)
	if _, err := Set(req, path, seen); err != nil {
		t.Fatal(err)
	}
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(req.Body); string(body) != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}
