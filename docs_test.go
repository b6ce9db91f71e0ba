package tcptraceroute_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// public is a package that other programs may import, with its tests.
type public struct {
	dir   string
	fset  *token.FileSet
	files []*ast.File // without tests
	tests []*ast.File
}

// publicPackages reads those in this tree.
func publicPackages(t *testing.T) (all []*public) {
	byDir := make(map[string]*public)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && len(name) > 1 &&
			(name[0] == '.' || name == "internal" || name == "testdata" || name == "cmd" || name == "examples") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_other.go") {
			return nil
		}
		dir := filepath.Dir(path)
		if dir == "bench" || dir == "test" { // a program, and tests of one
			return nil
		}
		p := byDir[dir]
		if p == nil {
			p = &public{dir: dir, fset: token.NewFileSet()}
			byDir[dir], all = p, append(all, p)
		}
		f, err := parser.ParseFile(p.fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			p.tests = append(p.tests, f)
		} else {
			p.files = append(p.files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every public package has an example that go doc shows.
func TestEveryPackageHasAnExample(t *testing.T) {
	for _, p := range publicPackages(t) {
		if len(doc.Examples(p.tests...)) == 0 {
			t.Errorf("package %s has no example", p.dir)
		}
	}
}

// unexported returns the names that a package declares for itself alone: of types, functions, methods, constants,
// variables and fields.
func (p *public) unexported() map[string]bool {
	names := make(map[string]bool)
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if !id.IsExported() && id.Name != "_" {
				names[id.Name] = true
			}
		}
	}
	for _, f := range p.files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				add(d.Name)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						add(s.Name)
						if st, ok := s.Type.(*ast.StructType); ok {
							for _, field := range st.Fields.List {
								add(field.Names...)
							}
						}
					case *ast.ValueSpec:
						add(s.Names...)
					}
				}
			}
		}
	}
	return names
}

var (
	// A name that is written as no word of English is: haveMixedCase, or a method with its receiver.
	mixedCase = regexp.MustCompile(`\b[a-z]+[a-z0-9]*[A-Z]\w*\b`)
	method    = regexp.MustCompile(`\b([a-z]\w*)\.([a-zA-Z]\w*)\b`)
	// A name that the reader is sent to.
	reference = regexp.MustCompile(`\b(?:see|See) ([a-z]\w*)\b|\[([a-z]\w*)\]|\(([a-z]\w*)\)`)
)

// private returns the names in a comment that mean something unexported.
func private(comment string, names map[string]bool) (found []string) {
	prose := regexp.MustCompile(`(?m)^\t.*$`).ReplaceAllString(comment, "") // code in a comment declares its own names
	for _, name := range mixedCase.FindAllString(prose, -1) {
		if names[name] {
			found = append(found, name)
		}
	}
	for _, m := range method.FindAllStringSubmatch(prose, -1) {
		if names[m[1]] && names[m[2]] {
			found = append(found, m[0])
		}
	}
	for _, m := range reference.FindAllStringSubmatch(prose, -1) {
		if name := m[1] + m[2] + m[3]; names[name] {
			found = append(found, name)
		}
	}
	return found
}

// No exported comment names an unexported thing: its reader can't look it up.
func TestExportedCommentsNameNothingPrivate(t *testing.T) {
	for _, p := range publicPackages(t) {
		if len(p.files) == 0 {
			continue
		}
		names := p.unexported()
		check := func(what string, at token.Pos, groups ...*ast.CommentGroup) {
			for _, g := range groups {
				for _, name := range private(g.Text(), names) {
					t.Errorf("%v: the comment of %s names %s", p.fset.Position(at), what, name)
				}
			}
		}
		for _, f := range p.files {
			check("the package", f.Package, f.Doc)
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Name.IsExported() && exportedReceiver(n) {
						check(n.Name.Name, n.Pos(), n.Doc)
					}
					return false
				case *ast.TypeSpec:
					if !n.Name.IsExported() {
						return false
					}
					check(n.Name.Name, n.Pos(), n.Doc, n.Comment)
				case *ast.GenDecl:
					if exportsAny(n) {
						check("a declaration", n.Pos(), n.Doc)
					}
				case *ast.ValueSpec:
					if n.Names[0].IsExported() {
						check(n.Names[0].Name, n.Pos(), n.Doc, n.Comment)
					}
				case *ast.Field:
					if len(n.Names) > 0 && n.Names[0].IsExported() {
						check(n.Names[0].Name, n.Pos(), n.Doc, n.Comment)
					}
				}
				return true
			})
		}
	}
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	id, ok := of.(*ast.Ident)
	return ok && id.IsExported()
}

func exportsAny(d *ast.GenDecl) bool {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			return s.Name.IsExported()
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() {
					return true
				}
			}
		}
	}
	return false
}
