package statedir

import (
	"fmt"
	"strings"
)

const of = "-of-" // between the numbers of a shard

// ForShard returns the file name of the journal of one of several shards, of the file name that the
// journal of the whole has.
func ForShard(file string, number, all int) string {
	return fmt.Sprintf("%s-%d%s%d%s", strings.TrimSuffix(file, Suffix), number, of, all, Suffix)
}

// Related returns the names in dir of the journals of the same work as that whose file has a name
// of FileName: of the whole, and of shards. Where there is no directory there are none.
func Related(dir, file string) (related []string, err error) {
	whole := Name(file)
	names, err := Names(dir)
	for _, name := range names {
		rest, found := strings.CutPrefix(name, whole)
		if found && (rest == "" || isShard(rest)) {
			related = append(related, name)
		}
	}
	return related, err
}

// isShard reports whether a name ends as that of a shard's journal.
func isShard(end string) bool {
	number, all, found := strings.Cut(strings.TrimPrefix(end, "-"), of)
	return found && end[0] == '-' && isNumber(number) && isNumber(all)
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
