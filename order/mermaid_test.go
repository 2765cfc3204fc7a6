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

// TestREADMEDiagram fails when the README's diagram is missing or not that of the machine.
func TestREADMEDiagram(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```mermaid\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "README.md has no mermaid block")
	require.Equal(t, newMachine(t).Mermaid(), string(block[1]), "replace the README's diagram by this one")
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
			rows = append(rows, order.Row{Event: order.Event(l[1]), From: order.State(from),
				To: order.State(l[3])})
		}
	}
	require.ElementsMatch(t, newMachine(t).Rows(), rows)
}
