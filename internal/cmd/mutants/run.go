package main

import (
	"bytes"
	"cmp"
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

// binary is the test binary of one package, with all mutants of the target in it.
type binary struct {
	name, path, dir string
	args            []string
	least           time.Duration
	tests           []*testCase // those that killed last come first, then the quick ones
}

// testCase is a test, an example or a fuzz target with its seeds.
type testCase struct {
	name    string
	took    time.Duration
	reached map[int]bool // the mutants that it comes past
}

func (t *testCase) isExample() bool { return strings.HasPrefix(t.name, "Example") }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newBinary(
	ctx context.Context, o options, l *listed, path, overlay string,
) (*binary, error) {
	b := &binary{name: l.short, path: path, dir: l.Dir, least: o.least}
	if slices.Contains(append(l.TestImports, l.XTestImports...), "pgregory.net/rapid") {
		// The same inputs each time, and no files of failing ones in the tree.
		b.args = []string{"-rapid.seed=1", "-rapid.nofailfile"}
	}
	out, err := command(ctx, b.dir,
		"go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", path, ".")
	if err != nil {
		return nil, fmt.Errorf("build tests of %s: %w\n%s", b.name, err, out)
	}
	skip, err := regexp.Compile(cmp.Or(o.skip, "^$"))
	if err != nil {
		return nil, fmt.Errorf("flag skip: %w", err)
	}
	out, err = command(ctx, b.dir, path, "-test.list=.")
	if err != nil {
		return nil, fmt.Errorf("list tests of %s: %w\n%s", b.name, err, out)
	}
	for _, name := range strings.Fields(string(out)) {
		if strings.HasPrefix(name, "Benchmark") || skip.MatchString(name) {
			continue
		}
		t := &testCase{name: name}
		if err := b.measure(ctx, t); err != nil {
			return nil, fmt.Errorf("%s of %s without a bug: %w", name, b.name, err)
		}
		b.tests = append(b.tests, t)
	}
	slices.SortFunc(b.tests, func(a, b *testCase) int {
		// An example that waits for what a bug keeps from happening cannot fail, only hang.
		return cmp.Or(boolInt(a.isExample())-boolInt(b.isExample()), cmp.Compare(a.took, b.took))
	})
	return b, nil
}

// measure runs one test without a bug, and notes how long it takes and which mutants it reaches.
func (b *binary) measure(ctx context.Context, t *testCase) error {
	log := b.path + ".reached"
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return err
	}
	start := time.Now()
	v, out, err := b.run(ctx, []*testCase{t}, 10*time.Minute, "MUTANT_REACHED="+log)
	if err != nil {
		return err
	}
	if v != survived {
		return fmt.Errorf("%s\n%s", v, out)
	}
	t.took, t.reached = time.Since(start), map[int]bool{}
	text, err := os.ReadFile(log) //nolint:gosec // written by the run
	if err != nil {
		return err
	}
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		t.reached[n] = true
	}
	return nil
}

