package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var flagName = regexp.MustCompile(`(^|[^\w-])--[a-z]`)

// TestFlagNames: an engine that knows no flags can be given another front. Packages return typed
// errors and facts, which status words. Those that have flags of their own, or give them to other
// programs, are excepted.
func TestFlagNames(t *testing.T) {
	excepted := []string{"status", "lab", "bench", "servers", "matrix", "lint", "curl", "bulk"}
	names, err := filepath.Glob(filepath.Join(root, "internal", "*", "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") ||
			slices.Contains(excepted, filepath.Base(filepath.Dir(name))) {
			continue
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil &&
					flagName.MatchString(text) {
					t.Errorf("%s: %q names a flag: let internal/status word it",
						files.Position(lit.Pos()), text)
				}
			}
			return true
		})
	}
}

func TestFlagName(t *testing.T) {
	for text, want := range map[string]bool{
		"--only": true, "give it by --to": true, "(--to)": true,
		"a--b": false, "---": false, "--": false, "-- x": false, "--%s": false,
	} {
		if got := flagName.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
