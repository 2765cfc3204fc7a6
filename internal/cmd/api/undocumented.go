package main

import (
	"fmt"
	"go/ast"
	"go/printer"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// undocumented names what a package exports without saying what it is, sorted.
//
// Types, functions, methods, constants and variables are documented by their comment or by that of
// their group. So are the fields of structs and the methods of interfaces; or the type's comment
// names them, or the same name with the same type is explained somewhere else in the package: one
// name is one thing.
func undocumented(fset *token.FileSet, files []*ast.File) ([]string, error) {
	c := &checker{fset: fset, explained: map[string]bool{}}
	for _, f := range files {
		for _, d := range f.Decls {
			c.decl(d)
		}
	}
	var bare []string
	for _, f := range c.bareFields {
		if !c.explained[f.key] {
			bare = append(bare, f.name)
		}
	}
	bare = append(bare, c.bare...)
	slices.Sort(bare)
	return bare, c.err
}

type checker struct {
	fset       *token.FileSet
	bare       []string
	bareFields []field
	explained  map[string]bool // keys of fields that have a comment
	err        error
}

// field is one of a struct or interface; its key is the same wherever it means the same.
type field struct{ name, key string }

func (c *checker) decl(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = receiverName(d.Recv.List[0].Type) + "." + name
		}
		c.need(name, d.Doc)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				c.need(s.Name.Name, d.Doc, s.Doc)
				if s.Name.IsExported() {
					c.typeSpec(s, d.Doc.Text()+s.Doc.Text())
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					c.need(n.Name, d.Doc, s.Doc, s.Comment)
				}
			}
		}
	}
}

// need notes a name of which every part is exported and that has none of the comments.
func (c *checker) need(name string, docs ...*ast.CommentGroup) {
	for _, part := range strings.Split(name, ".") {
		if !ast.IsExported(part) {
			return
		}
	}
	if !anyText(docs...) {
		c.bare = append(c.bare, name)
	}
}

func (c *checker) typeSpec(s *ast.TypeSpec, doc string) {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	// group is the comment of the field above, which ends on line last, or of one right above that.
	group, last := "", 0
	for _, f := range list.List {
		if c.fset.Position(f.Pos()).Line != last+1 {
			group = ""
		}
		own := strings.TrimSpace(f.Doc.Text() + f.Comment.Text())
		if own != "" {
			group = own
		}
		last = c.fset.Position(f.End()).Line
		for _, n := range f.Names { // an embedded one explains itself
			if !n.IsExported() {
				continue
			}
			key := n.Name + " " + c.text(f.Type)
			word := regexp.MustCompile(`\b` + n.Name + `\b`)
			if own != "" || word.MatchString(group) {
				c.explained[key] = true
			}
			if group != "" || word.MatchString(doc) {
				continue
			}
			c.bareFields = append(c.bareFields, field{s.Name.Name + "." + n.Name, key})
		}
	}
}

func (c *checker) text(e ast.Expr) string {
	var b strings.Builder
	if err := printer.Fprint(&b, c.fset, e); err != nil && c.err == nil {
		c.err = fmt.Errorf("print a type: %w", err)
	}
	return b.String()
}

func anyText(docs ...*ast.CommentGroup) bool {
	return slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool {
		return strings.TrimSpace(d.Text()) != ""
	})
}

func receiverName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiverName(t.X)
	case *ast.IndexExpr: // generic
		return receiverName(t.X)
	case *ast.IndexListExpr:
		return receiverName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}
