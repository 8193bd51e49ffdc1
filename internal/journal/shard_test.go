package journal

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/test"
)

func shards(texts ...string) (s Shards) {
	for _, text := range texts {
		one, err := item.ParseShard(text)
		if err != nil {
			panic(err)
		}
		s = s.with(one)
	}
	return s
}

func TestShards(t *testing.T) {
	for _, c := range []struct {
		have    Shards
		text    string
		missing string
		allowed []string // "" is the whole
		refused []string
	}{
		{nil, "", "", []string{"", "1/5"}, nil},
		{shards("2/5"), "shard 2/5", "shards 1, 3, 4 and 5 of 5", []string{"2/5"},
			[]string{"", "1/5", "2/4"}},
		{shards("3/3", "1/3"), "shards 1 and 3 of 3", "shard 2/3", []string{"1/3", "3/3"},
			[]string{"", "2/3", "1/2"}},
		{shards("1/3", "2/3", "3/3"), "shards 1, 2 and 3 of 3", "", []string{"", "1/3", "1/2"},
			nil},
		{shards("1/1"), "shard 1/1", "", []string{"", "1/1", "1/2"}, nil},
		{shards("1/2", "1/3", "2/2"), "shards 1 and 2 of 2, shard 1/3", "shards 2 and 3 of 3",
			[]string{"1/3"}, []string{"", "1/2", "2/3"}},
		{shards("1/2", "1/3"), "shard 1/2, shard 1/3", "shard 2/2, shards 2 and 3 of 3", nil,
			[]string{"", "1/2", "1/3"}},
		{shards("7/20"), "shard 7/20", "19 shards of 20", []string{"7/20"}, nil},
	} {
		if got := c.have.String(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		missing := c.have.incomplete().Missing()
		if got := missing.String(); got != c.missing {
			t.Errorf("%s: missing %q, want %q", c.text, got, c.missing)
		}
		for i, texts := range [][]string{c.allowed, c.refused} {
			for _, text := range texts {
				want, _ := item.ParseShard(text)
				var other *ShardError
				if err := c.have.check("p", want); errors.As(err, &other) != (i == 1) {
					t.Errorf("%s, a run for %q: %v", c.text, text, err)
				}
			}
		}
	}
	equal(t, "reopened", shards("1/2", "2/2", "1/3").reopen(2), shards("1/3"))
	equal(t, "not reopened", shards("1/2", "2/2", "1/3").reopen(3), shards("1/2", "2/2", "1/3"))
}

// runOf is a run for a shard, "" being the whole, that has put these items as delivered.
func runOf(t *testing.T, path, shard string, started time.Time, ids ...uint64) {
	t.Helper()
	s, _ := item.ParseShard(shard)
	j, err := Open(t.Context(), Options{Path: path, Target: "https://h/{name}", Method: "PUT",
		Command: "penstock send", Version: "1", Shard: s, Started: started})
	test.OK(t, err)
	j.Claim(1<<60, Fingerprint{})
	for _, id := range ids {
		mustPut(t, j, Item{ID: id, State: item.Delivered})
	}
	mustClose(t, j)
}

// [shards] A journal is for one shard from its first run on, and a run that has not begun does not
// make it so.
func TestShardOfJournal(t *testing.T) {
	path := newPath(t)
	at := time.Now()
	try := func(shard string) error {
		s, _ := item.ParseShard(shard)
		j, err := Open(t.Context(), Options{Path: path, Shard: s})
		if err == nil {
			mustClose(t, j)
		}
		v, viewErr := OpenView(path)
		test.OK(t, viewErr)
		defer v.Close()
		if got := v.Check(s); (got == nil) != (err == nil) {
			t.Errorf("%q: a view says %v, a journal %v", shard, got, err)
		}
		return err
	}
	test.Check(t, try("2/5"))
	test.Check(t, try("")) // it has not begun
	runOf(t, path, "2/5", at, 1)
	test.Check(t, try("2/5"))
	for _, shard := range []string{"", "1/5", "2/4"} {
		var other *ShardError
		if err := try(shard); !errors.As(err, &other) {
			t.Errorf("%q: %v", shard, err)
		}
	}
	if n, err := Forget(path, func(Item) bool { return true }); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	test.Check(t, try("1/3"))

	// A journal of the whole may be gone on with for a shard, and is that shard's then.
	path = newPath(t)
	runOf(t, path, "", at, 1, 2)
	runOf(t, path, "1/2", at.Add(1), 1)
	if err := try(""); err == nil {
		t.Error("a run for the whole would not know what is in the other shard")
	}
}

// [merge] Once those of all shards are in, a journal is of the whole, and it is not any more when
// one of the shards has been sent since.
func TestMergeShards(t *testing.T) {
	dir := t.TempDir()
	one, two, all := dir+"/1.db", dir+"/2.db", dir+"/all.db"
	at := time.UnixMilli(1_700_000_000_000)
	minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	runOf(t, one, "1/2", minute(1), 1)
	runOf(t, two, "2/2", minute(2), 2)
	merge := func(want Shards, from ...string) {
		t.Helper()
		_, err := Merge(t.Context(), all, from, Run.command)
		test.OK(t, err)
		equal(t, "shards", inspect(all).Shards, want)
	}
	merge(shards("2/2"), two)
	merge(shards("2/2"), two)
	merge(nil, one)
	merge(nil, two)
	merge(nil, one, two, one)
	runOf(t, one, "1/2", minute(3), 3)
	merge(shards("1/2"), one)
	merge(nil, two)
	runOf(t, one, "1/2", minute(4), 4)
	runOf(t, two, "2/2", minute(5), 5)
	merge(nil, two, one)
	if runs := inspect(all).Runs; runs != 5 {
		t.Errorf("%d runs", runs)
	}
	equal(t, "last", inspect(two).Last, inspect(all).Last)

	// Those of two divisions are known to be two.
	half := dir + "/half.db"
	runOf(t, half, "1/3", minute(6), 6)
	merge(shards("1/3"), half)

	// What is delivered is known to whom it was merged into, whatever its division.
	equal(t, "ahead of the whole",
		Ahead(all, item.Shard{}, []string{one, two, half, dir + "/none"}), []string(nil))
	equal(t, "ahead of a shard", Ahead(one, item.Shard{Number: 1, Of: 2}, []string{two, all, half}),
		[]string{all, half})
	equal(t, "ahead of a new one", Ahead(dir+"/new.db", item.Shard{Number: 1, Of: 3},
		[]string{one, two, half}), []string{one, two})
	runOf(t, two, "2/2", minute(7), 7)
	equal(t, "ahead of the whole", Ahead(all, item.Shard{}, []string{one, two, half}),
		[]string{two})

	// A run for a shard leaves it behind those of others.
	merge(shards("1/3"), one, two)
	runOf(t, all, "1/3", minute(8), 8)
	equal(t, "shards", inspect(all).Shards, shards("1/3"))
	whole := dir + "/whole.db"
	_, err := Merge(t.Context(), whole, []string{one, two}, Run.command)
	test.OK(t, err)
	runOf(t, whole, "2/2", minute(9), 9)
	equal(t, "shards", inspect(whole).Shards, shards("2/2"))
}

func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	test.OK(t, err)
	_, err = db.Exec(query)
	test.OK(t, err)
	test.OK(t, db.Close())
}

