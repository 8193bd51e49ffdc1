package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/idmap"
	"github.com/penstock/penstock/internal/item"
)

// An index finds the row of an item. It takes 24 bytes an entry.
type index struct{ *idmap.Map[indexEntry] }

type indexEntry struct {
	print uint64 // of the fingerprint
	meta  uint64 // n<<8 | flags | state
}

const (
	maxRow      = 1<<55 - 1
	stateMask   = 0x07
	receiptFlag = 0x08
	claimedFlag = 0x40
	usedFlag    = 0x80
)

func newIndex(count int64) index { return index{idmap.New[indexEntry](count)} }

func (e *indexEntry) n() int64         { return int64(e.meta >> 8) }
func (e *indexEntry) state() item.Fate { return item.Fate(e.meta & stateMask) }

func (e *indexEntry) setRow(n int64, print uint64, s item.Fate, receipt bool) {
	e.print = print
	e.meta = uint64(n)<<8 | e.meta&(claimedFlag|usedFlag) | uint64(s)
	if receipt {
		e.meta |= receiptFlag
	}
}

func (e *indexEntry) claim(print uint64) Claim {
	s := e.state()
	return Claim{State: s, Same: s != item.None && e.print == print,
		Twice: e.meta&claimedFlag != 0, Receipt: e.meta&receiptFlag != 0}
}

// put returns the entry of id, made if need be. It is valid until the next put.
func (x index) put(id uint64) *indexEntry { return x.Put(id, indexEntry{meta: usedFlag}) }

// claim looks an item up and marks it as taken up.
func (x index) claim(id, print uint64) Claim {
	e := x.put(id)
	c := e.claim(print)
	e.meta |= claimedFlag
	return c
}

// readIndex reads all rows' fingerprints and states. Next is the number of the next new row.
func readIndex(
	ctx context.Context, conn *dbfile.Conn, version int, size int64,
) (x index, next int64, counts Counts, err error) {
	var top sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(n) FROM item").Scan(&top); err != nil {
		return x, 0, nil, err
	}
	// Rows may have been removed, and the number may be damaged: no row takes less than 48 bytes.
	x, next = newIndex(min(max(top.Int64, 0), size/48)), 1
	var count [item.Deferred + 1]int64
	err = rawRows(ctx, conn, ofVersion(version, selectIndex), func(row []driver.Value) error {
		n, ok1 := row[0].(int64)
		id, ok2 := row[1].(int64)
		size, ok3 := row[2].(int64)
		mtime, ok4 := row[3].(int64)
		mark, ok5 := row[4].(int64)
		n, receipt, s := n>>4, n&8 != 0, item.Fate(n&7)
		ok := ok1 && ok2 && ok3 && (ok4 || row[3] == nil) && ok5
		if !ok || n < next || n > maxRow || s == item.None || s > item.Deferred {
			return fmt.Errorf("%w: row after %d", errDamaged, next-1)
		}
		next = n + 1
		e := x.put(uint64(id))
		count[e.state()]-- // None, unless the same item was there before
		count[s]++
		e.setRow(n, printOf(size, mtime, ok4, uint64(mark)), s, receipt)
		return nil
	})
	counts = make(Counts)
	for s, n := range count {
		if n > 0 {
			counts[item.Fate(s)] = n
		}
	}
	return x, next, counts, err
}

// rawRows calls do for each row without what database/sql spends on it, which is most of the time
// for a million rows.
func rawRows(
	ctx context.Context, conn *dbfile.Conn, query string, do func([]driver.Value) error,
) error {
	return conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := make([]driver.Value, len(rows.Columns()))
		for i := 1; ; i++ {
			if err := rows.Next(row); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := do(row); err != nil {
				return err
			}
			if i%1024 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	})
}
