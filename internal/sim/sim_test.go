package sim

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runs is how many runs a test makes: fewer with go test -short, or if the race detector
// makes each of them ten times as slow.
func runs(full, short uint64) uint64 {
	if testing.Short() || raceDetector {
		return short
	}
	return full
}

// TestSimulation runs the plans of many seeds. One that breaks a rule is shrunk, and shown with its
// seed.
func TestSimulation(t *testing.T) {
	var total Stats
	n := runs(3000, 300)
	for seed := range n {
		s, v := Run(NewPlan(seed), nil)
		total.Add(s)
		if v != nil {
			explain(t, NewPlan(seed), nil, v)
			return
		}
	}
	t.Logf("%d runs: %+v", n, total)
	require.Greater(t, total.Refunded, int(n), "most of what is asked for is paid")
}

// explain fails with the shortest trace.
func explain(t *testing.T, p *Plan, b *bug, v *Violation) {
	t.Helper()
	small := shrink(p, b)
	var trace bytes.Buffer
	_, _ = run(small, b, &trace)
	t.Errorf("seed %d: %v\nshrunk:\n%s%s", p.Seed, v, small, &trace)
}

// TestDeterminism: the same seed gives the same trace, to the letter.
func TestDeterminism(t *testing.T) {
	for seed := range runs(60, 10) {
		var a, b bytes.Buffer
		sa, va := Run(NewPlan(seed), &a)
		sb, vb := Run(NewPlan(seed), &b)
		require.Equal(t, a.String(), b.String(), "seed %d", seed)
		require.Equal(t, sa, sb)
		require.Equal(t, va, vb)
	}
}

// TestNoGoroutineLeft: what a run starts ends with it, even if it breaks off.
func TestNoGoroutineLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, b := range bugs()[:4] {
		for seed := range uint64(30) {
			_, _ = run(NewPlan(seed), &b, nil)
		}
	}
	// Eventually starts goroutines.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 3*time.Minute,
		time.Millisecond)
}

// TestBugs: each deliberate bug is caught, and its trace can be shrunk.
func TestBugs(t *testing.T) {
	const within = 10_000
	for _, b := range append(bugs(), reviewed()...) {
		t.Run(b.name, func(t *testing.T) {
			for seed := range uint64(within) {
				_, v := run(NewPlan(seed), &b, nil)
				if v == nil {
					continue
				}
				p := NewPlan(seed)
				_, sound := run(p, nil, nil)
				require.Nil(t, sound, "without the bug, the same run is sound")
				small := shrink(p, &b)
				t.Logf("seed %d caught it: %v; shrunk from %d ops to %d", seed, v, len(p.Ops), len(small.Ops))
				require.Less(t, len(small.Ops), len(p.Ops))
				return
			}
			t.Fatalf("not caught within %d runs", within)
		})
	}
}
