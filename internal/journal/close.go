package journal

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
)

// Close does what Flush does, notes the run's end and gives up the lock. It returns an error if any
// row was given up, or if the journal's files are no longer where they were. If the run has not
// begun, Close leaves no trace of it. A second Close returns what the first did.
func (j *Journal) Close(exitStatus int) error {
	j.closing.Do(func() {
		j.mu.Lock()
		j.closed = true
		j.mu.Unlock()
		j.poke()
		<-j.stopped
		if !j.begun {
			j.closeBy = j.discard()
			return
		}
		err := fault(j.path, j.end(exitStatus))
		j.closeBy = cmp.Or(j.lost, fault(j.path, j.moved), err, j.lock.Close())
	})
	return j.closeBy
}

// discard closes the journal of a run that has not begun.
func (j *Journal) discard() error {
	if j.moved != nil {
		return cmp.Or(fault(j.path, j.abandon()), j.lock.Close())
	}
	err := fault(j.path, j.closeFile())
	if j.newFile {
		for _, suffix := range fileSuffixes {
			os.Remove(j.path + suffix)
		}
	}
	if j.newLock {
		err = cmp.Or(err, j.lock.Remove())
	} else {
		err = cmp.Or(err, j.lock.Close())
	}
	for _, dir := range j.made { // unless somebody else uses them already
		os.Remove(dir)
	}
	return err
}

// end notes the run's end and closes the file.
func (j *Journal) end(exitStatus int) (err error) {
	defer dbfile.Guard(&err)()
	if j.moved != nil {
		return j.abandon()
	}
	ctx := context.Background()
	_, err = j.conn.ExecContext(ctx, "UPDATE run SET finished = ?, exit_status = ? WHERE n = ?",
		time.Now().UnixMilli(), exitStatus, j.run)
	return cmp.Or(err, j.closeFile())
}

func (j *Journal) closeFile() (err error) {
	defer dbfile.Guard(&err)()
	// A file that is not in WAL mode can be read without making others beside it. This fails, and
	// does not matter, while somebody reads.
	j.conn.ExecContext(context.Background(), "PRAGMA busy_timeout=0; PRAGMA journal_mode=DELETE")
	return j.conn.Close()
}

// abandon closes the file where what has the journal's names now may be another run's.
func (j *Journal) abandon() error {
	if j.files.LogLost() && j.lock.Removed() {
		// Another run may have begun, and ended, with a log of its own. To close the connection
		// would write what our log has over that, so it is left to the end of the process.
		return nil
	}
	return j.conn.Close()
}
