package item

import (
	"fmt"
	"testing"
)

func TestParseShard(t *testing.T) {
	const form = "want the number of one of several shards, such as 2/5"
	for text, want := range map[string]string{
		"1/1": "", "2/5": "", "5/5": "", "100000/100000": "",
		"0/3": "shards are numbered from 1 to 3", "4/3": "shards are numbered from 1 to 3",
		"99999999999999999999/3": "shards are numbered from 1 to 3",
		"1/0":                    "there can be 1 to 100000 shards",
		"1/100001":               "there can be 1 to 100000 shards",
		"1/99999999999999999999": "there can be 1 to 100000 shards",

		"": form, "2": form, "/": form, "x/3": form, "2/x": form, "-1/3": form, "1/3/5": form,
		" 1/3": form, "+1/3": form, "1.0/3": form, "0x1/3": form,
	} {
		s, err := ParseShard(text)
		switch {
		case want == "" && (err != nil || s.String() != text || s.IsWhole()):
			t.Errorf("%q: %v, %v", text, s, err)
		case want != "" && (err == nil || err.Error() != want || !s.IsWhole()):
			t.Errorf("%q: %v, %v, want %s", text, s, err, want)
		}
	}
}

func FuzzParseShard(f *testing.F) {
	f.Add("2/5")
	f.Add("0/3")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseShard(text)
		if ok := s.Number >= 1 && s.Number <= s.Of && s.Of <= MostShards; ok != (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
	})
}

// [shards] Other versions and machines have these, too: another number would be another division.
func TestShardOf(t *testing.T) {
	for _, c := range []struct {
		of    int
		texts []string
		want  int
	}{
		{1, []string{"path", "a"}, 1}, {5, []string{"path", "a"}, 5}, {5, []string{"path", "b"}, 3},
		{100_000, []string{"path", "in/ä b"}, 60897}, {7, []string{"key", "k"}, 6},
		{7, []string{"path", "a", "url", "https://h/a"}, 3}, {7, nil, 2},
	} {
		if got := ShardOf(c.of, c.texts...); got != c.want {
			t.Errorf("%q of %d: %d, want %d", c.texts, c.of, got, c.want)
		}
	}
	if a, b := ShardOf(MostShards, "a", "bc"), ShardOf(MostShards, "ab", "c"); a == b {
		t.Error("two lists of texts are one")
	}
}

// The shards are of about one size: the standard deviation is some 100 of these.
func TestShardSizes(t *testing.T) {
	counts := [5]int{}
	for i := range 50_000 {
		counts[ShardOf(len(counts), "path", fmt.Sprintf("data/%06d.json", i))-1]++
	}
	for _, n := range counts {
		if n < 9_600 || n > 10_400 {
			t.Error(counts)
		}
	}
}
