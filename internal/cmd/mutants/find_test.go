package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKindsOfBugs(t *testing.T) {
	tests := []struct {
		name, body string
		want       []string
	}{
		{"a dropped call", `func f() { g() }; func g() {}`, []string{"g() -> dropped"}},
		{"no panic is dropped", `func f() int { panic("f") }`, nil},
		{
			"dropped assignments", `func f(n int) { n = 1; n += 2; n++; _ = n }`,
			[]string{"n = 1 -> dropped", "n += 2 -> dropped", "n++ -> dropped"},
		},
		{
			"dropped jumps", `func f(a []int) { for range a { continue } }`,
			[]string{"a -> never runs", "continue -> dropped"},
		},
		{
			"dropped returns", `func f(n *int) { if true { return }; *n = 1 }`,
			[]string{"return -> dropped", "*n = 1 -> dropped"},
		},
		{
			"dropped defer, go and send", `func f(c chan int) { defer close(c); go f(c); c <- 1 }`,
			[]string{"defer close(c) -> dropped", "go f(c) -> dropped", "c <- 1 -> dropped"},
		},
		{
			"conditions", `func f(b bool) { if b { f(b) } }`,
			[]string{"b -> true", "b -> false", "f(b) -> dropped"},
		},
		{
			"a loop's condition is never always true", `func f(b bool) { for b { f(b) } }`,
			[]string{"b -> false", "f(b) -> dropped"},
		},
		{
			"operands of and, or, not", `func f(a, b, c bool) bool { return a && !(b || c) }`,
			[]string{
				"a && !(b || c) -> true", "a && !(b || c) -> false", "a -> true",
				"!(b || c) -> true", "b -> false", "c -> false",
			},
		},
		{
			"conditions outside of if", `func f(n int) { g(n == 1) }; func g(bool) {}`,
			[]string{"g(n == 1) -> dropped", "n == 1 -> true", "n == 1 -> false"},
		},
		{
			"bounds", `func f(a, b int) []bool { return []bool{a < b, a <= b, a > b, a >= b} }`,
			[]string{
				"[]bool{a < b, a <= b, a > b, a >= b} -> zero",
				"a < b -> true", "a < b -> false", "a < b -> a <= b",
				"a <= b -> true", "a <= b -> false", "a <= b -> a < b",
				"a > b -> true", "a > b -> false", "a > b -> a >= b",
				"a >= b -> true", "a >= b -> false", "a >= b -> a > b",
			},
		},
		{
			"sums", `func f(a, b int64) int64 { return (a + b - 1) * 2 / a }`,
			[]string{
				"(a + b - 1) * 2 / a -> zero", "(a + b - 1) * 2 / a -> (a + b - 1) * 2 * a",
				"(a + b - 1) * 2 -> (a + b - 1) / 2", "a + b - 1 -> a + b + 1", "a + b -> a - b",
			},
		},
		{"no sums of texts and constants", `const a = 1 + 2; func f(s string) { _ = s + "a" }`, nil},
		{
			"returned errors", `func f() (int, error) { return 1, errors.New("f") }`,
			[]string{`errors.New("f") -> nil`},
		},
		{
			"a value beside an error that may be nil", `func f(err error) (int, error) { return 1, err }`,
			[]string{"1 -> zero", "err -> nil"},
		},
		{
			"returned truths", `func f() (bool, bool) { return true, false }`,
			[]string{"true -> false", "false -> true"},
		},
		{
			"wrapped errors", `func f(err error) { _ = fmt.Errorf("f: %w", err) }`,
			[]string{`"f: %w" -> %v`},
		},
		{
			"fields",
			`type s struct { a int; b string; c kind }
			func f(n int, k kind) *s { return &s{a: n, b: "b", c: k} }`,
			[]string{`&s{a: n, b: "b", c: k} -> zero`, "n -> zero", `"b" -> zero`, "k -> zero"},
		},
		{
			"no fields that are zero",
			`type s struct { a int; b kind }; func f() { _ = s{a: 0, b: 5} }`, nil,
		},
		{
			"cases", `func f(k kind) { switch k { case one: f(two); case two: } }`,
			[]string{"one -> no such case", "f(two) -> dropped"},
		},
		{
			"no cases that are the default",
			`func f(k kind) { switch k { case one: fallthrough; default: f(two) } }`,
			[]string{"f(two) -> dropped"},
		},
		{
			"cases that differ from the default",
			`func f(k kind) { switch k { case one: default: f(two) } }`,
			[]string{"one -> no such case", "f(two) -> dropped"},
		},
		{
			"conditions of cases", `func f(b bool) { switch { case b: f(b) } }`,
			[]string{"b -> true", "b -> false", "f(b) -> dropped"},
		},
		{
			"functions within functions",
			`var f = func() error { return func() error { return e }() }; var e error`,
			[]string{"func() error { return e }() -> nil", "e -> nil"},
		},
	}
	files := map[string]string{}
	for i, tt := range tests {
		files[fmt.Sprintf("p%02d/p.go", i)] = "package p\n\nimport (\n\"errors\"\n\"fmt\"\n)\n\n" +
			"var _ = fmt.Sprint(errors.ErrUnsupported)\n\n" +
			"type kind uint8\n\nconst (\none kind = 1\ntwo kind = 2\n)\n\n" + tt.body + "\n"
	}
	dir := module(t, files)
	targets, err := load(context.Background(), dir, []string{"./..."})
	require.NoError(t, err)
	require.Len(t, targets, len(tests))
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			all := targets[i].find()
			for _, m := range all {
				got = append(got, m.from+" -> "+m.to)
			}
			require.Equal(t, tt.want, got)

			r := runner{dir: t.TempDir(), unbuilt: map[int]bool{}}
			_, err = r.build(context.Background(), targets[i], all)
			require.NoError(t, err)
			for _, m := range all {
				require.False(t, r.unbuilt[m.id], "%s does not compile", m)
			}
		})
	}
}
