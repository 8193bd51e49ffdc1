// Package lockfile keeps two runs from using one journal, and other users of the machine from
// tricking a run into another file than the journal.
//
// It locks a file beside the journal. It knows nothing of what a journal holds.
package lockfile

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Suffix is that of the name of a lock.
const Suffix = ".lock"

const (
	tries = 5                      // a reader that asks for a run has the lock for a moment
	pause = 20 * time.Millisecond  // between these tries
	poll  = 250 * time.Millisecond // between tries while waiting for a run to end
)

// A Lock excludes other runs. It is beside the journal and not the journal itself: SQLite's own
// locks are lost when a process closes any descriptor of the file. The kernel lets it go when the
// process dies.
type Lock struct{ *flock.Flock }

// InUseError says that another run, or another part of this program, uses the journal.
type InUseError struct {
	Path  string
	PID   int       // 0 if not known
	Since time.Time // zero if not known
}

// Error returns one line, with the process and since when it runs if that is known.
func (e *InUseError) Error() string {
	s := "journal " + e.Path + " is in use by another run"
	switch {
	case e.PID != 0 && !e.Since.IsZero():
		since := e.Since.Local().Format("2006-01-02 15:04:05")
		s += fmt.Sprintf(" (process %d, since %s)", e.PID, since)
	case e.PID != 0:
		s += fmt.Sprintf(" (process %d)", e.PID)
	}
	return s
}

// Take locks a journal. If another has the lock, Take waits for that until ctx ends or returns
// [*InUseError].
func Take(ctx context.Context, path string, wait bool) (*Lock, error) {
	pause := pause
	for try := 1; ; try++ {
		l, err := Try(path)
		if l != nil || err != nil {
			return l, err
		}
		if try >= tries {
			if !wait {
				return nil, holder(path)
			}
			pause = poll
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %w: %w", holder(path), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// Try returns nil if another has the lock.
func Try(path string) (*Lock, error) {
	name := path + Suffix
	l := &Lock{flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR|OpenFlags),
		flock.SetPermissions(0o600))}
	if ok, err := l.TryLock(); !ok {
		return nil, err
	}
	if l.Removed() {
		l.Close()
		return nil, nil
	}
	if fi, err := l.Stat(); err != nil || !onlyName(fi) {
		return l, nil
	}
	// On Windows no process can read the byte that is locked, the first.
	if f, err := os.OpenFile(name, os.O_WRONLY|OpenFlags, 0); err == nil {
		owner := fmt.Sprintf("%d %s", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
		f.WriteAt(fmt.Appendf(nil, "%-40s\n", owner), 1)
		f.Close()
	}
	return l, nil
}

// Removed reports whether the file was removed between opening and locking it, or since. Such a
// lock does not exclude other processes.
func (l *Lock) Removed() bool {
	mine, err1 := l.Stat()
	there, err2 := os.Lstat(l.Path())
	return err1 != nil || err2 != nil || !os.SameFile(mine, there)
}

// Remove removes the file and gives up the lock.
func (l *Lock) Remove() error {
	if runtime.GOOS == "windows" { // which removes no open file
		l.Close()
		return os.Remove(l.Path())
	}
	defer l.Close()
	return os.Remove(l.Path())
}

// holder names the process that has the lock, as far as that is known.
func holder(path string) *InUseError {
	e := &InUseError{Path: path}
	f, err := os.OpenFile(path+Suffix, os.O_RDONLY|OpenFlags, 0)
	if err != nil {
		return e
	}
	defer f.Close()
	buf := make([]byte, 64)
	n, _ := f.ReadAt(buf, 1)
	pid, since, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), " ")
	e.PID, _ = strconv.Atoi(pid)
	e.Since, _ = time.Parse(time.RFC3339, since)
	return e
}

// Held reports whether a run has the lock, without making a file.
func Held(path string) bool {
	name := path + Suffix
	if fi, err := os.Lstat(name); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	l := flock.New(name, flock.SetFlag(os.O_RDONLY|OpenFlags))
	ok, err := l.TryRLock()
	if ok {
		l.Close()
	}
	return !ok && err == nil
}
