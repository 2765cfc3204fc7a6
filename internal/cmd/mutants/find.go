package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mutant is one bug: what it does to which piece of the source.
type mutant struct {
	id          int // its number in the switch; lower than those of the mutants inside it
	pos         token.Position
	pkg, fn     string
	first, last int // lines of the function
	from, to    string
	edits       []edit
}

func (m *mutant) key() string { return fmt.Sprintf("%s.%s: %s -> %s", m.pkg, m.fn, m.from, m.to) }

func (m *mutant) String() string {
	file := path.Join(m.pkg, filepath.Base(m.pos.Filename))
	return fmt.Sprintf("%s:%d:%d: %s: %s -> %s", file, m.pos.Line, m.pos.Column, m.fn, m.from, m.to)
}

// edit replaces the source from one offset to another.
type edit struct {
	from, to int
	text     string
	closes   bool // it ends what an earlier edit of the same mutant began
}

// finder walks through one declaration. Outer pieces come before what they contain.
type finder struct {
	*target
	src         *source
	fn          string
	first, last int
	stack       []ast.Node
	known       map[ast.Expr]bool // part of a condition that was looked at as a whole
	mutants     []*mutant
}

// find lists the bugs that can be planted.
func (t *target) find() []*mutant {
	f := &finder{target: t, known: map[ast.Expr]bool{}}
	for _, name := range t.GoFiles {
		f.src = t.files[filepath.Join(t.Dir, name)]
		for _, d := range f.src.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				f.declaration(d, receiver(d)+d.Name.Name)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.VAR {
						f.declaration(v, v.Names[0].Name)
					}
				}
			}
		}
	}
	slices.SortStableFunc(f.mutants, func(a, b *mutant) int {
		return cmp.Or(strings.Compare(a.pos.Filename, b.pos.Filename), a.pos.Offset-b.pos.Offset)
	})
	return f.mutants
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	e := d.Recv.List[0].Type
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if g, ok := e.(*ast.IndexExpr); ok {
		e = g.X
	}
	return types.ExprString(e) + "."
}

func (f *finder) declaration(n ast.Node, name string) {
	f.fn = name
	f.first, f.last = f.fset.Position(n.Pos()).Line, f.fset.Position(n.End()).Line
	ast.Inspect(n, func(n ast.Node) bool {
		if n == nil {
			f.stack = f.stack[:len(f.stack)-1]
			return true
		}
		f.visit(n)
		f.stack = append(f.stack, n)
		return true
	})
}

func (f *finder) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	case *ast.IfStmt:
		f.condition(n.Cond, true, true)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond, false, true)
		}
	case *ast.RangeStmt:
		at := f.offset(n.Body.Lbrace) + 1
		f.add(n.X, "never runs", edit{from: at, to: at, text: " if mutantOn(%d) { break };"})
	case *ast.SwitchStmt:
		f.cases(n)
	case *ast.ReturnStmt:
		f.results(n)
	case *ast.CompositeLit:
		f.fields(n)
	case *ast.CallExpr:
		f.wrapped(n)
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.NOT && !f.known[n] {
			f.condition(n, true, true)
		}
	}
}

// statements drops each statement that the program compiles without.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		drop := false
		switch s := s.(type) {
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			drop = ok && types.ExprString(call.Fun) != "panic" // it may be what ends a function
		case *ast.AssignStmt:
			isUsed := func(e ast.Expr) bool { return types.ExprString(e) != "_" }
			drop = s.Tok != token.DEFINE && slices.ContainsFunc(s.Lhs, isUsed)
		case *ast.IncDecStmt, *ast.GoStmt, *ast.DeferStmt, *ast.SendStmt:
			drop = true
		case *ast.BranchStmt:
			drop = s.Tok == token.BREAK || s.Tok == token.CONTINUE
		case *ast.ReturnStmt:
			drop = f.resultTypes() == nil
		}
		if drop {
			f.wrap(s, "dropped", "if !mutantOn(%d) { ", " }")
		}
	}
}

