package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/test"
)

// A block is a fenced part of README.md.
type block struct {
	line int    // of its first line of text
	kind string // what stands after the fence
	text string
}

func blocks(markdown string) (all []block) {
	var b *block
	n := 0
	for line := range strings.Lines(markdown) {
		n++
		fence, found := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case found && b == nil:
			b = &block{line: n + 1, kind: fence}
		case found:
			all = append(all, *b)
			b = nil
		case b != nil:
			b.text += line
		}
	}
	return all
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	test.OK(t, err)
	return string(b)
}

// Prose can be read, and a change of it reviewed, without a line that a terminal breaks. A row of a
// table is one line.
func TestReadmeLines(t *testing.T) {
	code := false
	for i, line := range strings.Split(readme(t), "\n") {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if n := utf8.RuneCountInString(line); n > 140 && !code && !strings.HasPrefix(line, "|") {
			t.Errorf("README.md:%d has %d columns", i+1, n)
		}
	}
}

// What README shows in Go is the body of an Example, or a function or a whole file of the programs
// under examples: code that is built, and run, by the tests.
func TestReadmeGo(t *testing.T) {
	text := readme(t)
	var names []string
	for _, pattern := range []string{"throttle/*_test.go", "retry/*_test.go", "pool/*_test.go",
		"examples/*/*.go"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		test.OK(t, err)
		names = append(names, found...)
	}
	tested := map[string]bool{}
	for _, name := range names {
		src, err := os.ReadFile(name)
		test.OK(t, err)
		program := within(filepath.ToSlash(name), root+"/examples")
		if program {
			tested[strings.TrimSpace(string(src))] = true
		}
		for _, code := range functions(t, string(src), program) {
			tested[code] = true
		}
	}
	for _, b := range blocks(text) {
		switch b.kind {
		case "go":
			if !tested[strings.TrimSpace(b.text)] {
				t.Errorf("README.md:%d: no Example and no program under examples has this "+
					"code:\n%s", b.line, b.text)
			}
		case "golang", "Go":
			t.Errorf("README.md:%d: call the block go, so that it is tested", b.line)
		}
	}
}

// functions returns the bodies of the Examples in src; of a program the bodies and texts of all
// functions.
func functions(t *testing.T, src string, program bool) (code []string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "", src, parser.ParseComments)
	test.OK(t, err)
	text := func(from,
		to token.Pos) string {
		return src[files.Position(from).Offset:files.Position(to).Offset]
	}
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok || d.Body == nil || !program && !strings.HasPrefix(d.Name.Name, "Example") {
			continue
		}
		body, _, _ := strings.Cut(text(d.Body.Lbrace+1, d.Body.Rbrace), "\n\t// Output:")
		body = strings.ReplaceAll(body, "\n\t", "\n")
		code = append(code, strings.TrimSpace(body))
		if program {
			code = append(code, text(d.Pos(), d.End()))
			if d.Doc != nil {
				code = append(code, text(d.Doc.Pos(), d.End()))
			}
		}
	}
	return code
}

func TestFunctions(t *testing.T) {
	got := functions(t, `package p

// ExampleX shows.
func ExampleX() {
	if true {
		f()
	}

	// Output: 1
}

func f() {}
`, false)
	if len(got) != 1 || got[0] != "if true {\n\tf()\n}" {
		t.Errorf("%q", got)
	}
}
