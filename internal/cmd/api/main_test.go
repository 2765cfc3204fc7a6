package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
)

const source = `// Package p is for the test.
package p

import "io"

// Limit is documented.
const Limit = 3

const Bare, inner = 1, 2

// The errors.
var (
	ErrOne error
	ErrTwo error
)

// Store has one explained method and one that is not.
type Store interface {
	// Get gets.
	Get(name string) (io.Reader, error)

	Put(int)
	hidden()
}

// Item explains Named.
type Item struct {
	// Group and Grouped belong together.
	Group   int
	Grouped string ` + "`json:\"grouped\"`" + `

	Named int

	Alone  int
	hidden int
	io.Reader
}

// Other has a field that Item explains, and one of that name and another type.
type Other struct {
	Grouped string

	Group string
}

type Plain int

// String is documented.
func (p Plain) String() string { return "" }

func (p *Plain) Set(n int) {}

func (h hiddenType) Exported() {}

type hiddenType int

func New[T any](t T) *Item { return nil }
`

func parse(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", source, parser.ParseComments)
	require.NoError(t, err)
	return fset, []*ast.File{f}
}

func TestUndocumented(t *testing.T) {
	fset, files := parse(t)
	names, err := undocumented(fset, files)
	require.NoError(t, err)
	require.Equal(t, []string{"Bare", "Item.Alone", "New", "Other.Group", "Plain", "Plain.Set", "Store.Put"}, names)
}

func TestExported(t *testing.T) {
	fset, files := parse(t)
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	p, err := conf.Check(module+"a/p", fset, files, nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"a/p: const Bare untyped int = 1",
		"a/p: const Limit untyped int = 3",
		"a/p: var ErrOne error",
		"a/p: var ErrTwo error",
		"a/p: type Store interface",
		"a/p: method Store.Get(name string) (io.Reader, error)",
		"a/p: method Store.Put(int)",
		"a/p: method Store.hidden()",
		"a/p: type Item struct",
		"a/p: field Item.Group int",
		"a/p: field Item.Grouped string `json:\"grouped\"`",
		"a/p: field Item.Named int",
		"a/p: field Item.Alone int",
		"a/p: field Item.Reader io.Reader embedded",
		"a/p: method Item.Read(p []byte) (n int, err error)",
		"a/p: type Other struct",
		"a/p: field Other.Grouped string",
		"a/p: field Other.Group string",
		"a/p: type Plain int",
		"a/p: method Plain.String() string",
		"a/p: method (*Plain).Set(n int)",
		"a/p: func New[T any](t T) *Item",
	}, exported(p))
}

// A package is read as the compiler exported it, without commands and internal packages.
func TestLoad(t *testing.T) {
	pkgs, err := load("../../..", []string{"./order", "./internal/sim", "./internal/cmd/api"})
	require.NoError(t, err)
	require.Len(t, pkgs, 1)
	require.Contains(t, exported(pkgs[0].types), "order: method State.Terminal() bool")
	_, err = load("../../..", []string{"./internal/cmd/api"})
	require.ErrorContains(t, err, "no packages")
}
