package item

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Shard is one of several parts of the same work, each sent by a run of its own. The zero Shard
// is the whole.
type Shard struct {
	Number int // from 1
	Of     int
}

// MostShards is how many completions Kubernetes allows an Indexed Job.
const MostShards = 100_000

// IsWhole reports whether it is all of the work.
func (s Shard) IsWhole() bool { return s == Shard{} }

// String returns the shard as [ParseShard] reads it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Number, s.Of) }

// ParseShard reads a shard, such as 2/5.
func ParseShard(text string) (Shard, error) {
	number, of, found := strings.Cut(text, "/")
	s := Shard{shardNumber(number), shardNumber(of)}
	switch {
	case !found, s.Number < 0, s.Of < 0:
		return Shard{}, errors.New("want the number of one of several shards, such as 2/5")
	case s.Of == 0 || s.Of > MostShards:
		return Shard{}, fmt.Errorf("there can be 1 to %d shards", MostShards)
	case s.Number == 0 || s.Number > s.Of:
		return Shard{}, fmt.Errorf("shards are numbered from 1 to %d", s.Of)
	}
	return s, nil
}

// shardNumber returns -1 for what is no number. One that is too large for an int is also too large
// for a shard.
func shardNumber(text string) int {
	n, err := strconv.ParseUint(text, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return MostShards + 1
	case err != nil:
		return -1
	}
	return int(n)
}

// ShardOf returns the number of the shard, of so many, that an item is in which is known by these
// texts. All machines and all versions have to agree: it never changes.
func ShardOf(of int, texts ...string) int {
	b := make([]byte, 0, 256) // on the stack
	for _, text := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...) // a, bc is not ab, c
	}
	sum := sha256.Sum256(b)
	return 1 + int(binary.BigEndian.Uint64(sum[:])%uint64(of))
}