// run runs tests with an environment variable set. They hang if package testing says so, or if the
// process is still there when it should have.
func (b *binary) run(
	ctx context.Context, tests []*testCase, limit time.Duration, env string,
) (verdict, []byte, error) {
	var names []string
	for _, t := range tests {
		names = append(names, regexp.QuoteMeta(t.name))
	}
	limited, cancel := context.WithTimeout(ctx, limit+5*time.Second)
	defer cancel()
	args := append([]string{
		"-test.run=^(" + strings.Join(names, "|") + ")$", "-test.timeout=" + limit.String(),
		"-test.short", "-test.failfast", "-test.paniconexit0",
	}, b.args...)
	cmd := exec.CommandContext(limited, b.path, args...) //nolint:gosec // built by newBinary
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

// try plants a mutant. First it runs the tests that are likely to notice, because they did so last
// or are quick, and then the others that come past it. It reports whether there are any.
func (b *binary) try(
	ctx context.Context, m *mutant,
) (v verdict, by string, reached bool, err error) {
	var tests []*testCase
	for _, t := range b.tests {
		if t.reached[m.id] {
			tests = append(tests, t)
		}
	}
	for _, part := range split(tests) {
		limit := b.least
		for _, t := range part {
			limit += 4 * t.took
		}
		v, out, err := b.run(ctx, part, limit, "MUTANT="+strconv.Itoa(m.id))
		if v == hung { // or the machine was busy with something else
			v, out, err = b.run(ctx, part, 2*limit, "MUTANT="+strconv.Itoa(m.id))
		}
		if err != nil {
			return "", "", true, err
		}
		if v == survived {
			continue
		}
		re := failure
		if v == hung {
			re = stuck
		}
		if found := re.FindSubmatch(out); found != nil {
			by = string(found[1])
			b.prefer(by)
		}
		return v, by, true, nil
	}
	return survived, "", len(tests) > 0, nil
}

// split cuts tests into parts that are run one after the other: each longer than the one before,
// and examples last.
func split(tests []*testCase) (parts [][]*testCase) {
	most, took, from := time.Second, time.Duration(0), 0
	for i, t := range tests {
		turn := i > 0 && t.isExample() != tests[i-1].isExample()
		if took += t.took; took > most || i == 0 || turn {
			if i > from {
				parts = append(parts, tests[from:i])
			}
			most, took, from = most*8, t.took, i
		}
	}
	if from < len(tests) {
		parts = append(parts, tests[from:])
	}
	return parts
}

// prefer puts a test in front.
func (b *binary) prefer(name string) {
	name, _, _ = strings.Cut(name, "/")
	i := slices.IndexFunc(b.tests, func(t *testCase) bool { return t.name == name })
	if i >= 0 {
		t := b.tests[i]
		b.tests = slices.Insert(slices.Delete(b.tests, i, i+1), 0, t)
	}
}

func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // a tool
	cmd.Dir = dir
	return cmd.CombinedOutput()
}

// place is the position of a compiler error.
var place = regexp.MustCompile(`(?m)([^\s/]+\.go):(\d+):\d+: `)

// runner holds the test binaries that can see a target.
type runner struct {
	dir      string
	unbuilt  map[int]bool
	binaries []*binary
}

// newRunner builds the target with the mutants in it, and then the test binaries.
func newRunner(
	ctx context.Context, o options, t *target, mutants []*mutant,
) (_ *runner, err error) {
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
	tests := []listed{t.listed} // its own come first
	if names := packages(o.tests); len(names) > 0 {
		others, err := golist(ctx, o.dir, append([]string{"--"}, names...)...)
		if err != nil {
			return nil, err
		}
		tests = append(tests, others...)
	}
	for i, l := range tests {
		again := i > 0 && l.ImportPath == t.ImportPath
		if again || len(l.TestGoFiles)+len(l.XTestGoFiles) == 0 {
			continue
		}
		path := filepath.Join(r.dir, fmt.Sprintf("%d.test", len(r.binaries)))
		b, err := newBinary(ctx, o, &l, path, overlay)
		if err != nil {
			return nil, err
		}
		r.binaries = append(r.binaries, b)
	}
	if len(r.binaries) == 0 {
		return nil, errors.New("no package with tests can see it")
	}
	return r, nil
}

func (r *runner) close() { _ = os.RemoveAll(r.dir) }

// build leaves out the mutants of each line that does not compile with them.
func (r *runner) build(ctx context.Context, t *target, mutants []*mutant) (string, error) {
	for {
		overlay, err := t.weave(r.dir, mutants)
		if err != nil {
			return "", err
		}
		out, err := command(ctx, t.Dir, "go", "build", "-gcflags=-e", "-overlay", overlay, t.ImportPath)
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

// try plants one mutant and says what becomes of it, and by which test.
func (r *runner) try(ctx context.Context, m *mutant) (verdict, string, error) {
	if r.unbuilt[m.id] {
		return unbuilt, "", nil
	}
	seen := false
	for _, b := range r.binaries {
		v, by, reached, err := b.try(ctx, m)
		seen = seen || reached
		switch {
		case err != nil:
			return "", "", err
		case v == killed:
			return v, " by " + cmp.Or(by, "the end") + " of " + b.name, nil
		case v == hung:
			return v, " in " + cmp.Or(by, "the end") + " of " + b.name, nil
		}
	}
	if !seen {
		return survived, ", no test comes here", nil
	}
	return survived, "", nil
}
