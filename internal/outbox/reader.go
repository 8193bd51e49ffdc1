package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
)

const selectByID = selectEntry + " WHERE seq = ? AND token = ?"

// A Reader reads a store, also while another process uses it. It takes no lock, and makes no store
// where there was none. It must be closed. It is safe for concurrent use.
type Reader struct {
	dir string

	mu    sync.Mutex // protects the use of what follows
	conn  *dbfile.Conn
	byID  *sql.Stmt
	bySeq *sql.Stmt
}

// OpenReader opens the store in dir for reading. It fails with an [*Error], which is fs.ErrNotExist
// where there is none.
func OpenReader(dir string) (*Reader, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(dir, file))
	if err != nil {
		return nil, fault(dir, err)
	}
	head, err := readHeader(path)
	if err == nil && head.Size == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fault(dir, err)
	}
	mode := "ro"
	if _, err := os.Stat(path + "-wal"); err != nil && head.WAL && !lockfile.Held(path) {
		// The file is whole, but SQLite would make a log beside it, or fail where it cannot.
		mode = "ro&immutable=1"
	}
	r, err := openReader(context.Background(), path, mode)
	return r, fault(dir, err)
}

func openReader(ctx context.Context, path, mode string) (r *Reader, err error) {
	defer dbfile.Guard(&err)()
	r = &Reader{dir: filepath.Dir(path)}
	if r.conn, err = dbfile.Open(ctx, path, mode); err == nil {
		err = checkSchema(ctx, r.conn)
	}
	if err == nil {
		r.byID, err = r.conn.PrepareContext(ctx, selectByID)
	}
	if err == nil {
		r.bySeq, err = r.conn.PrepareContext(ctx, selectEntry+" WHERE seq = ?")
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the reader.
func (r *Reader) Close() (err error) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, st := range []*sql.Stmt{r.byID, r.bySeq} {
		if st != nil {
			err = cmp.Or(err, st.Close())
		}
	}
	return fault(r.dir, cmp.Or(err, r.conn.Close()))
}

// Get returns a request with its last answer. It fails with [ErrNotFound] or an [*Error].
func (r *Reader) Get(id string) (e Entry, err error) {
	if e, err = r.entry(id); err == nil {
		e.Answer, err = r.answer(e.Seq)
	}
	return e, fault(r.dir, err)
}

func (r *Reader) entry(id string) (e Entry, err error) {
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	seq, token := parseID(id)
	return scanEntry(r.byID.QueryRowContext(context.Background(), seq, token).Scan)
}

// row returns the entry of that number.
func (r *Reader) row(seq int64) (e Entry, err error) {
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	return scanEntry(r.bySeq.QueryRowContext(context.Background(), seq).Scan)
}

func (r *Reader) answer(seq int64) (a *Answer, err error) {
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.conn.QueryRowContext(context.Background(),
		"SELECT header, body, cut FROM answer WHERE seq = ?", seq)
	a = new(Answer)
	var header []byte
	if err = row.Scan(&header, &a.Body, &a.Cut); err == nil {
		err = json.Unmarshal(header, &a.Header)
	}
	if err = scanFault(err); errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return a, err
}

// Setback returns which of some statuses the last answer to a request had that still waits for a
// target; 0 if there is no such request.
func (r *Reader) Setback(target string, statuses ...int) (status int, err error) {
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	args := []any{Waiting, target}
	for _, s := range statuses {
		args = append(args, s)
	}
	row := r.conn.QueryRowContext(context.Background(), "SELECT status FROM request WHERE "+
		"state = ? AND target = ? AND status IN (?"+strings.Repeat(",?", len(statuses)-1)+
		") LIMIT 1", args...)
	if err = scanFault(row.Scan(&status)); errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return status, fault(r.dir, err)
}

// A Filter selects requests. The zero value selects all.
type Filter struct {
	States []State // if empty, all
	Client string  // if empty, all
}

// List yields the requests that are selected, the oldest first, without their answers. The sequence
// ends after the first error.
//
// It reads a page at a time: a slow consumer holds nothing up, and what changes meanwhile comes in
// the one way or the other.
func (r *Reader) List(f Filter) iter.Seq2[Entry, error] {
	query, args := f.query()
	return func(yield func(Entry, error) bool) {
		for after := int64(0); ; {
			page, err := r.page(query, append([]any{after}, args...))
			for _, e := range page {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, fault(r.dir, err))
			}
			if err != nil || len(page) < pageSize {
				return
			}
		}
	}
}

const pageSize = 500 // rows

func (f Filter) query() (query string, args []any) {
	query = selectEntry + " WHERE seq > ?"
	is := func(what string, states []State) string {
		for _, s := range states {
			args = append(args, s)
		}
		return "state " + what + " (?" + strings.Repeat(",?", len(states)-1) + ")"
	}
	if len(f.States) > 0 {
		which := is("IN", f.States)
		if slices.Contains(f.States, Unknown) { // as scanEntry has it
			which += " OR " + is("NOT IN", States)
		}
		query += " AND (" + which + ")"
	}
	if f.Client != "" {
		query += " AND client = ?"
		args = append(args, f.Client)
	}
	return fmt.Sprintf("%s ORDER BY seq LIMIT %d", query, pageSize), args
}

func (r *Reader) page(query string, args []any) (page []Entry, err error) {
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	err = each(context.Background(), r.conn, func(scan scanFunc) error {
		e, err := scanEntry(scan)
		if err == nil {
			page = append(page, e)
		}
		return err
	}, query, args...)
	return page, err
}

// each calls do for each row of a query, until that fails.
func each(
	ctx context.Context, conn *dbfile.Conn, do func(scanFunc) error, query string, args ...any,
) error {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