func (r Run) command() string { return r.Command }

// [merge] A merge that is stopped, or for which there is no room, leaves whole journals, and the
// same merge goes on with the rest.
func TestMergeStopped(t *testing.T) {
	dir := t.TempDir()
	one, two, all := dir+"/1.db", dir+"/2.db", dir+"/all.db"
	runOf(t, one, "1/2", time.Now(), 1, 2)
	runOf(t, two, "2/2", time.Now(), 3, 4)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	done, err := Merge(ctx, all, []string{one, two}, func(r Run) string {
		cancel(why)
		return r.Command
	})
	if len(done) != 1 || done[0].New != 2 || !errors.Is(err, why) {
		t.Errorf("%+v, %v", done, err)
	}
	if info := inspect(all); info.Counts[item.Delivered] != 2 || info.Running {
		t.Errorf("%+v", info)
	}
	equal(t, "shards", inspect(all).Shards, shards("1/2"))
	done, err = Merge(t.Context(), all, []string{one, two}, Run.command)
	if len(done) != 2 || done[0].New != 0 || done[1].New != 2 || err != nil {
		t.Errorf("%+v, %v", done, err)
	}

	// One that has done nothing leaves no trace.
	done, err = Merge(ctx, dir+"/new/x.db", []string{one}, Run.command)
	if len(done) != 0 || !errors.Is(err, why) || !isMissing(dir+"/new") {
		t.Errorf("%+v, %v", done, err)
	}
	execute(t, one, "UPDATE item SET state = 'sent' WHERE n = 2")
	done, err = Merge(t.Context(), dir+"/new/x.db", []string{one, two}, Run.command)
	if len(done) != 0 || remedy(err) != MoveAway || !isMissing(dir+"/new") {
		t.Errorf("%+v, %v", done, err)
	}
}

// No run begins to use a journal while it is being merged, and no lock is left beside a copy.
func TestMergeHoldsSources(t *testing.T) {
	dir := t.TempDir()
	one, two, odd := dir+"/one.db", dir+"/two.db", dir+"/odd.db"
	for i, path := range []string{one, two, odd} {
		runOf(t, path, "", time.Now(), uint64(i))
		test.OK(t, os.Remove(path+lockfile.Suffix)) // as a copy is
	}
	test.OK(t, os.Mkdir(odd+lockfile.Suffix, 0o700)) // it cannot be locked
	calls := 0
	_, err := Merge(t.Context(), dir+"/all.db", []string{odd, one, two, one}, func(r Run) string {
		calls++
		for _, path := range []string{one, two} {
			j, err := Open(t.Context(), Options{Path: path})
			if _, inUse := errors.AsType[*InUseError](err); !inUse {
				t.Errorf("%s is being merged, and a run gets it: %v", path, err)
				j.Close(0)
			}
		}
		return r.Command
	})
	test.OK(t, err)
	if calls == 0 {
		t.Error("nothing was merged")
	}
	for _, path := range []string{one, two} {
		if !isMissing(path + lockfile.Suffix) {
			t.Errorf("a lock is left beside %s", path)
		}
		mustClose(t, mustOpen(t, path))
	}
}
