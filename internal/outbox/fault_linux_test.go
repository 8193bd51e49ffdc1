package outbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/memdir"
	"github.com/penstock/penstock/internal/test"
)

// A full disk refuses requests, of whatever size, and loses none.
func TestFullDisk(t *testing.T) {
	disk := memdir.Small(t, "16m")
	dir := filepath.Join(disk, "store")
	s := mustOpen(t, Options{Dir: dir})
	s.minFree = 4 << 20
	pragma(t, s, "PRAGMA wal_autocheckpoint=250")
	var mu sync.Mutex
	stored := map[string]string{}
	var group sync.WaitGroup
	for _, size := range []int{10, 4 << 10, maxInRow, 200 << 10} {
		for range 4 {
			group.Go(func() {
				body := strings.Repeat("x", size)
				for {
					e, err := s.Put(request("a"), strings.NewReader(body))
					if err != nil {
						wantFault(t, err, dir, Full)
						return
					}
					mu.Lock()
					stored[e.ID] = body
					mu.Unlock()
				}
			})
		}
	}
	group.Wait()
	check := func() {
		t.Helper()
		if st := s.Stats(); st.Waiting != int64(len(stored)) || len(stored) < 10 {
			t.Errorf("%+v, want %d waiting", st, len(stored))
		}
		for id, body := range stored {
			if mustRead(t, s, id) != body {
				t.Error("another body")
			}
		}
	}
	check()
	for range len(stored) / 2 {
		e := mustNext(t, s)
		delete(stored, e.ID)
		test.OK(t, s.Finish(e.ID, Outcome{State: Delivered}))
	}
	check()
	test.OK(t, s.Close())
	s = mustOpen(t, Options{Dir: dir})
	s.minFree = 1 << 20
	check()
	mustPut(t, s, "a", strings.Repeat("x", 4<<10))
	test.OK(t, s.Close())
}

func TestReadOnlyDisk(t *testing.T) {
	disk := memdir.Small(t, "100m")
	dir := filepath.Join(disk, "store")
	s := mustOpen(t, Options{Dir: dir})
	e := mustPut(t, s, "a", "body")
	test.OK(t, s.Close())
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	for _, dir := range []string{dir, filepath.Join(disk, "new")} {
		_, err := Open(t.Context(), Options{Dir: dir})
		wantFault(t, err, dir, Unwritten)
	}
	if got := mustRead(t, mustOpenReader(t, dir), e.ID); got != "body" {
		t.Errorf("%q", got)
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

func TestUnwritable(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	mustPut(t, s, "a", "body")
	large := strings.Repeat("x", 1<<20)
	e := mustPut(t, s, "a", large)

	// What needs no new file goes on.
	test.OK(t, os.Chmod(filepath.Join(dir, bodies), 0o500))
	_, err := s.Put(request("a"), strings.NewReader(large))
	wantFault(t, err, dir, Unwritten)
	mustPut(t, s, "a", "body")
	if mustRead(t, s, e.ID) != large {
		t.Error("another body")
	}
	test.OK(t, os.Chmod(filepath.Join(dir, bodies), 0o700))
	mustPut(t, s, "a", large)
	if st := s.Stats(); st.Waiting != 4 {
		t.Errorf("%+v", st)
	}
	test.OK(t, s.Close())

	for what, mode := range map[string][2]fs.FileMode{
		"file": {0o400, 0o700}, "directory": {0o600, 0o500},
	} {
		os.Remove(filepath.Join(dir, file+".lock"))
		test.OK(t, os.Chmod(filepath.Join(dir, file), mode[0]))
		test.OK(t, os.Chmod(dir, mode[1]))
		if _, err := Open(t.Context(), Options{Dir: dir}); err == nil {
			t.Errorf("opened in spite of the %s", what)
		} else {
			wantFault(t, err, dir, Unwritten)
		}
		test.OK(t, os.Chmod(dir, 0o700))
	}
}

// What makes a commit last is in force.
func TestDurable(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal",
		"fullfsync": "1", "checkpoint_fullfsync": "1", "auto_vacuum": "2"} {
		var got string
		row := s.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma)
		if err := row.Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
}
