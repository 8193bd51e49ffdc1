package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// What lazy.MustCompile is given parses: it would panic in the middle of a run otherwise.
func TestLazyPatterns(t *testing.T) {
	var names []string
	for _, dir := range []string{"internal/*", "cmd/*"} {
		found, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	patterns := 0
	for _, name := range names {
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || of.Sel.Name != "MustCompile" {
				return true
			}
			if x, ok := of.X.(*ast.Ident); !ok || x.Name != "lazy" {
				return true
			}
			pattern, ok := constant(call.Args[0])
			if _, err := regexp.Compile(pattern); !ok || err != nil {
				t.Errorf("%s: want a constant that parses: %v", files.Position(n.Pos()), err)
			}
			patterns++
			return true
		})
	}
	if patterns == 0 {
		t.Error("there are none: this test has nothing to do")
	}
}

// constant is the value of texts that are added.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		a, ok := constant(e.X)
		b, also := constant(e.Y)
		return a + b, ok && also
	}
	return "", false
}
