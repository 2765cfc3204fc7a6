package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// listed is what go list says about a package.
type listed struct {
	ImportPath, Dir, Export            string
	GoFiles, TestGoFiles, XTestGoFiles []string
	TestImports, XTestImports          []string
	DepOnly                            bool

	short string // the package's folder, relative to that of the command; empty if it is the same
}

// target is a package to plant bugs in, parsed and type-checked.
type target struct {
	listed
	name  string
	fset  *token.FileSet
	files map[string]*source // by full path
	info  types.Info
}

// source is one file of a target.
type source struct {
	text   []byte
	syntax *ast.File
}

func golist(ctx context.Context, dir string, args ...string) (all []listed, err error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	args = append([]string{"list", "-json"}, args...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // a tool
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for dec := json.NewDecoder(&out); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if rel, err := filepath.Rel(root, l.Dir); err == nil && rel != "." {
			l.short = filepath.ToSlash(rel)
		}
		all = append(all, l)
	}
}

// load reads the packages that the patterns name.
func load(ctx context.Context, dir string, patterns []string) ([]*target, error) {
	all, err := golist(ctx, dir, append([]string{"-export", "-deps", "--"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, l := range all {
		exports[l.ImportPath] = l.Export
	}
	fset := token.NewFileSet()
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	imports := importer.ForCompiler(fset, "gc", open)
	var targets []*target
	for _, l := range all {
		if l.DepOnly {
			continue
		}
		t := &target{listed: l, fset: fset, files: map[string]*source{}}
		t.name = l.short
		if err := t.check(imports); err != nil {
			return nil, fmt.Errorf("check %s: %w", l.ImportPath, err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// check parses and type-checks the package.
func (t *target) check(imports types.Importer) error {
	var files []*ast.File
	for _, name := range t.GoFiles {
		path := filepath.Join(t.Dir, name)
		text, err := os.ReadFile(path) //nolint:gosec // a file of the package that go list names
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.fset, path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.files[path] = &source{text, f}
		files = append(files, f)
	}
	t.info = types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Uses:  map[*ast.Ident]types.Object{},
	}
	conf := types.Config{Importer: imports}
	_, err := conf.Check(t.ImportPath, t.fset, files, &t.info)
	return err
}
