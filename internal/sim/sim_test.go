package sim

import (
	"testing"
)

func TestSimulation(t *testing.T) {
	var total Stats
	for seed := range uint64(3000) {
		s, v := Run(NewPlan(seed), nil)
		total.Add(s)
		if v != nil {
			t.Errorf("seed %d: %v", seed, v)
		}
	}
	t.Logf("%+v", total)
}
