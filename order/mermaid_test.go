package order_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func TestMermaidIsDeterministic(t *testing.T) {
	for _, rows := range [][]order.Row{nil, reviewRows()} {
		want := newMachine(t, rows...).Mermaid()
		for range 50 {
			require.Equal(t, want, newMachine(t, rows...).Mermaid())
		}
	}
}

func TestMermaidShowsEveryRow(t *testing.T) {
	m := newMachine(t, reviewRows()...)
	lines := strings.Split(strings.TrimSuffix(m.Mermaid(), "\n"), "\n")
	want := []string{"stateDiagram-v2", "    [*] --> paid"}
	for _, r := range m.Rows() {
		want = append(want, "    "+string(r.From)+" --> "+string(r.To)+": "+string(r.Event))
	}
	for _, s := range []string{"refunded", "rejected", "cancelled", "abandoned"} {
		want = append(want, "    "+s+" --> [*]")
	}
	require.ElementsMatch(t, want, lines)
	require.Equal(t, want[:2], lines[:2])
}

// diagram is the state diagram of a document.
func diagram(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```mermaid\n(stateDiagram.*?)```").FindSubmatch(text)
	require.NotNil(t, block, "%s has no state diagram", file)
	return string(block[1])
}

// TestDiagramOfTheWholeMachine: the diagram in docs is the machine's.
func TestDiagramOfTheWholeMachine(t *testing.T) {
	require.Equal(t, newMachine(t).Mermaid(), diagram(t, "../docs/machine.md"), "replace the diagram by this one")
}

// TestREADMEDiagram: the README shows a part of the machine, with the rows in their order.
func TestREADMEDiagram(t *testing.T) {
	rest := newMachine(t).Mermaid()
	for _, line := range strings.SplitAfter(diagram(t, "../README.md"), "\n") {
		_, after, found := strings.Cut(rest, line)
		require.True(t, found, "the machine has no %q, or not after the lines before it", line)
		rest = after
	}
}

// TestDocTableIsTheMachines fails when the table in the package documentation is not that of the
// machine.
func TestDocTableIsTheMachines(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var rows []order.Row
	line := regexp.MustCompile(`(?m)^//\t([a-z_]+) +([a-z_, ]+) → ([a-z_]+) `)
	for _, l := range line.FindAllStringSubmatch(string(doc), -1) {
		if l[1] == "event" {
			continue
		}
		for _, from := range strings.Split(l[2], ", ") {
			rows = append(rows, order.Row{
				Event: order.Event(l[1]), From: order.State(from),
				To: order.State(l[3]),
			})
		}
	}
	require.ElementsMatch(t, newMachine(t).Rows(), rows)
}
