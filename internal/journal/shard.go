package journal

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
)

// Shards are those of which a journal has all that was done, where it does not have all that was
// done of their work. They may be of several divisions of it.
type Shards []item.Shard

// String names them, such as "shard 2/5" or "shards 1, 2 and 4 of 5".
func (s Shards) String() string {
	var words []string
	for of := range s.divisions() {
		var numbers []string
		for _, shard := range of {
			numbers = append(numbers, strconv.Itoa(shard.Number))
		}
		const most = 10
		n := len(numbers)
		switch last := n - 1; {
		case n == 1:
			words = append(words, "shard "+of[0].String())
		case n > most:
			words = append(words, fmt.Sprintf("%d shards of %d", n, of[0].Of))
		default:
			words = append(words, fmt.Sprintf("shards %s and %s of %d",
				strings.Join(numbers[:last], ", "), numbers[last], of[0].Of))
		}
	}
	return strings.Join(words, ", ")
}

// divisions yields the shards of each division.
func (s Shards) divisions() iter.Seq[Shards] {
	return func(yield func(Shards) bool) {
		for len(s) > 0 {
			n := 1
			for n < len(s) && s[n].Of == s[0].Of {
				n++
			}
			if !yield(s[:n:n]) {
				return
			}
			s = s[n:]
		}
	}
}

// Missing returns those that complete them.
func (s Shards) Missing() (missing Shards) {
	for of := range s.divisions() {
		for i, next := 1, of; i <= of[0].Of; i++ {
			if len(next) > 0 && next[0].Number == i {
				next = next[1:]
			} else {
				missing = append(missing, item.Shard{Number: i, Of: of[0].Of})
			}
		}
	}
	return missing
}

// with returns both.
func (s Shards) with(others ...item.Shard) Shards {
	both := slices.Concat(s, others)
	slices.SortFunc(both, func(a, b item.Shard) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(both)
}

// incomplete returns them without those divisions of which there are all shards: that is the whole.
func (s Shards) incomplete() (left Shards) {
	for of := range s.divisions() {
		if len(of) < of[0].Of {
			left = append(left, of...)
		}
	}
	return left
}

// reopen returns them without the division into so many, if that is complete.
func (s Shards) reopen(count int) (left Shards) {
	for of := range s.divisions() {
		if len(of) < of[0].Of || of[0].Of != count {
			left = append(left, of...)
		}
	}
	return left
}

// A ShardError says that a run is for items of which a journal does not have all that was done:
// what other journals have as delivered would be sent again.
type ShardError struct {
	Path string
	Has  Shards
	Want item.Shard
}

func (e *ShardError) Error() string {
	want := "all items"
	if !e.Want.IsWhole() {
		want = "shard " + e.Want.String()
	}
	return fmt.Sprintf("journal %s: is of %s, and this run is for %s", e.Path, e.Has, want)
}

// check returns a [*ShardError] unless a run for a shard can go on from them.
func (s Shards) check(path string, want item.Shard) error {
	s = s.incomplete()
	other := func(s item.Shard) bool { return s.Of != want.Of }
	if len(s) == 0 || slices.Contains(s, want) && !slices.ContainsFunc(s, other) {
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

// writeShards replaces what readShards returns.
func writeShards(ctx context.Context, conn *dbfile.Conn, all Shards) error {
	if _, err := conn.ExecContext(ctx, "DELETE FROM shard"); err != nil {
		return err
	}
	for _, s := range all {
		_, err := conn.ExecContext(ctx, "INSERT INTO shard (number, of_all) VALUES (?,?)",
			s.Number, s.Of)
		if err != nil {
			return err
		}
	}
	return nil
}

// readShards returns the shards whose runs, or whose journals, have made a journal what it is since
// it was last of the whole.
func readShards(ctx context.Context, conn *dbfile.Conn, version int) (all Shards, err error) {
	if version < 6 {
		return nil, nil
	}
	err = each(ctx, conn, func(scan scanFunc) error {
		var s item.Shard
		err := scan(&s.Number, &s.Of)
		if err == nil && (s.Number < 1 || s.Number > s.Of || s.Of > item.MostShards) {
			err = fmt.Errorf("%w: there is a shard %s", errDamaged, s)
		}
		all = append(all, s)
		return err
	}, "SELECT number, of_all FROM shard ORDER BY of_all, number")
	return all, err
}
