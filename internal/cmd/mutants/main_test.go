package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// module writes a module with the files in it.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.com/m\n\ngo 1.22\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// mutants runs the command in a module and returns what it prints.
func mutants(t *testing.T, dir string, o options) (string, error) {
	t.Helper()
	o.dir, o.judged = dir, filepath.Join(dir, "judged.txt")
	if o.least == 0 {
		o.least = 5 * time.Minute // a slow machine is no hang
	}
	var out bytes.Buffer
	err := run(context.Background(), &out, o, []string{"./p"})
	return out.String(), err
}

const (
	bigGo = `package p

// Big is tested far from its bound only.
func Big(n int) bool { return n > 10 }
`
	bigTest = `package p_test

import (
	"testing"

	"example.com/m/p"
)

func TestBig(t *testing.T) {
	if p.Big(5) || !p.Big(50) {
		t.Fatal("wrong")
	}
}
`
)

func TestSurvivorsFailTheRunUntilTheyAreJudged(t *testing.T) {
	dir := module(t, map[string]string{"p/p.go": bigGo, "p/p_test.go": bigTest})

	out, err := mutants(t, dir, options{})
	require.ErrorContains(t, err, "1 survived or hung and are not judged")
	require.Contains(t, out, "p/p.go:4:31: Big: n > 10 -> true: killed by TestBig of p\n")
	require.Contains(t, out, "p/p.go:4:31: Big: n > 10 -> false: killed by TestBig of p\n")
	require.Contains(t, out, "p/p.go:4:31: Big: n > 10 -> n >= 10: survived <<<\n")
	require.Contains(t, out, "p: 3 bugs: 2 killed, 1 survived, 0 hung, 0 not built; 1 open;")

	judged := filepath.Join(dir, "judged.txt")
	list := "# why\n\np.Big: n > 10 -> n >= 10 # ten is as good\n"
	require.NoError(t, os.WriteFile(judged, []byte(list), 0o600))
	out, err = mutants(t, dir, options{})
	require.NoError(t, err)
	require.Contains(t, out, "n >= 10: survived, judged: ten is as good\n")

	require.NoError(t, os.WriteFile(judged, []byte("p.Big: n > 10 -> n >= 10\n"), 0o600))
	_, err = mutants(t, dir, options{})
	require.ErrorContains(t, err, "judged.txt:1: no judgement")
}

func TestJudgementsThatNothingNeedsAreReported(t *testing.T) {
	dir := module(t, map[string]string{"p/p.go": bigGo, "p/p_test.go": bigTest})
	list := "p.Big: n > 10 -> n >= 10 # once\np.Big: n > 10 -> n >= 10 # twice\n" +
		"p.Old: a -> b # gone\nq.Big: a -> b # another's\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "judged.txt"), []byte(list), 0o600))
	out, err := mutants(t, dir, options{})
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out, "no longer needed: "))
	require.Contains(t, out, "no longer needed: p.Big: n > 10 -> n >= 10\n")
	require.Contains(t, out, "no longer needed: p.Old: a -> b\n")
}

func TestAHangIsNotAKill(t *testing.T) {
	dir := module(t, map[string]string{
		"p/p.go": "package p\n\nfunc zero(n int) int {\n\tfor n > 0 {\n\t\tn--\n\t}\n\treturn n\n}\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestZero(t *testing.T) {\n" +
			"\tif zero(3) != 0 {\n\t\tt.Fatal(\"wrong\")\n\t}\n}\n",
	})
	out, err := mutants(t, dir, options{run: `n-- -> dropped`, least: time.Second})
	require.Error(t, err)
	require.Contains(t, out, "p/p.go:5:3: zero: n-- -> dropped: hung in TestZero of p <<<\n")
}

func TestTestsOfOtherPackagesCount(t *testing.T) {
	dir := module(t, map[string]string{
		"p/p.go":      bigGo + "\nfunc Even(n int) bool { return n%2 == 0 }\n",
		"p/p_test.go": bigTest,
		"q/q_test.go": "package q\n\nimport (\n\t\"testing\"\n\n\t\"example.com/m/p\"\n)\n\n" +
			"func TestEven(t *testing.T) {\n" +
			"\tif p.Even(3) || !p.Even(4) {\n\t\tt.Fatal(\"wrong\")\n\t}\n}\n",
	})
	out, err := mutants(t, dir, options{run: "Even"})
	require.Error(t, err)
	require.Contains(t, out, "Even: n%2 == 0 -> true: survived, no test comes here <<<\n")
	out, err = mutants(t, dir, options{run: "Even", tests: "./q"})
	require.NoError(t, err)
	require.Contains(t, out, "Even: n%2 == 0 -> true: killed by TestEven of q\n")
}

func TestOnlyWhatAChangeTouches(t *testing.T) {
	dir := module(t, map[string]string{"p/p.go": bigGo, "p/p_test.go": bigTest})
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)
		out, err := exec.Command("git", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "p: first")
	out, err := mutants(t, dir, options{base: "HEAD"})
	require.NoError(t, err)
	require.Equal(t, "p: nothing to test\n", out)

	changed := bigGo + "\nfunc odd(n int) bool {\n\treturn n%2 == 1\n}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p/p.go"), []byte(changed), 0o600))
	added := "package p\n\nfunc yes() bool { return true }\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p/new.go"), []byte(added), 0o600))
	out, err = mutants(t, dir, options{base: "HEAD"})
	require.ErrorContains(t, err, "3 survived")
	require.Contains(t, out, "p/p.go:7:9: odd: n%2 == 1 -> true: ")
	require.Contains(t, out, "p/new.go:3:26: yes: true -> false: ")
	require.NotContains(t, out, "Big")

	judged := "p.odd: n%2 == 1 -> true # never called\np.odd: n%2 == 1 -> false # never called\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "judged.txt"), []byte(judged), 0o600))
	out, err = mutants(t, dir, options{base: "HEAD"})
	require.ErrorContains(t, err, "1 survived")
	require.NotContains(t, out, "odd", "what is judged is not tried again")
}

func TestTestsThatFailWithoutABugAreAnError(t *testing.T) {
	wrong := "package p\n\nfunc Big(n int) bool { return n > 100 }\n"
	dir := module(t, map[string]string{"p/p.go": wrong, "p/p_test.go": bigTest})
	_, err := mutants(t, dir, options{})
	require.ErrorContains(t, err, "TestBig of p without a bug: killed")
	require.ErrorContains(t, err, "FAIL: TestBig")
}

func TestWhatDoesNotCompileIsLeftOutAndReported(t *testing.T) {
	// The parameter hides the switch.
	text := bigGo + "\nfunc more(mutantOn int) int {\n\tmutantOn++\n\treturn mutantOn\n}\n"
	dir := module(t, map[string]string{"p/p.go": text, "p/p_test.go": bigTest})
	out, err := mutants(t, dir, options{run: "true|dropped"})
	require.NoError(t, err)
	require.Contains(t, out, "p/p.go:7:2: more: mutantOn++ -> dropped: not built\n")
	require.Contains(t, out, "p: 2 bugs: 1 killed, 0 survived, 0 hung, 1 not built; 0 open;")
}
