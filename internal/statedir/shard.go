package statedir

import (
	"cmp"
	"fmt"
	"path"
	"strings"
)

const of = "-of-" // between the numbers of a shard

// ForShard returns the file name of the journal of one of several shards, of the file name that the
// journal of the whole has.
func ForShard(file string, number, all int) string {
	return fmt.Sprintf("%s-%d%s%d%s", strings.TrimSuffix(file, Suffix), number, of, all, Suffix)
}

// OfShard returns the name that the journal of the whole has, of the name of a journal, and which
// shard that is of, such as 2/5; "" if it is none.
func OfShard(name string) (whole, shard string) {
	rest, all, found := cutLast(name, of)
	whole, number, dash := cutLast(rest, "-")
	if !found || !dash || !isNumber(number) || !isNumber(all) {
		return name, ""
	}
	return whole, number + "/" + all
}

// Match is [path.Match], but that the number of a shard, where the pattern has an asterisk for it,
// is all that this matches: "a-*-of-2" is no pattern for "a-b-1-of-2".
func Match(pattern, name string) (bool, error) {
	rest, all, found := cutLast(pattern, of)
	job, numbered := strings.CutSuffix(rest, "-*")
	whole, shard := OfShard(name)
	if !found || !numbered || shard == "" {
		return path.Match(pattern, name)
	}
	_, last, _ := strings.Cut(shard, "/")
	sameJob, err := path.Match(job, whole)
	sameAll, allErr := path.Match(all, last)
	return sameJob && sameAll, cmp.Or(err, allErr)
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// Related returns the names in dir of the journals of the same work as that whose file has a name
// of FileName: of the whole, and of shards. Where there is no directory there are none.
func Related(dir, file string) (related []string, err error) {
	names, err := Names(dir)
	for _, name := range names {
		if whole, _ := OfShard(name); name == Name(file) || whole == Name(file) {
			related = append(related, name)
		}
	}
	return related, err
}
