//go:build unix

package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/test"
)

const stranger = 12345

// refuses checks that a journal cannot be opened, pruned or changed.
func refuses(t *testing.T, path string, words ...string) {
	t.Helper()
	_, err := Forget(path, everything)
	for _, err := range []error{tryOpen(t, path), err} {
		var fault *Error
		if !errors.As(err, &fault) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
			continue
		}
		if remedy(err) != RemoveLock {
			t.Errorf("remedy %d: %v", remedy(err), err)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("no %q: %v", word, err)
			}
		}
	}
	if gone, err := Prune(filepath.Dir(path), 0, false); len(gone) > 0 || err == nil &&
		!strings.HasSuffix(path, "link.db") {
		t.Errorf("pruned %v, %v", gone, err)
	}
}

// In a directory that others may write, a link beside the journal would lead to a file of ours.
func TestLinksBesideTheJournal(t *testing.T) {
	for _, suffix := range []string{".lock", "-wal", "-journal", "-shm"} {
		t.Run(suffix, func(t *testing.T) {
			path := newPath(t)
			fill(t, path, 1)
			time.Sleep(2 * time.Millisecond) // or it is too new to be pruned
			os.Remove(path + suffix)
			victim := filepath.Join(t.TempDir(), "victim")
			test.OK(t, errors.Join(os.WriteFile(victim, []byte("precious"), 0o600),
				os.Symlink(victim, path+suffix)))
			if suffix == ".lock" || suffix == "-shm" { // the others keep it from being read
				refuses(t, path, path+suffix, "not a regular file")
			} else if tryOpen(t, path) == nil {
				t.Error("opened")
			}
			if b, err := os.ReadFile(victim); string(b) != "precious" {
				t.Errorf("%q, %v", b, err)
			}
			os.Remove(victim) // it must not be made either
			tryOpen(t, path)
			if _, err := os.Stat(victim); err == nil {
				t.Error("made through a link")
			}
		})
	}
}

// tryOpen returns what keeps a journal from being opened.
func tryOpen(t *testing.T, path string) error {
	j, err := Open(t.Context(), Options{Path: path})
	if err == nil {
		j.Close(0)
	}
	return err
}

// Nothing is written into a lock file that has another name as well.
func TestHardLinkedLock(t *testing.T) {
	path := newPath(t)
	victim := filepath.Join(filepath.Dir(path), "victim")
	test.OK(t, errors.Join(os.WriteFile(victim, []byte("precious"), 0o600),
		os.Link(victim, path+".lock")))
	mustClose(t, mustOpen(t, path))
	if b, err := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestFIFOForLock(t *testing.T) {
	path := newPath(t)
	fill(t, path, 1)
	test.OK(t, errors.Join(os.Remove(path+".lock"),
		syscall.Mkfifo(path+".lock", 0o600)))
	if lockfile.Held(path) {
		t.Error("running")
	}
	if tryOpen(t, path) == nil {
		t.Error("opened")
	}
}

// A link that the user has made leads to the journal, whose lock is the one at its end, for Prune
// as for Open.
func TestOwnLink(t *testing.T) {
	path := newPath(t)
	link := filepath.Join(t.TempDir(), "link.db")
	test.OK(t, os.Symlink(path, link))
	j := mustOpen(t, link) // also to one that is not there yet
	mustPut(t, j, full(1))
	if j.Path() != path {
		t.Errorf("%s, want %s", j.Path(), path)
	}
	if gone, err := Prune(filepath.Dir(link), -time.Hour, false); len(gone) != 0 || err != nil {
		t.Errorf("pruned while in use: %v, %v", gone, err)
	}
	if ok, err := remove(link, -time.Hour); ok || err != nil {
		t.Errorf("removed while in use: %v, %v", ok, err)
	}
	mustClose(t, j)
	if gone, err := Prune(filepath.Dir(link), -time.Hour, false); len(gone) != 1 || err != nil {
		t.Errorf("%v, %v", gone, err)
	}
	for name, want := range map[string]bool{link: false, link + ".lock": false, path: true} {
		if _, err := os.Lstat(name); (err == nil) != want {
			t.Errorf("%s is there: %v", name, err == nil)
		}
	}
}

// What somebody else owns is not used, unless all of the directory is that user's.
func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, suffix := range []string{"", ".lock"} {
		path := newPath(t)
		fill(t, path, 1)
		test.OK(t, os.Chown(path+suffix, stranger, stranger))
		time.Sleep(2 * time.Millisecond)
		refuses(t, path, path+suffix, "belongs to user 12345")
		test.OK(t, os.Chown(filepath.Dir(path), stranger, stranger))
		mustClose(t, mustOpen(t, path))
	}
	path := newPath(t)
	link := filepath.Join(filepath.Dir(path), "link.db")
	test.OK(t, errors.Join(os.Symlink(path, link), os.Lchown(link, stranger, stranger)))
	want := "the link " + link + " belongs to user 12345"
	if err := tryOpen(t, link); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the link of another user: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("made through the link of another user")
	}
}

// None of the journal's files may be removed or replaced while a run uses it.
func TestFilesGone(t *testing.T) {
	for _, suffix := range []string{"", "-wal", ".lock"} {
		for _, replaced := range []bool{false, true} {
			path := newPath(t)
			j := mustOpen(t, path)
			mustPut(t, j, full(1))
			test.OK(t, os.Rename(path+suffix, path+suffix+".old"))
			if replaced {
				test.OK(t, os.WriteFile(path+suffix, nil, 0o600))
			}
			if err := j.Begin(t.Context(), full(2)); !errors.Is(err, errReplaced) ||
				!strings.Contains(err.Error(), path+suffix) {
				t.Errorf("%s: %v", suffix, err)
			}
			<-j.Failed()
			j.Put(full(3), nil)
			if err := j.Close(6); !errors.Is(err, errReplaced) {
				t.Errorf("%s: %v", suffix, err)
			}
			if suffix != "" && !replaced { // what was on disk is not lost with the log
				equal(t, "rows", all(t, path), []Item{full(1)})
			}
		}
	}
}

// Where the log and the lock are gone another run may have begun and ended. Its journal is left as
// it is.
func TestAnotherRunMeanwhile(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	mustPut(t, j, full(1))
	test.OK(t, errors.Join(os.Remove(path+"-wal"), os.Remove(path+"-shm"),
		os.Remove(path+".lock")))
	other := child(t, "put1", path)
	if out, err := other.Output(); err != nil {
		t.Fatal(err, string(out))
	}
	after, err := os.ReadFile(path)
	test.OK(t, err)
	j.Put(full(3), nil)
	if err := j.Close(6); !errors.Is(err, errReplaced) {
		t.Error(err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(after) {
		t.Errorf("the other run's journal was written to, %v", err)
	}
	j.conn.Close()
}
