// Command sim runs the simulation of package sim as long as wanted:
//
//	go run ./internal/sim/cmd/sim -runs 100000 -seed 1 -workers 2
//	go run ./internal/sim/cmd/sim -seed 1234 -trace
//
// It prints a line of progress every few seconds and its counts at the end. Each run has the next
// seed. A run that breaks an invariant is shrunk and printed with its seed, and the command exits
// with 1.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderfsm/orderfsm/internal/sim"
)

func main() {
	runs := flag.Uint64("runs", 10_000, "how many runs")
	seed := flag.Uint64("seed", 1, "the first run's seed")
	workers := flag.Int("workers", 1, "runs at the same time; each is single-threaded")
	trace := flag.Bool("trace", false, "run the one seed and print its plan and trace")
	most := flag.Int("most", 5, "broken runs to print before giving up")
	flag.Parse()
	if *trace {
		os.Exit(one(os.Stdout, *seed))
	}
	os.Exit(many(os.Stdout, *seed, *runs, max(1, *workers), *most))
}

// one prints everything of one run.
func one(out io.Writer, seed uint64) int {
	p := sim.NewPlan(seed)
	fmt.Fprint(out, p)
	s, v := sim.Run(p, out)
	fmt.Fprintf(out, "%+v\n", s)
	if v != nil {
		explain(out, p, v)
		return 1
	}
	return 0
}

// explain prints the shortest trace of a broken run.
func explain(out io.Writer, p *sim.Plan, v *sim.Violation) {
	fmt.Fprintf(out, "seed %d: %v\nshrunk:\n", p.Seed, v)
	small := sim.Shrink(p)
	fmt.Fprint(out, small)
	_, _ = sim.Run(small, out)
}

// book is what all workers have done.
type book struct {
	next, done atomic.Uint64

	mu     sync.Mutex // guards what follows
	total  sim.Stats
	broken int
}

func many(out io.Writer, seed, runs uint64, workers, most int) int {
	start := time.Now()
	var b book
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			b.work(out, seed, runs, most)
		}()
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.progress(out, runs, time.Since(start))
		case <-over:
			b.progress(out, runs, time.Since(start))
			fmt.Fprintf(out, "seeds %d to %d: %d broken\n%+v\n", seed, seed+b.done.Load()-1, b.broken, b.total)
			if b.broken > 0 {
				return 1
			}
			return 0
		}
	}
}

// work takes seeds until there are none left.
func (b *book) work(out io.Writer, seed, runs uint64, most int) {
	for {
		n := b.next.Add(1) - 1
		if n >= runs {
			return
		}
		p := sim.NewPlan(seed + n)
		s, v := sim.Run(p, nil)
		b.done.Add(1)
		b.mu.Lock()
		b.total.Add(s)
		stop := b.broken >= most
		if v != nil && !stop {
			b.broken++
			var buf bytes.Buffer
			explain(&buf, p, v)
			fmt.Fprintln(out, buf.String())
		}
		b.mu.Unlock()
		if stop {
			return
		}
	}
}

func (b *book) progress(out io.Writer, runs uint64, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := b.done.Load()
	fmt.Fprintf(out, "%d of %d runs, %d refunds, %d paid, %d faults, %d crashes, %d broken, %v, %.0f refunds/s\n",
		done, runs, b.total.Refunds, b.total.Refunded, b.total.Faults, b.total.Crashes, b.broken,
		took.Round(time.Second), float64(b.total.Refunds)/took.Seconds())
}
