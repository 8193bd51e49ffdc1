package journal

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"

	"github.com/penstock/penstock/internal/dbfile"
)

// A View answers as the journal of a run would that began now, and changes nothing. It is for one
// goroutine and must be closed.
type View struct {
	past
	r   *Reader // if nil, there is no file yet
	row *sql.Stmt
}

// OpenView reads the index of a journal. Where there is no file it is the view of a new journal.
func OpenView(path string) (*View, error) {
	r, err := OpenReader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &View{past: past{index: newIndex(0)}}, nil
	}
	if err != nil {
		return nil, err
	}
	v := &View{r: r}
	if err := v.read(); err != nil {
		v.Close()
		return nil, readFault(path, err)
	}
	return v, nil
}

func (v *View) read() (err error) {
	defer dbfile.Guard(&err)()
	ctx := context.Background()
	size, _ := diskSize(v.r.real)
	if err := v.past.read(ctx, v.r.conn, v.r.version, size); err != nil {
		return err
	}
	if v.waits, err = readWaits(ctx, v.r.conn, v.r.version); err != nil {
		return err
	}
	query := ofVersion(v.r.version, selectItems+" WHERE n = ?")
	v.row, err = v.r.conn.PrepareContext(ctx, query)
	return err
}

// Close closes the view.
func (v *View) Close() error {
	if v.row != nil {
		v.row.Close()
	}
	if v.r == nil {
		return nil
	}
	return v.r.Close()
}

// Claim is [Journal.Claim]; the mark is gone with the view.
func (v *View) Claim(id uint64, f Fingerprint) Claim { return v.index.claim(id, f.print()) }

// Load returns the whole row of an item that was claimed; it is empty if the row was removed
// meanwhile.
func (v *View) Load(id uint64) (it Item, err error) {
	defer dbfile.Guard(&err)()
	it, _, err = scanItem(v.row.QueryRowContext(context.Background(), v.index.put(id).n()).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Item{}, nil
	}
	return it, readFault(v.r.path, err)
}
