package logtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// line is a line of the table: level, message and keys, apart by two spaces or more. A key in
// brackets is not in every record.
var line = regexp.MustCompile(`(?m)^//\t(DEBUG|INFO|WARN|ERROR)  +(\S.*?)(?:   *(\[?[a-z_]+\]?(?:, \[?[a-z_]+\]?)*))?$`)

// entry is what the table says of a message.
type entry struct {
	message, level string
	must, may, got []string
	seen           bool
}

// Check compares the records with the table in dir/doc.go, and both with the messages in the
// package's source, so that none of the three can move without the others. It returns what differs.
func Check(dir string, records []Record) (problems []string) {
	table, err := parseTable(dir)
	if err != nil {
		return []string{err.Error()}
	}
	source, err := messages(dir)
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range source {
		if !slices.ContainsFunc(table, func(e *entry) bool { return e.message == m }) {
			problems = append(problems, fmt.Sprintf("%q is in the source and not in the table", m))
		}
	}
	for _, e := range table {
		for _, rec := range records {
			if rec.Message == e.message {
				problems = append(problems, e.compare(rec)...)
			}
		}
		switch m := e.message; {
		case !slices.Contains(source, m):
			problems = append(problems, fmt.Sprintf("%q is in the table and not in the source", m))
		case !e.seen:
			problems = append(problems, fmt.Sprintf("%q was not logged", m))
		default:
			for _, k := range e.may {
				if !slices.Contains(e.got, k) {
					problems = append(problems, fmt.Sprintf("%q: %s was not logged", m, k))
				}
			}
		}
	}
	return slices.Compact(problems)
}

func (e *entry) compare(rec Record) (problems []string) {
	e.seen = true
	keys := rec.Keys()
	e.got = append(e.got, keys...)
	if rec.Level.String() != e.level {
		problems = append(problems, fmt.Sprintf("%q is logged as %s, the table says %s", rec.Message, rec.Level, e.level))
	}
	for _, k := range e.must {
		if !slices.Contains(keys, k) {
			problems = append(problems, fmt.Sprintf("%q is logged without %s", rec.Message, k))
		}
	}
	for _, k := range keys {
		if !slices.Contains(e.must, k) && !slices.Contains(e.may, k) {
			problems = append(problems, fmt.Sprintf("%q is logged with %s, which the table does not have", rec.Message, k))
		}
	}
	return problems
}

func parseTable(dir string) (table []*entry, err error) {
	doc, err := fs.ReadFile(os.DirFS(dir), "doc.go")
	if err != nil {
		return nil, err
	}
	for _, m := range line.FindAllStringSubmatch(string(doc), -1) {
		e := &entry{level: m[1], message: m[2]}
		for _, k := range strings.Split(m[3], ", ") {
			switch {
			case strings.HasPrefix(k, "["):
				e.may = append(e.may, strings.Trim(k, "[]"))
			case k != "":
				e.must = append(e.must, k)
			}
		}
		table = append(table, e)
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("%s/doc.go has no table of log records", dir)
	}
	return table, nil
}

// logCalls are the methods of slog.Logger that log.
var logCalls = regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$|^Log(Attrs)?$`)

// messages lists what the package's files pass to a logger, in a variable or field named log or
// Logger.
func messages(dir string) (found []string, err error) {
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if m, ok := message(n); ok {
				found = append(found, m)
			}
			return true
		})
	}
	return found, nil
}

// message returns the first literal text of a call that logs.
func message(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !logCalls.MatchString(method.Sel.Name) {
		return "", false
	}
	logger, ok := method.X.(*ast.SelectorExpr)
	if !ok || logger.Sel.Name != "log" && logger.Sel.Name != "Logger" {
		return "", false
	}
	for _, arg := range call.Args {
		if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
			m, err := strconv.Unquote(text.Value)
			return m, err == nil
		}
	}
	return "", false
}
