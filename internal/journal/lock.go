package journal

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

// lockFile excludes other runs. It is beside the journal and not the journal itself: SQLite's own locks are lost when
// a process closes any descriptor of the file. The kernel lets it go when the process dies.
type lockFile struct {
	*flock.Flock
}

const (
	lockTries = 5                      // a reader that asks whether a run goes on holds the lock for a moment
	lockPause = 20 * time.Millisecond  // between these tries
	lockPoll  = 250 * time.Millisecond // between tries while waiting for a run to end
)

// takeLock locks path+".lock". If another has it, it waits for that until ctx ends or returns *InUseError.
func takeLock(ctx context.Context, path string, wait bool) (*lockFile, error) {
	pause := lockPause
	for try := 1; ; try++ {
		l, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		if try >= lockTries {
			if !wait {
				return nil, lockHolder(path)
			}
			pause = lockPoll
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %w: %w", lockHolder(path), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// tryLock returns nil if another has the lock.
func tryLock(path string) (*lockFile, error) {
	name := path + ".lock"
	l := &lockFile{flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR|openFlags), flock.SetPermissions(0o600))}
	if ok, err := l.TryLock(); !ok {
		return nil, err
	}
	if l.removed() {
		l.Close()
		return nil, nil
	}
	if fi, err := l.Stat(); err != nil || !onlyName(fi) {
		return l, nil
	}
	// Windows lets nobody read the byte that is locked, the first.
	if f, err := os.OpenFile(name, os.O_WRONLY|openFlags, 0); err == nil {
		f.WriteAt(fmt.Appendf(nil, "%-40s\n", fmt.Sprintf("%d %s", os.Getpid(), time.Now().UTC().Format(time.RFC3339))), 1)
		f.Close()
	}
	return l, nil
}

// removed reports whether the lock file was removed, as Prune does, between opening and locking it, or since. Such a lock
// excludes nobody.
func (l *lockFile) removed() bool {
	mine, err1 := l.Stat()
	there, err2 := os.Lstat(l.Path())
	return err1 != nil || err2 != nil || !os.SameFile(mine, there)
}

// lockHolder says who has the lock, as far as that is known.
func lockHolder(path string) *InUseError {
	e := &InUseError{Path: path}
	f, err := os.OpenFile(path+".lock", os.O_RDONLY|openFlags, 0)
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

// running reports whether a run has the lock, without making a lock file.
func running(path string) bool {
	name := path + ".lock"
	if fi, err := os.Lstat(name); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	l := flock.New(name, flock.SetFlag(os.O_RDONLY|openFlags))
	ok, err := l.TryRLock()
	if ok {
		l.Close()
	}
	return !ok && err == nil
}

// remove removes the lock file and gives up the lock.
func (l *lockFile) remove() error {
	if runtime.GOOS == "windows" { // which removes no open file
		l.Close()
		return os.Remove(l.Path())
	}
	defer l.Close()
	return os.Remove(l.Path())
}
