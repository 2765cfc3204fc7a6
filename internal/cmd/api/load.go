package main

import (
	"bytes"
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
	"slices"
	"strings"
)

// pkg is a package as its importers see it, and its source.
type pkg struct {
	types *types.Package
	fset  *token.FileSet
	files []*ast.File
}

// listed is the part of go list's output that is used.
type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
	DepOnly                       bool
}

// load reads packages from what the compiler exported of them, so that nothing is checked a second
// time.
func load(dir string, patterns []string) ([]pkg, error) {
	all, err := list(dir, patterns)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, l := range all {
		exports[l.ImportPath] = l.Export
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc",
		func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var pkgs []pkg
	for _, l := range all {
		if l.DepOnly || l.Name == "main" || len(l.GoFiles) == 0 ||
			slices.Contains(strings.Split(l.ImportPath, "/"), "internal") {
			continue
		}
		p := pkg{fset: fset}
		if p.types, err = imports.Import(l.ImportPath); err != nil {
			return nil, fmt.Errorf("import %s: %w", l.ImportPath, err)
		}
		for _, name := range l.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil,
				parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			p.files = append(p.files, f)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("no packages in %v", patterns)
	}
	return pkgs, nil
}

func list(dir string, patterns []string) (all []listed, err error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles,DepOnly"}, patterns...)
	cmd := exec.Command("go", args...) //nolint:gosec,noctx // a tool of the gate, given by it what to list
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
			return nil, err
		}
		all = append(all, l)
	}
}
