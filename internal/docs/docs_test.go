// Package docs has the tests of what the documents show: README.md, its Chinese twin,
// CONTRIBUTING.md and docs.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// block is a fenced block of a document, with the fence's language.
type block struct {
	file, language, text string
}

func (b block) lines() int { return strings.Count(b.text, "\n") }

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(text)
}

// documents are the files whose blocks are checked.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md"}
	guides, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, guides)
	for _, g := range guides {
		files = append(files, "docs/"+filepath.Base(g))
	}
	return files
}

func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	open := false
	for _, line := range strings.SplitAfter(read(t, file), "\n") {
		switch fence, found := strings.CutPrefix(line, "```"); {
		case found && open:
			open = false
		case found:
			open = true
			all = append(all, block{file: file, language: strings.TrimSpace(fence)})
		case open:
			all[len(all)-1].text += line
		}
	}
	require.False(t, open, "%s: a block has no end", file)
	return all
}

// plain is code without what gofmt decides: a block may be indented differently from its source.
func plain(code string) string { return strings.Join(strings.Fields(code), " ") }

// sources is every Go file of all modules, one after the other. All modules are in the workspace:
// step tidy of .ci/run checks it.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root:
			if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
		case strings.HasSuffix(path, ".go"):
			code, err := os.ReadFile(path) //nolint:gosec // of this repository
			if err != nil {
				return err
			}
			if !regexp.MustCompile(`(?m)^//go:build `).Match(code) { // else it may not be compiled
				b.WriteString(plain(string(code)) + "\n")
			}
		}
		return nil
	}))
	return b.String()
}

// TestBlocks: Go blocks stand in files that are compiled. The other blocks are checked by their own
// test (mermaid) or run by .ci/run, whose docs step knows every line of a sh block.
func TestBlocks(t *testing.T) {
	code := sources(t)
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			switch b.language {
			case "go":
				require.Contains(t, code, plain(b.text), "%s: a block that no Go file has", b.file)
			case "sh", "mermaid", "text":
			default:
				require.Fail(t, "a block that nothing checks", "%s: %q\n%s", b.file, b.language, b.text)
			}
		}
	}
}

// TestREADMEIsShort: a reader sees the first call early, and no block is long.
func TestREADMEIsShort(t *testing.T) {
	readme := read(t, "README.md")
	require.LessOrEqual(t, strings.Count(readme, "\n"), 250)
	before, _, found := strings.Cut(readme, "svc.Request(")
	require.True(t, found)
	require.Less(t, strings.Count(before, "\n"), 60, "the first call of the API")
	for _, b := range blocks(t, "README.md") {
		require.Less(t, b.lines(), 30, b.text)
	}
	require.Contains(t, readme, "sqlstore.New(")
}

// headings are the levels of a document's headings, in order.
func headings(text string) (levels []int) {
	inBlock := false
	for _, line := range strings.Split(text, "\n") {
		switch marks := len(line) - len(strings.TrimLeft(line, "#")); {
		case strings.HasPrefix(line, "```"):
			inBlock = !inBlock
		case marks > 0 && !inBlock:
			levels = append(levels, marks)
		}
	}
	return levels
}

// tables are the numbers of rows of a document's tables, in order.
func tables(text string) (rows []int) {
	inside := false
	for _, line := range strings.Split(text, "\n") {
		row := strings.HasPrefix(line, "|")
		switch {
		case row && inside:
			rows[len(rows)-1]++
		case row:
			rows = append(rows, 1)
		}
		inside = row
	}
	return rows
}

// TestChineseREADMEIsInStep: the same headings, tables and links in the same order, and the same
// blocks, byte by byte.
func TestChineseREADMEIsInStep(t *testing.T) {
	en, zh := read(t, "README.md"), read(t, "README.zh-CN.md")
	require.Equal(t, headings(en), headings(zh))
	require.Equal(t, tables(en), tables(zh))
	require.Equal(t, targets(en, "README.zh-CN.md"), targets(zh, "README.md"))
	blocksEN, blocksZH := blocks(t, "README.md"), blocks(t, "README.zh-CN.md")
	require.Len(t, blocksZH, len(blocksEN))
	for i, b := range blocksEN {
		require.Equal(t, b.language, blocksZH[i].language)
		require.Equal(t, b.text, blocksZH[i].text)
	}
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

// targets are what a document links to, but for one; a set, because word order differs.
func targets(text, but string) map[string]bool {
	set := map[string]bool{}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		if m[1] != but {
			set[m[1]] = true
		}
	}
	return set
}

// TestLinks: what a document links to within the repository is there, headings included.
func TestLinks(t *testing.T) {
	for _, file := range documents(t) {
		for target := range targets(read(t, file), "") {
			if strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			to := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				to = file
			}
			_, err := os.Stat(filepath.Join(root, to))
			require.NoError(t, err, "%s links to %s", file, target)
			if anchor != "" {
				require.Contains(t, anchors(read(t, to)), anchor, "%s links to %s", file, target)
			}
		}
	}
}

// anchors are what the headings of a document can be linked to by.
func anchors(text string) (names []string) {
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
