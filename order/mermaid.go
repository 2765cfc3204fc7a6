package order

import (
	"fmt"
	"strings"
)

// Mermaid returns the table as a Mermaid state diagram. Equal tables give equal diagrams.
func (m *Machine) Mermaid() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stateDiagram-v2\n    [*] --> %s\n", StatePaid)
	var ends []State
	for _, r := range m.rows {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", r.From, r.To, r.Event)
		if r.To.Terminal() {
			ends = append(ends, r.To)
		}
	}
	seen := map[State]bool{}
	for _, s := range ends {
		if !seen[s] {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
		seen[s] = true
	}
	return b.String()
}
