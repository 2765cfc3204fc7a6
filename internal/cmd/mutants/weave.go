package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed helper.go.txt
var helper string

// weave writes the package's files with all mutants in them into a folder, and an overlay for the
// go command that puts them in the place of those of the tree. It returns the overlay's path. Lines
// keep their numbers.
func (t *target) weave(dir string, mutants []*mutant) (string, error) {
	type placed struct {
		edit
		id int
	}
	byFile := map[string][]placed{}
	for _, m := range mutants {
		for _, e := range m.edits {
			byFile[m.pos.Filename] = append(byFile[m.pos.Filename], placed{e, m.id})
		}
	}
	replace := map[string]string{}
	write := func(path, text string) error {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		return os.WriteFile(replace[path], []byte(text), 0o600)
	}
	for path, edits := range byFile {
		// If two pieces of source end here, the inner one is closed first; if two begin, the outer
		// one is opened first.
		slices.SortFunc(edits, func(a, b placed) int {
			switch {
			case a.from != b.from:
				return a.from - b.from
			case a.closes && b.closes:
				return b.id - a.id
			case a.closes:
				return -1
			case b.closes:
				return 1
			}
			return a.id - b.id
		})
		var out strings.Builder
		src, at := string(t.files[path].text), 0
		for _, e := range edits {
			out.WriteString(src[at:e.from] + e.text)
			at = e.to
		}
		if err := write(path, out.String()+src[at:]); err != nil {
			return "", err
		}
	}
	pkg := ""
	for _, f := range t.files {
		pkg = f.syntax.Name.Name
	}
	code := fmt.Sprintf("package %s\n\n%s", pkg, helper)
	if err := write(filepath.Join(t.Dir, "mutants_switch.go"), code); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}
