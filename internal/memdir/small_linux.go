package memdir

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Small returns a directory on a disk of that size, such as "8m", until the test ends. The test is
// skipped where a disk cannot be mounted.
func Small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
