package status

import (
	"testing"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/source"
)

func TestShardInWords(t *testing.T) {
	shard := item.Shard{Number: 2, Of: 5}
	many := make([]int64, 1000)
	many[7], many[8] = 3, 1234
	for got, want := range map[string]string{
		InShard(shard, 12_000, 60_000, source.Summary{}): "12,000 of 60,000 files are in shard 2/5",
		InShard(shard, 1, 1, source.Summary{}):           "1 of 1 file is in shard 2/5",
		InShard(shard, 3, 9, source.Summary{Partial: true}): "3 of 9 files are in shard 2/5, " +
			"without those that standard input names",
		Division([]int64{3, 0, 1000}): "files by shard: 1: 3, 2: 0, 3: 1,000",
		Division(many):                "each of the 1,000 shards has 0 to 1,234 files",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
