package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "survived"
	hung     verdict = "hung"
	unbuilt  verdict = "not built"
)

// runner holds the test binaries that can see a target, with all its mutants in them.
type runner struct {
	dir     string
	unbuilt map[int]bool
	tests   []*binary
}

// binary is the test binary of one package.
type binary struct {
	name, path, dir string
	args            []string
	limit           time.Duration // for a run with a mutant
	reached         map[int]bool  // the mutants that its tests come past
}

// newRunner builds the target with the mutants in it, and then the test binaries, each of which it runs once
// without a bug.
func newRunner(ctx context.Context, o options, t *target, mutants []*mutant) (_ *runner, err error) {
	r := &runner{unbuilt: map[int]bool{}}
	if r.dir, err = os.MkdirTemp("", "mutants"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	overlay, err := r.build(ctx, t, mutants)
	if err != nil {
		return nil, err
	}
	tests, err := golist(ctx, o.dir, append([]string{"--", t.ImportPath}, fields(o.tests)...)...)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(tests, func(a, b listed) int { // its own tests come first
		return boolInt(b.ImportPath == t.ImportPath) - boolInt(a.ImportPath == t.ImportPath)
	})
	for _, l := range tests {
		if len(l.TestGoFiles)+len(l.XTestGoFiles) == 0 {
			continue
		}
		b := &binary{name: l.short(), path: filepath.Join(r.dir, fmt.Sprintf("%d.test", len(r.tests))), dir: l.Dir}
		if imports := append(l.TestImports, l.XTestImports...); slices.Contains(imports, "pgregory.net/rapid") {
			// The same inputs each time, and no files of failing ones in the tree.
			b.args = []string{"-rapid.seed=1", "-rapid.nofailfile"}
		}
		if err := b.prepare(ctx, overlay, o.least); err != nil {
			return nil, fmt.Errorf("tests of %s without a bug: %w", b.name, err)
		}
		r.tests = append(r.tests, b)
	}
	if len(r.tests) == 0 {
		return nil, errNoTests
	}
	return r, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *runner) close() { os.RemoveAll(r.dir) }

var place = regexp.MustCompile(`(?m)([^\s/]+\.go):(\d+):\d+: `)

// build leaves out the mutants of each line that does not compile with them.
func (r *runner) build(ctx context.Context, t *target, mutants []*mutant) (string, error) {
	for {
		overlay, err := t.weave(r.dir, mutants)
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-gcflags=-e", "-overlay", overlay, t.ImportPath) //nolint:gosec // a tool
		cmd.Dir = t.Dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			return overlay, nil
		}
		bad := map[string]bool{}
		for _, m := range place.FindAllStringSubmatch(string(out), -1) {
			bad[m[1]+":"+m[2]] = true
		}
		left := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool {
			gone := bad[filepath.Base(m.pos.Filename)+":"+strconv.Itoa(m.pos.Line)]
			r.unbuilt[m.id] = r.unbuilt[m.id] || gone
			return gone
		})
		if len(left) == len(mutants) {
			return "", fmt.Errorf("build %s: %w\n%s", t.ImportPath, err, out)
		}
		mutants = left
	}
}

// prepare builds the binary, times it, and learns which mutants it reaches.
func (b *binary) prepare(ctx context.Context, overlay string, least time.Duration) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.path, ".") //nolint:gosec // a tool
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	reached := b.path + ".reached"
	b.limit = 10 * time.Minute
	start := time.Now()
	if v, out, err := b.run(ctx, "MUTANT_REACHED="+reached); err != nil {
		return err
	} else if v != survived {
		return fmt.Errorf("%s\n%s", v, out)
	}
	b.limit = 4*time.Since(start) + least
	b.reached = map[int]bool{}
	text, err := os.ReadFile(reached) //nolint:gosec // written above
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		b.reached[n] = true
	}
	return nil
}

// run runs the tests with an environment variable set. They hang if package testing says so, or if the
// process is still there when it should have.
func (b *binary) run(ctx context.Context, env string) (verdict, []byte, error) {
	limited, cancel := context.WithTimeout(ctx, b.limit+5*time.Second)
	defer cancel()
	args := append([]string{"-test.short", "-test.failfast", "-test.paniconexit0", "-test.timeout=" + b.limit.String()}, b.args...)
	cmd := exec.CommandContext(limited, b.path, args...) //nolint:gosec // built above
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), env, "GOMAXPROCS=2")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", nil, ctx.Err()
	case limited.Err() != nil || bytes.Contains(out, []byte("panic: test timed out after ")):
		return hung, out, nil
	case err == nil:
		return survived, out, nil
	case errors.As(err, new(*exec.ExitError)):
		return killed, out, nil
	}
	return "", nil, err
}

var (
	failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	stuck   = regexp.MustCompile(`running tests:\s+(\S+)`)
)

// try plants one mutant and says what becomes of it, and by which test.
func (r *runner) try(ctx context.Context, m *mutant) (verdict, string, error) {
	if r.unbuilt[m.id] {
		return unbuilt, "", nil
	}
	by := ", no test comes here"
	for _, b := range r.tests {
		if !b.reached[m.id] {
			continue
		}
		by = ""
		v, out, err := b.run(ctx, "MUTANT="+strconv.Itoa(m.id))
		if err != nil {
			return "", "", err
		}
		switch v {
		case killed:
			return v, " by " + named(failure, out, "no named test") + " of " + b.name, nil
		case hung:
			return v, " in " + named(stuck, out, "no named test") + " of " + b.name, nil
		}
	}
	return survived, by, nil
}

func named(re *regexp.Regexp, out []byte, otherwise string) string {
	if found := re.FindSubmatch(out); found != nil {
		return string(found[1])
	}
	return otherwise
}
