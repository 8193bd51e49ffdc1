package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
)

// Forget removes the items that match, so that they are sent again, and returns how many these
// were. It needs the lock: while a run uses the journal it fails with *InUseError.
func Forget(path string, match func(Item) bool) (gone int64, err error) {
	defer func() { err = readFault(path, err) }()
	ctx := context.Background()
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	real, err := lockfile.RealPath(path, fileSuffixes)
	if err != nil {
		return 0, err
	}
	lock, err := lockfile.Take(ctx, real, false)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	defer dbfile.Guard(&err)()
	if head, err := readHeader(real); err != nil || head.Size == 0 {
		return 0, err
	}
	conn, err := dbfile.Open(ctx, real, "rw")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	found, err := checkSchema(ctx, conn)
	if err == nil {
		err = migrate(ctx, conn, found)
	}
	if err != nil {
		return 0, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var matched []int64
	err = each(ctx, tx, func(scan scanFunc) error {
		it, n, err := scanItem(scan)
		if err == nil && match(it) {
			matched = append(matched, n)
		}
		return err
	}, selectItems)
	if err != nil {
		return 0, err
	}
	for _, n := range matched {
		if _, err := tx.ExecContext(ctx, "DELETE FROM item WHERE n = ?", n); err != nil {
			return 0, err
		}
	}
	// Of which shards nothing is known does not matter.
	_, err = tx.ExecContext(ctx, "DELETE FROM shard WHERE NOT EXISTS (SELECT 1 FROM item)")
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return 0, err
	}
	// Without it the file is only larger than it need be.
	conn.ExecContext(ctx, "PRAGMA journal_mode=DELETE; VACUUM")
	return int64(len(matched)), nil
}

// Prune removes the journals in dir whose last run ended longer ago than that, and returns them;
// with dryRun it only returns them. It leaves those alone that are in use or cannot be read, and
// goes on where one cannot be removed.
func Prune(dir string, olderThan time.Duration, dryRun bool) ([]Info, error) {
	list, err := List(dir)
	if err != nil {
		return nil, err
	}
	var gone []Info
	var errs []error
	for _, info := range list {
		if !old(info, olderThan) {
			continue
		}
		if !dryRun {
			ok, err := remove(info.Path, olderThan)
			if err != nil {
				errs = append(errs, readFault(info.Path, err))
			}
			if !ok {
				continue
			}
		}
		gone = append(gone, info)
	}
	return gone, errors.Join(errs...)
}

func old(info Info, olderThan time.Duration) bool {
	return info.Err == nil && !info.Running && time.Since(info.Last) > olderThan
}

// remove removes a journal unless it was used meanwhile. If path is a link, it removes the link
// only.
func remove(path string, olderThan time.Duration) (bool, error) {
	real, err := lockfile.RealPath(path, fileSuffixes)
	if err != nil {
		return false, err
	}
	lock, err := lockfile.Try(real)
	if lock == nil {
		return false, err
	}
	defer lock.Close()
	info := inspect(path)
	info.Running = false // it is us
	if !old(info, olderThan) {
		return false, nil
	}
	for _, suffix := range fileSuffixes {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, lock.Remove()
}
