package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Lines have at most 100 columns, a tab counting as 4, unless a text in them has more than half of
// that. Of the public packages this holds for all files but tests.
func TestColumns(t *testing.T) {
	const most = 100
	text := regexp.MustCompile("\"[^\"]{50,}\"|`[^`]{50,}`")
	for _, dir := range []string{"internal", "cmd", "throttle", "retry", "pool"} {
		all := dir == "internal" || dir == "cmd"
		check := func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
				!all && strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(b), "\n") {
				columns := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
				if columns > most && !text.MatchString(line) {
					t.Errorf("%s:%d has %d columns", path, i+1, columns)
				}
			}
			return nil
		}
		if err := filepath.WalkDir(filepath.Join(root, dir), check); err != nil {
			t.Fatal(err)
		}
	}
}
