package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise of README has an identifier, in a comment after its sentence: <!-- [pace] -->. The
// tests that fail where it is broken begin with it: a test's doc comment, or a comment of a script.
var (
	promised = regexp.MustCompile(`<!-- ((?:\[[a-z][a-z ]*\] ?)+)-->`)
	judged   = regexp.MustCompile(`^((?:\[[a-z][a-z ]*\] )+)`)
)

func TestPromises(t *testing.T) {
	tests := map[string]string{} // by promise
	found := func(where, comment string) {
		if m := judged.FindStringSubmatch(comment); m != nil {
			for _, id := range identifiers(m[1]) {
				tests[id] = where
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, decl := range f.Decls {
				if d, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(d.Name.Name, "Test") {
					found(path+" "+d.Name.Name, d.Doc.Text())
				}
			}
		case strings.HasSuffix(path, ".txtar"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			script, _, _ := strings.Cut(string(b), "\n-- ")
			for line := range strings.Lines(script) {
				if comment, ok := strings.CutPrefix(line, "# "); ok {
					found(path, comment)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	promises := map[string]bool{}
	for _, m := range promised.FindAllStringSubmatch(readme(t), -1) {
		for _, id := range identifiers(m[1]) {
			if promises[id] {
				t.Errorf("README.md has [%s] twice", id)
			}
			if promises[id] = true; tests[id] == "" {
				t.Errorf("README.md: no test begins with [%s]", id)
			}
		}
	}
	if len(promises) == 0 {
		t.Error("README.md promises nothing")
	}
	for id, where := range tests {
		if !promises[id] {
			t.Errorf("%s: README.md has no promise [%s]", where, id)
		}
	}
}

// identifiers splits "[a] [b] ".
func identifiers(text string) []string {
	return strings.Split(strings.Trim(text, "[] "), "] [")
}