// condition makes e true and false, if these differ from what its operands can do, and drops its
// operands.
func (f *finder) condition(e ast.Expr, becomesTrue, becomesFalse bool) {
	f.known[e] = true
	if p, ok := e.(*ast.ParenExpr); ok {
		f.condition(p.X, becomesTrue, becomesFalse)
		return
	}
	tv := f.info.Types[e]
	if tv.Value != nil || !types.Identical(types.Default(tv.Type), types.Typ[types.Bool]) {
		return
	}
	if becomesTrue {
		f.wrap(e, "true", "(mutantOn(%d) || (", "))")
	}
	if becomesFalse {
		f.wrap(e, "false", "(!mutantOn(%d) && (", "))")
	}
	if not, ok := e.(*ast.UnaryExpr); ok {
		e = ast.Unparen(not.X)
		f.known[not.X], f.known[e] = true, true
	}
	if b, ok := e.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
		f.operands(b, b.Op)
	}
}

// operands drops each operand of a chain of && or ||.
func (f *finder) operands(b *ast.BinaryExpr, op token.Token) {
	for _, e := range []ast.Expr{b.X, b.Y} {
		if c, ok := e.(*ast.BinaryExpr); ok && c.Op == op {
			f.known[c] = true
			f.operands(c, op)
			continue
		}
		f.condition(e, op == token.LAND, op == token.LOR)
	}
}

// cases makes each value of a switch one that never comes, unless that changes nothing: a value
// that is only named, so that a linter sees all of them.
func (f *finder) cases(n *ast.SwitchStmt) {
	var clauses []*ast.CaseClause
	hasDefault := false
	for _, s := range n.Body.List {
		c, _ := s.(*ast.CaseClause)
		clauses = append(clauses, c)
		hasDefault = hasDefault || c.List == nil
	}
	for i, c := range clauses {
		named := len(c.Body) == 0 && !hasDefault
		if len(c.Body) == 1 && i+1 < len(clauses) && clauses[i+1].List == nil {
			b, ok := c.Body[0].(*ast.BranchStmt)
			named = ok && b.Tok == token.FALLTHROUGH
		}
		if named {
			continue
		}
		for _, e := range c.List {
			if n.Tag == nil {
				f.condition(e, true, true)
			} else if tag := f.info.TypeOf(n.Tag); f.is(e, tag) && !types.IsInterface(tag) {
				f.wrap(e, "no such case", "mutantCase(%d, ", ")")
			}
		}
	}
}

// results makes returned errors nil, flips what is true or false, and makes other values zero,
// unless they are returned beside an error, with which they mean nothing.
func (f *finder) results(n *ast.ReturnStmt) {
	want := f.resultTypes()
	if len(want) != len(n.Results) {
		return // nothing, or all that another function returns
	}
	fails := false
	for i, e := range n.Results {
		_, maybeNil := e.(*ast.Ident)
		fails = fails || isError(want[i]) && !maybeNil
	}
	for i, e := range n.Results {
		tv := f.info.Types[e]
		switch {
		case isError(want[i]):
			if !tv.IsNil() {
				f.wrap(e, "nil", "mutantErr(%d, ", ")")
			}
		case fails:
		case tv.Value != nil && tv.Value.Kind() == constant.Bool:
			f.wrap(e, strconv.FormatBool(!constant.BoolVal(tv.Value)), "mutantOn(%d) != (", ")")
		case types.Identical(want[i], types.Typ[types.Bool]):
			f.condition(e, true, true)
		default:
			f.zero(e, want[i])
		}
	}
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// resultTypes are those of the innermost function around the statement.
func (f *finder) resultTypes() (all []types.Type) {
	for i := len(f.stack) - 1; i >= 0; i-- {
		var results *ast.FieldList
		switch fn := f.stack[i].(type) {
		case *ast.FuncDecl:
			results = fn.Type.Results
		case *ast.FuncLit:
			results = fn.Type.Results
		default:
			continue
		}
		if results != nil {
			for _, r := range results.List {
				for range max(1, len(r.Names)) {
					all = append(all, f.info.TypeOf(r.Type))
				}
			}
		}
		break
	}
	return all
}

// fields leaves out each named field of a struct.
func (f *finder) fields(n *ast.CompositeLit) {
	for _, e := range n.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return
		}
		if key, ok := kv.Key.(*ast.Ident); ok {
			if field, ok := f.info.Uses[key].(*types.Var); ok && field.IsField() {
				f.zero(kv.Value, field.Type())
			}
		}
	}
}

