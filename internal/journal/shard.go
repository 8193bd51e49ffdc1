package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
)

// Shards are those of which a journal has all that was done. If there are none, it has what was
// done of the whole.
type Shards []item.Shard

// String names them, such as "2/5" or "1, 2 and 4 of 5".
func (s Shards) String() string {
	if len(s) == 1 {
		return s[0].String()
	}
	return fmt.Sprintf("%s of %d", numbers(s), s[0].Of)
}

func numbers(s Shards) string {
	var words []string
	for _, shard := range s {
		words = append(words, fmt.Sprint(shard.Number))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

// Missing returns the other shards of the same work.
func (s Shards) Missing() (missing Shards) {
	if len(s) == 0 {
		return nil
	}
	for i := 1; i <= s[0].Of; i++ {
		if shard := (item.Shard{Number: i, Of: s[0].Of}); !slices.Contains(s, shard) {
			missing = append(missing, shard)
		}
	}
	return missing
}

// A ShardError says that a run is for items of which a journal does not have all that was done:
// what other journals have as delivered would be sent again.
type ShardError struct {
	Path string
	Has  Shards
	Want item.Shard
}

func (e *ShardError) Error() string {
	what := "shard "
	if len(e.Has) > 1 {
		what = "shards "
	}
	want := "all items"
	if !e.Want.IsWhole() {
		want = "shard " + e.Want.String()
	}
	return fmt.Sprintf("journal %s: is of %s%s, and this run is for %s", e.Path, what, e.Has, want)
}

// check returns a [*ShardError] unless a run for a shard can go on from them.
func (s Shards) check(path string, want item.Shard) error {
	if len(s) == 0 || slices.Contains(s, want) {
		return nil
	}
	return &ShardError{path, s, want}
}

// Check returns a [*ShardError] unless a run for a shard can use the journal.
func (v *View) Check(want item.Shard) error {
	if v.r == nil {
		return nil
	}
	return v.shards.check(v.r.path, want)
}

// Ahead returns those of other journals of the same work that know more than the one at path, for a
// run that is for a shard, or for the whole: items of runs for another number of shards that have
// begun since that was last used. Journals that cannot be read are passed over.
func Ahead(path string, shard item.Shard, others []string) (ahead []string) {
	var since time.Time
	if runs, _, err := history(path); err == nil && len(runs) > 0 {
		since = runs[len(runs)-1].Started
	}
	for _, other := range others {
		runs, known, err := history(other)
		if err == nil && known && slices.ContainsFunc(runs, func(r Run) bool {
			of, _ := item.ParseShard(r.Shard)
			return of.Of != shard.Of && r.Started.After(since)
		}) {
			ahead = append(ahead, other)
		}
	}
	return ahead
}

// history returns the runs of a journal, and whether it knows any item.
func history(path string) (runs []Run, known bool, err error) {
	r, err := OpenReader(path)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	if runs, err = r.Runs(); err == nil {
		err = r.conn.QueryRowContext(context.Background(), "SELECT EXISTS (SELECT 1 FROM item)").
			Scan(&known)
	}
	return runs, known, err
}

func readShards(ctx context.Context, conn *dbfile.Conn, version int) (all Shards, err error) {
	if version < 6 {
		return nil, nil
	}
	err = each(ctx, conn, func(scan scanFunc) error {
		var s item.Shard
		err := scan(&s.Number, &s.Of)
		if err == nil && (s.Number < 1 || s.Number > s.Of || s.Of > item.MostShards ||
			len(all) > 0 && all[0].Of != s.Of) {
			err = fmt.Errorf("%w: there is a shard %s", errDamaged, s)
		}
		all = append(all, s)
		return err
	}, "SELECT number, of_all FROM shard ORDER BY of_all, number")
	return all, err
}
