// Command api prints the exported names of packages, one a line with its signature, sorted: what a
// host can come to rely on. If one of them has no documentation, the command names it and fails.
//
//	api [-dir folder] packages…
//
// Packages are named as for go list, which it asks in the folder. Commands and internal packages
// are left out.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
)

func main() {
	dir := flag.String("dir", ".", "folder of the module")
	flag.Parse()
	if err := run(*dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(dir string, patterns []string) error {
	pkgs, err := load(dir, patterns)
	if err != nil {
		return err
	}
	var lines []string
	bare := 0
	for _, p := range pkgs {
		lines = append(lines, exported(p.types)...)
		names, err := undocumented(p.fset, p.files)
		if err != nil {
			return fmt.Errorf("%s: %w", p.types.Path(), err)
		}
		for _, name := range names {
			fmt.Fprintf(os.Stderr, "%s: %s has no documentation\n", short(p.types.Path()), name)
		}
		bare += len(names)
	}
	slices.Sort(lines)
	out := bufio.NewWriter(os.Stdout)
	for _, l := range lines {
		fmt.Fprintln(out, l)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if bare > 0 {
		return fmt.Errorf("%d exported names have no documentation", bare)
	}
	return nil
}
