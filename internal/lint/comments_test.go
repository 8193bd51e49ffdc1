package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Every exported name of the public packages says what it is: types, functions, methods, constants,
// variables and fields.
//
// A comment above a group of constants or variables, or above a paragraph of fields, speaks for all
// of it; so does that of a type for a struct on one line. A field that is named as its type, such
// as `Outcome Outcome`, has its comment there.
func TestExportedNamesHaveComments(t *testing.T) {
	for _, path := range public {
		names, err := filepath.Glob(filepath.Join(root, strings.TrimPrefix(path, module+"/"),
			"*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no files of %s: %v", path, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			c := commenting{files: token.NewFileSet()}
			f, err := parser.ParseFile(c.files, name, nil,
				parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range f.Decls {
				c.declaration(decl)
			}
			for _, missing := range c.missing {
				t.Errorf("%s: %s has no comment", c.files.Position(missing.Pos()), missing.Name)
			}
		}
	}
}

// commenting finds the exported names of a file that have no comment.
type commenting struct {
	files   *token.FileSet
	missing []*ast.Ident
}

func (c *commenting) declaration(decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(typeName(d.Recv.List[0].Type)) {
			c.check(d.Doc, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				c.check(either(d.Doc, s.Doc, s.Comment), s.Names...)
			case *ast.TypeSpec:
				if !s.Name.IsExported() {
					continue
				}
				c.check(either(d.Doc, s.Doc, s.Comment), s.Name)
				switch u := s.Type.(type) {
				case *ast.StructType:
					c.fields(u.Fields)
				case *ast.InterfaceType:
					c.fields(u.Methods)
				}
			}
		}
	}
}

func (c *commenting) fields(list *ast.FieldList) {
	if c.line(list.Pos()) == c.line(list.End()) {
		return
	}
	var paragraph *ast.CommentGroup
	last := 0
	for _, f := range list.List {
		switch {
		case f.Doc != nil:
			paragraph = f.Doc
		case c.line(f.Pos()) > last+1:
			paragraph = nil
		}
		last = c.line(f.End())
		for _, name := range f.Names {
			if !strings.HasSuffix(typeName(f.Type), name.Name) {
				c.check(either(paragraph, f.Comment), name)
			}
		}
	}
}

func (c *commenting) check(comment *ast.CommentGroup, names ...*ast.Ident) {
	for _, name := range names {
		if comment == nil && name.IsExported() {
			c.missing = append(c.missing, name)
		}
	}
}

func (c *commenting) line(p token.Pos) int { return c.files.Position(p).Line }

func either(comments ...*ast.CommentGroup) *ast.CommentGroup {
	for _, c := range comments {
		if c.Text() != "" {
			return c
		}
	}
	return nil
}

// typeName is the name of a type that has one, without package, pointer and type parameters.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	}
	return ""
}
