package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/source"
)

// InShard says how many items a run's shard has before they are sent.
func InShard(shard item.Shard, own, all int64, found source.Summary) string {
	switch {
	case found.Stream:
		return fmt.Sprintf("of these lines, those in shard %s; how many is known once they are read", shard)
	case found.Partial && all == 0:
		return fmt.Sprintf("of these files, those in shard %s; how many is known once they are read", shard)
	}
	text := WasInShard(shard, own, all)
	if found.Partial {
		text += ", without those that standard input names"
	}
	return text
}

// WasInShard says how many items were in a run's shard.
func WasInShard(shard item.Shard, own, all int64) string {
	return fmt.Sprintf("%s of %s %s in shard %s", human.Count(own), human.Plural(all, "file"),
		areIn(own), shard)
}

func areIn(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// Division says how many items are in each shard, or of many shards how many are in the smallest
// and the largest.
func Division(items []int64) string {
	const most = 20
	if len(items) > most {
		return fmt.Sprintf("each of the %s shards has %s to %s files",
			human.Count(int64(len(items))), human.Count(slices.Min(items)),
			human.Count(slices.Max(items)))
	}
	var each []string
	for i, n := range items {
		each = append(each, fmt.Sprintf("%d: %s", i+1, human.Count(n)))
	}
	return "files by shard: " + strings.Join(each, ", ")
}

// otherShard says what to do where a journal is of other shards than the run.
func otherShard(e *journal.ShardError) string {
	ofAnother := func(s item.Shard) bool { return s.Of != e.Want.Of }
	if !slices.ContainsFunc(e.Has, ofAnother) {
		return "each shard has a journal of its own: give it another --journal FILE, or none"
	}
	return "what others have delivered would be sent again: first merge the journals of " +
		e.Has.Missing().String() + " into it (penstock journal merge), or give --shard " +
		e.Has[0].String()
}
