package journal

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
)

// [merge] What is known best of a content holds, and of two contents the later one.
func TestJoin(t *testing.T) {
	row := func(state item.Fate, minute int, edit ...func(*Item)) Item {
		it := Item{ID: 1, State: state, Last: mtime.Add(time.Duration(minute) * time.Minute)}
		for _, do := range edit {
			do(&it)
		}
		return it
	}
	changed := func(it *Item) { it.Size = 7 }
	older := func(it *Item) { it.Older = true }
	doubt := func(it *Item) { it.Doubt = true }
	sentAt := func(minute int) func(*Item) {
		return func(it *Item) { it.First = mtime.Add(time.Duration(minute) * time.Minute) }
	}
	key := func(key string) func(*Item) {
		return func(it *Item) { it.Key, it.KeyMade = key, true }
	}
	attempts := func(n int) func(*Item) { return func(it *Item) { it.Attempts = n } }
	digest := func(it *Item) { it.Digest = []byte{1} }
	for name, c := range map[string]struct{ a, b, want Item }{
		"delivered, then failed": {
			row(item.Delivered, 1), row(item.Failed, 2), row(item.Delivered, 1)},
		"unknown, then failed": {
			row(item.Unknown, 1, doubt), row(item.Failed, 2), row(item.Unknown, 1, doubt)},
		"in flight, then deferred": {
			row(item.InFlight, 1), row(item.Deferred, 2), row(item.InFlight, 1)},
		"in flight, then unknown": {
			row(item.InFlight, 1), row(item.Unknown, 2), row(item.Unknown, 2)},
		"failed, then deferred": {
			row(item.Failed, 1), row(item.Deferred, 2), row(item.Failed, 1)},
		"failed twice": {row(item.Failed, 1), row(item.Failed, 2), row(item.Failed, 2)},
		"delivered twice": {
			row(item.Delivered, 1, digest), row(item.Delivered, 2), row(item.Delivered, 2, digest)},
		"attempts": {row(item.Failed, 1, attempts(5)), row(item.Failed, 2, attempts(3)),
			row(item.Failed, 2, attempts(5))},
		"failed, and deferred in doubt": {
			row(item.Failed, 2, key("a"), sentAt(2)),
			row(item.Deferred, 1, doubt, key("b"), sentAt(1)),
			row(item.Failed, 2, doubt, key("b"), sentAt(1))},
		"another content may be there": {
			row(item.Deferred, 1, older), row(item.Failed, 2), row(item.Failed, 2, older)},
		"changed after the delivery": {row(item.Delivered, 1), row(item.Unknown, 2, changed, doubt),
			row(item.Unknown, 2, changed, doubt, older)},
		"delivered after the change": {row(item.Unknown, 1), row(item.Delivered, 2, changed),
			row(item.Delivered, 2, changed, older)},
		"changed after a failure": {
			row(item.Failed, 1), row(item.Failed, 2, changed), row(item.Failed, 2, changed)},
	} {
		equal(t, name, join(c.a, c.b), c.want)
		equal(t, name+", the other way round", join(c.b, c.a), c.want)
	}
}

// [merge] To join a row once more changes nothing, and what was delivered stays so.
func TestJoinAgain(t *testing.T) {
	rows := rapid.Custom(func(t *rapid.T) Item {
		return Item{
			Fingerprint: Fingerprint{Size: rapid.Int64Range(0, 1).Draw(t, "size")},
			State:       item.Fate(rapid.IntRange(1, 5).Draw(t, "state")),
			Last:        mtime.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "last"))),
			Doubt:       rapid.Bool().Draw(t, "doubt"),
			Older:       rapid.Bool().Draw(t, "older"),
			Attempts:    rapid.IntRange(0, 3).Draw(t, "attempts"),
			Key:         rapid.StringMatching("[ab]?").Draw(t, "key"),
			Digest:      rapid.SampledFrom([][]byte{nil, {1}}).Draw(t, "digest"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := rows.Draw(t, "a"), rows.Draw(t, "b")
		ab := join(a, b)
		equal(t, "again", join(ab, b), ab)
		equal(t, "the first again", join(ab, a), ab)
		if a.State == item.Delivered && a.print() == b.print() && ab.State != item.Delivered {
			t.Error("it was delivered")
		}
		if a.State == item.Unknown && ab.State != item.Delivered && ab.State != item.InFlight &&
			ab.State != item.Unknown && !ab.Older {
			t.Errorf("it may have arrived, and is %+v", ab)
		}
	})
}
