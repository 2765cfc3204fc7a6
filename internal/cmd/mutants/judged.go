package main

import (
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
)

// judgements are survivors and hangs that somebody looked at: for each key the reasons, one for
// each mutant.
type judgements map[string][]string

// readJudged reads a list of judgements; a file that does not exist is an empty one.
func readJudged(path string) (judgements, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a flag
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the judged survivors: %w", err)
	}
	all := judgements{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " # ")
		if at < 0 {
			return nil, fmt.Errorf("%s:%d: no judgement after \" # \"", path, i+1)
		}
		key := strings.TrimSpace(line[:at])
		all[key] = append(all[key], strings.TrimSpace(line[at+3:]))
	}
	return all, nil
}

// take uses up one judgement, so that a second mutant that looks the same needs its own.
func (j judgements) take(key string) (string, bool) {
	if len(j[key]) == 0 {
		return "", false
	}
	why := j[key][0]
	j[key] = j[key][1:]
	return why, true
}

// unused lists what is left for a package.
func (j judgements) unused(pkg string) (keys []string) {
	for key, left := range j {
		name, _, _ := strings.Cut(key, ": ")
		if dot := strings.Index(name[strings.LastIndex(name, "/")+1:], "."); dot >= 0 {
			name = name[:strings.LastIndex(name, "/")+1+dot]
		}
		if name == pkg {
			for range left {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// changes holds the lines that differ, by full path; nil is a file that is new as a whole.
type changes map[string][]int

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// changedLines asks git what the folder has that the revision has not.
func changedLines(ctx context.Context, dir, base string) (changes, error) {
	git := func(args ...string) (string, error) {
		args = append([]string{"-C", dir}, args...)
		out, err := exec.CommandContext(ctx, "git", args...).Output() //nolint:gosec // a tool
		if err != nil {
			return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
		}
		return string(out), nil
	}
	diff, err := git("diff", "--relative", "--no-prefix", "--no-ext-diff", "-U0", base, "--", ".")
	if err != nil {
		return nil, err
	}
	added, err := git("ls-files", "--others", "--exclude-standard", "--", ".")
	if err != nil {
		return nil, err
	}
	all := changes{}
	for _, name := range strings.Fields(added) {
		all[filepath.Join(dir, name)] = nil
	}
	path := ""
	for _, line := range strings.Split(diff, "\n") {
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			path = filepath.Join(dir, name)
		} else if m := hunk.FindStringSubmatch(line); m != nil {
			first, _ := strconv.Atoi(m[1])
			n := 1
			if m[2] != "" {
				n, _ = strconv.Atoi(m[2])
			}
			for i := range max(n, 1) { // deleted lines count as a change of their place
				all[path] = append(all[path], first+i)
			}
		}
	}
	return all, nil
}

// touches reports whether the function that holds m changed.
func (c changes) touches(m *mutant) bool {
	isInside := func(n int) bool { return m.first <= n && n <= m.last }
	lines, ok := c[m.pos.Filename]
	return ok && (lines == nil || slices.ContainsFunc(lines, isInside))
}
