package filebody

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/test"
)

// Servers of network file systems hold leases on files that their clients write. A lease ends when
// another program waits for the file.
func TestLeasedFile(t *testing.T) {
	for _, content := range []string{"hello", strings.Repeat("x", MaxSmall+1)} {
		path := filepath.Join(t.TempDir(), "f")
		file(t, path, content)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		test.OK(t, err)
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
		req := request(t, path)
		if body, err := io.ReadAll(req.Body); string(body) != content || err != nil {
			t.Errorf("%d bytes of %d, %v", len(body), len(content), err)
		}
		test.OK(t, <-released)
	}
}
