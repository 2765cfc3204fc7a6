// Command mutants shows what the tests of a package do not notice. It plants small bugs, one at a
// time, and runs the tests on each: a dropped statement, a condition that is always true or false,
// a shifted bound, an error that becomes nil, a field that stays zero.
//
//	go run ./internal/cmd/mutants [flags] package…
//
// For each bug it prints the place, the function, the source, what the source became, and the
// result:
//
//	killed by a test: this is as it should be
//	survived: all tests passed
//	hung: a test did not end in four times the time that it needs without the bug, and a while more
//	not built: the changed source does not compile, and nothing was tested
//
// Survivors and hangs that somebody judged are listed in a file (flag -judged), one a line:
//
//	package.function: source -> change # judgement
//
// The command fails if there are others. It compiles all bugs of a package into one test binary,
// behind a switch that is read from the environment, so that a bug costs the time that its tests
// run and no compilation. The source tree is not written to.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	dir, tests, base, run, skip, judged string

	sample int
	seed   int64
	least  time.Duration
}

// verdict is what becomes of a bug.
type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "survived"
	hung     verdict = "hung"
	unbuilt  verdict = "not built"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "C", ".", "`folder` of the module")
	flag.StringVar(&o.tests, "tests", "",
		"`packages` whose tests are run after the package's own; separated by commas")
	flag.StringVar(&o.base, "base", "",
		"only functions that differ from this git `revision`, and no bugs that are judged")
	flag.StringVar(&o.run, "run", "", "only bugs whose line of output matches this `regexp`")
	flag.StringVar(&o.skip, "skip", "", "no tests whose names match this `regexp`")
	flag.StringVar(&o.judged, "judged", ".ci/mutants.txt", "`file` of the judged survivors")
	flag.IntVar(&o.sample, "sample", 0, "only `n` bugs of each package, drawn by chance; 0 is all")
	flag.Int64Var(&o.seed, "seed", 1, "of the sample")
	flag.DurationVar(&o.least, "least", 20*time.Second,
		"what a run of tests may take beyond four times its usual time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tests the packages in turn and returns an error if one has a survivor or a hang that is not
// judged.
func run(ctx context.Context, out io.Writer, o options, patterns []string) error {
	only, err := regexp.Compile(o.run)
	if err != nil {
		return fmt.Errorf("flag -run: %w", err)
	}
	judged, err := readJudged(o.judged)
	if err != nil {
		return err
	}
	targets, err := load(ctx, o.dir, patterns)
	if err != nil {
		return err
	}
	open := 0
	for _, t := range targets {
		mutants, err := choose(ctx, o, t, judged)
		if err != nil {
			return err
		}
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool {
			return !only.MatchString(m.String())
		})
		mutants = pick(mutants, o.sample, o.seed)
		n, err := test(ctx, out, o, t, mutants, judged)
		if err != nil {
			return fmt.Errorf("%s: %w", t.ImportPath, err)
		}
		open += n
		if o.base == "" && o.run == "" && o.sample == 0 {
			for _, line := range judged.unused(t.name) {
				fmt.Fprintf(out, "%s: no longer needed: %s\n", o.judged, line)
			}
		}
	}
	if open > 0 {
		return fmt.Errorf("%d survived or hung and are not judged in %s", open, o.judged)
	}
	return nil
}

// choose lists the bugs of a package, or with flag -base those that a change brings: all in the
// functions that it touches, but for the judged ones, which take the longest and can tell nothing
// new.
func choose(ctx context.Context, o options, t *target, judged judgements) ([]*mutant, error) {
	mutants := t.find()
	if o.base == "" {
		return mutants, nil
	}
	changed, err := changedLines(ctx, t.Dir, o.base)
	if err != nil {
		return nil, err
	}
	mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !changed.touches(m) })
	count := map[string]int{}
	for _, m := range mutants {
		count[m.key()]++
	}
	return slices.DeleteFunc(mutants, func(m *mutant) bool {
		return len(judged[m.key()]) >= count[m.key()]
	}), nil
}

// pick draws n mutants and leaves them in their order; 0 is all.
func pick(mutants []*mutant, n int, seed int64) []*mutant {
	if n <= 0 || n >= len(mutants) {
		return mutants
	}
	r := rand.New(rand.NewSource(seed)) //nolint:gosec // a sample that can be drawn again
	drawn := r.Perm(len(mutants))[:n]
	slices.Sort(drawn)
	var some []*mutant
	for _, i := range drawn {
		some = append(some, mutants[i])
	}
	return some
}

// test runs the mutants of one package, prints their results, and counts those that are open.
func test(
	ctx context.Context, out io.Writer, o options, t *target, mutants []*mutant, judged judgements,
) (int, error) {
	if len(mutants) == 0 {
		fmt.Fprintf(out, "%s: nothing to test\n", t.name)
		return 0, nil
	}
	start := time.Now()
	r, err := newRunner(ctx, o, t, mutants)
	if err != nil {
		return 0, err
	}
	defer r.close()
	count, open := map[verdict]int{}, 0
	for _, m := range mutants {
		v, by, err := r.try(ctx, m)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", m, err)
		}
		count[v]++
		line := fmt.Sprintf("%s: %s%s", m, v, by)
		if v == survived || v == hung {
			if why, ok := judged.take(m.key()); ok {
				line += ", judged: " + why
			} else {
				open++
				line += " <<<"
			}
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "%s: %d bugs: %d killed, %d survived, %d hung, %d not built; %d open; %s\n",
		t.name, len(mutants), count[killed], count[survived], count[hung], count[unbuilt], open,
		time.Since(start).Round(time.Second))
	return open, nil
}

// packages splits the value of flag -tests.
func packages(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