// zero makes e the zero value, unless it is that already or its type alone does not say which.
func (f *finder) zero(e ast.Expr, want types.Type) {
	lit, isLit := e.(*ast.CompositeLit)
	v := f.info.Types[e].Value
	empty := isLit && len(lit.Elts) == 0 ||
		v != nil && slices.Contains([]string{`""`, "0", "false"}, v.ExactString())
	if !empty && f.is(e, want) {
		f.wrap(e, "zero", "mutantZero(%d, ", ")")
	}
}

// is reports whether the compiler infers the type want from e.
func (f *finder) is(e ast.Expr, want types.Type) bool {
	tv := f.info.Types[e]
	if tv.IsNil() || !types.Identical(tv.Type, want) {
		return false
	}
	if tv.Value == nil || want == types.Typ[types.String] || want == types.Typ[types.Int] {
		return true
	}
	if s, ok := e.(*ast.SelectorExpr); ok {
		e = s.Sel
	}
	id, ok := e.(*ast.Ident)
	return ok && types.Identical(f.info.Uses[id].Type(), want) // not an untyped constant
}

// wrapped hides the error that an error wraps from errors.Is.
func (f *finder) wrapped(n *ast.CallExpr) {
	if types.ExprString(n.Fun) != "fmt.Errorf" {
		return
	}
	if lit, ok := n.Args[0].(*ast.BasicLit); ok && strings.Contains(lit.Value, "%w") {
		f.wrap(lit, "%v", "mutantPick(%d, ", ", "+strings.ReplaceAll(lit.Value, "%w", "%v")+")")
	}
}

// operators maps those that are changed to what they become and to the function that does so.
var operators = map[token.Token][2]string{
	token.LSS: {"<=", "Less"}, token.LEQ: {"<", "AtMost"},
	token.GTR: {">=", "More"}, token.GEQ: {">", "AtLeast"},
	token.ADD: {"-", "Add"}, token.SUB: {"+", "Sub"},
	token.MUL: {"/", "Mul"}, token.QUO: {"*", "Div"},
}

// binary shifts bounds by one and turns sums round.
func (f *finder) binary(n *ast.BinaryExpr) {
	tv := f.info.Types[n]
	if tv.Value != nil {
		return
	}
	if types.Identical(types.Default(tv.Type), types.Typ[types.Bool]) && !f.known[n] {
		f.condition(n, true, true)
	}
	op, ok := operators[n.Op]
	basic, isBasic := f.info.TypeOf(n.X).Underlying().(*types.Basic)
	bound := n.Op == token.LSS || n.Op == token.LEQ || n.Op == token.GTR || n.Op == token.GEQ
	if !ok || !isBasic || !bound && basic.Info()&types.IsNumeric == 0 {
		return
	}
	x, y := f.offset(n.X.Pos()), f.offset(n.Y.End())
	at := f.offset(n.OpPos)
	f.add(n, fmt.Sprintf("%s %s %s", f.text(n.X), op[0], f.text(n.Y)),
		edit{from: x, to: x, text: "mutant" + op[1] + "(%d, "},
		edit{from: at, to: at + len(n.Op.String()), text: ","},
		edit{from: y, to: y, text: ")", closes: true})
}

// wrap puts text around n.
func (f *finder) wrap(n ast.Node, to, before, after string) {
	from, end := f.offset(n.Pos()), f.offset(n.End())
	f.add(n, to,
		edit{from: from, to: from, text: before},
		edit{from: end, to: end, text: after, closes: true})
}

// add notes a mutant of n. The first edit's text takes the mutant's number.
func (f *finder) add(n ast.Node, to string, edits ...edit) {
	m := &mutant{
		id: len(f.mutants), pos: f.fset.Position(n.Pos()), from: f.text(n), to: to, edits: edits,
		pkg: f.name, fn: f.fn, first: f.first, last: f.last,
	}
	m.edits[0].text = fmt.Sprintf(edits[0].text, m.id)
	f.mutants = append(f.mutants, m)
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// text is the source of n on one line, cut to a readable length.
func (f *finder) text(n ast.Node) string {
	const most = 60
	code := string(f.src.text[f.offset(n.Pos()):f.offset(n.End())])
	s := []rune(strings.Join(strings.Fields(code), " "))
	if len(s) > most {
		s = append(s[:most-1], '…')
	}
	return string(s)
}
