package source

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
)

// errElsewhere: it is in another shard.
var errElsewhere = errors.New("in another shard")

// A division counts the items of each shard in one iteration.
type division struct {
	shard item.Shard
	items []int64 // by shard
	read  *read   // if not nil, what stdin names is counted there
	// other is called with what goes to a URL in another shard, which no item of this one may have
	// too.
	other func(item.Item)
}

// read counts what stdin or a stream has named.
type read struct{ own, all atomic.Int64 }

// newDivision returns nil if the run has no shard.
func (s *Source) newDivision(other func(item.Item)) *division {
	if s.opts.Shard.IsWhole() {
		return nil
	}
	return &division{
		shard: s.opts.Shard, items: make([]int64, s.opts.Shard.Of), other: other,
	}
}

// from has items counted in r, or as those that are found if it is nil.
func (d *division) from(r *read) {
	if d != nil {
		d.read = r
	}
}

// own counts an item that is in the run's shard.
func (d *division) own() {
	if d != nil {
		d.count(d.shard.Number)
	}
}

func (d *division) count(shard int) {
	switch {
	case d.read == nil:
		d.items[shard-1]++
	case shard == d.shard.Number:
		d.read.own.Add(1)
		fallthrough
	default:
		d.read.all.Add(1)
	}
}

// Divided returns how many items are in Options.Shard, and how many there are in all shards, by
// what Scan has found, and what was read since. Directories that cannot be read are no items.
func (s *Source) Divided(found Summary) (own, all int64) {
	for i, n := range found.Shards {
		all += n
		if i+1 == s.opts.Shard.Number {
			own = n
		}
	}
	return own + s.read.own.Load(), all + s.read.all.Load()
}

// Whole returns a source of the items of all shards.
func (s *Source) Whole() (*Source, error) {
	if s.opts.Shard.IsWhole() {
		return s, nil
	}
	opts := s.opts
	opts.Shard = item.Shard{}
	return New(opts)
}

// isElsewhere reports whether an item is in another shard, and counts it there. It needs no look at
// the disk: what one machine cannot read must be in the same shard as on one that can. An item that
// is here is counted when it is yielded.
//
// What distinguishes items by more than these texts, such as the server, does not count: machines
// may be given different ones.
func (s *Source) isElsewhere(
	iter *iteration, it *item.Item, t *template.URL, texts ...string,
) bool {
	d := iter.division
	if d == nil {
		return false
	}
	shard := item.ShardOf(d.shard.Of, texts...)
	if shard == d.shard.Number {
		return false
	}
	other := *it
	if t != nil && s.setTarget(&other, t, urlValues(&other)) == nil {
		if !iter.join.Takes(&other) {
			return true
		}
		if d.other != nil {
			d.other(other)
		}
	}
	d.count(shard)
	return true
}

// isFileElsewhere is isElsewhere for a file that was named or found, which is known by its place
// below what was named: the same wherever that is.
func (s *Source) isFileElsewhere(iter *iteration, it *item.Item) bool {
	return s.isElsewhere(iter, it, s.opts.Template, placeText, it.Rel)
}

// What comes before other texts that an item is known by.
const (
	keyText   = "key"
	placeText = "path"
	lineText  = "line"
)

// shardTexts returns what the item of a line is known by: its key, or else its path, URL, and
// fields that are sent, as the line has them but without credentials, which may be others on each
// machine.
func (s *Source) shardTexts(e *entry) []string {
	switch {
	case s.opts.Shard.IsWhole():
		return nil
	case e.key != "":
		return []string{keyText, e.key}
	case e.path == "":
		return []string{lineText, e.hash}
	}
	texts := []string{placeText, slashed(e.path)}
	if e.url != "" {
		where, _ := conceal.WithoutCredentials(e.url)
		texts = append(texts, "url", where)
	}
	for _, name := range slices.Sorted(maps.Keys(e.fields)) {
		v := e.fields[name].Text
		if slices.Contains(s.vars, name) && !conceal.Credential(name, []string{v}) {
			texts = append(texts, "field", name, v)
		}
	}
	return texts
}
