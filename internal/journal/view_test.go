package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// [dry run] A view answers as a journal that is opened then does, however the runs before ended.
func TestView(t *testing.T) {
	now := time.Now()
	of := func(size int64) Fingerprint { return Fingerprint{Size: size, ModTime: mtime, Mark: 7} }
	hourAgo, later := now.Add(-time.Hour), now.Add(49*time.Hour)
	type run struct {
		started time.Time
		put     []Item
		killed  bool
	}
	for name, runs := range map[string][]run{
		"new":                    nil,
		"killed before anything": {{started: now.Add(-2 * time.Hour), killed: true}},
		"killed": {{started: now.Add(-2 * time.Hour), killed: true, put: []Item{
			{ID: 1, State: item.Unknown, Fingerprint: of(1), Key: "k", Last: hourAgo},
			{ID: 2, State: item.Delivered, Fingerprint: of(2), Digest: []byte{1}, Last: hourAgo,
				Captured: `{"id":2}`},
		}}},
		"ended": {{started: hourAgo, put: []Item{{ID: 1, State: item.Failed, Last: now}}}},
		"ended, after the clock was set back": {
			{started: later, put: []Item{{ID: 1, State: item.Failed, Last: later.Add(time.Hour)}}},
			{started: now},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			for _, run := range runs {
				j, err := Open(t.Context(), Options{Path: path, Started: run.started})
				test.OK(t, err)
				for _, it := range run.put {
					mustPut(t, j, it)
				}
				j.KeepWait(Wait{"http://h", now, now.Add(time.Hour)})
				test.OK(t, j.Flush())
				if used := path; run.killed {
					path = filepath.Join(t.TempDir(), "j.db")
					for _, suffix := range []string{"", "-wal"} {
						data, _ := os.ReadFile(used + suffix)
						os.WriteFile(path+suffix, data, 0o600)
					}
				}
				mustClose(t, j)
			}
			v, err := OpenView(path)
			test.OK(t, err)
			got := answers(t, v)
			test.OK(t, v.Close())
			equal(t, "answers", got, answers(t, mustOpen(t, path)))
		})
	}
}

// answers are what a journal, or a view of it, says of three items, the first of them once more.
func answers(t *testing.T, j interface {
	Earlier() Earlier
	Waits() []Wait
	Claim(uint64, Fingerprint) Claim
	Load(uint64) (Item, error)
}) (all []any) {
	e := j.Earlier()
	all = append(all, e.Last.UnixMilli(), e.Killed, e.Runs, len(e.Counts), j.Waits())
	for _, fate := range Fates {
		all = append(all, e.Counts[fate])
	}
	for _, id := range []uint64{1, 2, 3, 1} {
		c := j.Claim(id, Fingerprint{Size: 1, ModTime: mtime, Mark: 7})
		all = append(all, c)
		if c.State != item.None {
			row, err := j.Load(id)
			all = append(all, row, err)
		}
	}
	return all
}
