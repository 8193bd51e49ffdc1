package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each file that CONTRIBUTING links or names is there.
func TestContributing(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	exists := func(name string) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("CONTRIBUTING names %s: %v", name, err)
		}
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 40 {
		t.Errorf("it has %d links", len(links))
	}
	for _, m := range links {
		exists(m[1])
	}
	for _, name := range regexp.MustCompile(`internal/[a-z0-9/]+\.go`).FindAllString(text, -1) {
		exists(name)
	}
	_, where, _ := strings.Cut(text, "## Where is")
	where, _, _ = strings.Cut(where, "\n## ")
	dir := ""
	for _, name := range regexp.MustCompile(`[a-z_/]+\.(?:go|md)`).FindAllString(where, -1) {
		if strings.Contains(name, "/") {
			dir = filepath.Dir(name)
		} else {
			name = filepath.Join(dir, name)
		}
		exists(name)
	}
}
