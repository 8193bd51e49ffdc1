package journal

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/memdir"
	"github.com/penstock/penstock/internal/test"
)

func TestFullDisk(t *testing.T) {
	dir := memdir.Small(t, "8m")
	for _, room := range []bool{true, false} {
		path := filepath.Join(dir, "j.db")
		filler := filepath.Join(dir, "filler")
		test.OK(t, os.WriteFile(filler, make([]byte, 7<<20), 0o600))
		j := mustOpen(t, path)
		ids, errs := fillUp(t, j)
		if room {
			os.Remove(filler)
			mustClose(t, j)
			if n := len(all(t, path)); n != len(*ids) {
				t.Errorf("%d rows of %d", n, len(*ids))
			}
		} else {
			if err := j.Close(6); err == nil || remedy(err) != MakeRoom {
				t.Errorf("Close: %v", err)
			}
			os.Remove(filler)
			checkWritten(t, path, *ids, *errs)
		}
		for _, suffix := range fileSuffixes {
			os.Remove(path + suffix) // a log that could not be emptied is left
		}
	}
}

// [merge] Where there is no room, a journal stays as it was, and a new one is not left behind.
func TestFullDiskInMerge(t *testing.T) {
	dir, source := memdir.Small(t, "1m"), newPath(t)
	into := filepath.Join(dir, "j.db")
	runOf(t, source, "", mtime, 1)
	execute(t, source, `WITH RECURSIVE c(i) AS
		(SELECT 2 UNION ALL SELECT i+1 FROM c WHERE i < 3000)
		INSERT INTO item SELECT i, i, size, mtime, mark, state, doubt, key_made, attempts, first,
		last, http_status, method, printf('%01000d', i), rel, url, key, error, digest, older,
		captured FROM item, c WHERE n = 1`)
	for _, known := range []int{0, 1} {
		if known > 0 {
			runOf(t, into, "", mtime, 1<<40)
		}
		done, err := Merge(t.Context(), into, []string{source}, Run.command)
		if len(done) != 0 || remedy(err) != MakeRoom {
			t.Fatalf("%v, %v", done, err)
		}
		if known == 0 && !isMissing(into) {
			t.Error("it is left behind")
		} else if known > 0 && len(all(t, into)) != known {
			t.Errorf("%d rows", len(all(t, into)))
		}
	}
}

func TestFullDiskAtOpen(t *testing.T) {
	dir := memdir.Small(t, "256k")
	test.OK(t, os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 250<<10), 0o600))
	path := filepath.Join(dir, "j.db")
	_, err := Open(t.Context(), Options{Path: path})
	if err == nil || !strings.Contains(err.Error(), "disk is full") || remedy(err) != MakeRoom {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, "filler"))
	mustClose(t, mustOpen(t, path))
}

func TestReadOnlyDisk(t *testing.T) {
	dir := memdir.Small(t, "4m")
	clean, killed := filepath.Join(dir, "clean.db"), filepath.Join(dir, "killed.db")
	fill(t, clean, 10)
	other := startHolder(t, killed)
	other.Process.Kill()
	other.Wait()
	walOnly := filepath.Join(dir, "walonly.db") // as a copy that left the log behind
	data, _ := os.ReadFile(killed)
	os.WriteFile(walOnly, data, 0o600)
	os.Remove(killed + "-shm")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if n := len(all(t, clean)); n != 10 {
		t.Errorf("%d rows", n)
	}
	if n := len(all(t, walOnly)); n != 0 {
		t.Errorf("%d rows", n)
	}
	_, err := OpenReader(killed)
	if err == nil || remedy(err) != CopyWithLog {
		t.Error(err)
	}
	_, err = Open(t.Context(), Options{Path: clean})
	if !errors.Is(err, syscall.EROFS) || remedy(err) != UseWritable {
		t.Error(err)
	}
	_, err = Open(t.Context(), Options{Path: filepath.Join(dir, "new", "j.db")})
	if !errors.Is(err, syscall.EROFS) || remedy(err) != UseWritable {
		t.Error(err)
	}
}

// Nothing keeps a file open that is closed, or could not be opened.
func TestNoDescriptorIsLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j.db")
	fill(t, path, 3000)
	all(t, path)
	if _, err := Forget(path, func(it Item) bool { return it.Size%2 == 0 }); err != nil {
		t.Error(err)
	}
	if _, err := List(dir); err != nil {
		t.Error(err)
	}
	data, _ := os.ReadFile(path)
	broken := filepath.Join(dir, "broken.db")
	os.WriteFile(broken, append(data[:4096*5:4096*5], make([]byte, len(data)-4096*5)...), 0o600)
	if _, err := Open(t.Context(), Options{Path: broken}); err == nil {
		t.Error("no error")
	}
	if r, err := OpenReader(broken); err == nil {
		for range r.Items(0) {
		}
		r.Close()
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, dir) {
			t.Errorf("%s is open", to)
		}
	}
}

// What makes a commit last, and keeps others from the log, is in force; also after this process has
// closed the file elsewhere, which costs a process its usual locks.
func TestDurable(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	mustPut(t, j, full(1))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal",
		"fullfsync": "1", "checkpoint_fullfsync": "1"} {
		var got string
		if err := j.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil ||
			got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	f, err := os.Open(path)
	test.OK(t, err)
	f.Close()
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The range that SQLite's users share.
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: 0x40000002, Len: 510}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		t.Skip(err)
	}
	if lock.Type == unix.F_UNLCK {
		t.Error("the file is not locked any more")
	}
}

// The file of a new journal is whole without its log, as it was synced.
func TestNewFileIsWhole(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	defer mustClose(t, j)
	data, err := os.ReadFile(path)
	test.OK(t, err)
	alone := newPath(t)
	test.OK(t, os.WriteFile(alone, data, 0o600))
	r := mustRead(t, alone)
	defer r.Close()
	if runs, err := r.Runs(); len(runs) != 0 || err != nil {
		t.Errorf("runs %v, %v", runs, err)
	}
}

// asNobody runs the test in a process without root's rights, to which permissions mean something.
func asNobody(t *testing.T) bool {
	if os.Getuid() != 0 {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return false
}

func TestPermissions(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "j.db")
	fill(t, path, 10)

	t.Run("directory turns read-only under way", func(t *testing.T) {
		j := mustOpen(t, path)
		os.Chmod(dir, 0o500)
		defer os.Chmod(dir, 0o700)
		mustPut(t, j, full(1))
		mustClose(t, j)
		os.Chmod(dir, 0o700)
		if n := len(all(t, path)); n != 11 {
			t.Errorf("%d rows", n)
		}
	})
	for name, tt := range map[string]struct {
		file, dir fs.FileMode
		readable  bool
	}{
		"unwritable directory": {0o600, 0o500, true},
		"unwritable file":      {0o400, 0o700, true},
		"unreadable file":      {0, 0o700, false},
		"closed directory":     {0o600, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			fill(t, path, 10)
			os.Remove(path + ".lock")
			os.Chmod(path, tt.file)
			os.Chmod(filepath.Dir(path), tt.dir)
			defer os.Chmod(filepath.Dir(path), 0o700)
			_, err := Open(t.Context(), Options{Path: path})
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) ||
				remedy(err) != UseWritable {
				t.Error(err)
			}
			if tt.readable {
				if n := len(all(t, path)); n != 10 {
					t.Errorf("%d rows", n)
				}
			} else if _, err := OpenReader(path); !errors.Is(err, fs.ErrPermission) ||
				!strings.Contains(err.Error(), path) {
				t.Error(err)
			}
		})
	}
}
