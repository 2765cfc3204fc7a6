package killtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// fleet runs the worker processes. Each is this program, started again.
type fleet struct {
	size    int
	every   time.Duration
	most    int64  // kills; if 0, no limit
	account string // the file with the workers' account
	stderr  io.Writer
	dice    *rand.Rand
	kills   atomic.Int64
}

// run starts the workers, and kills and replaces them at random, until ctx ends. Then it stops the
// workers and waits for them. It calls fail if a worker ends by itself or does not stop.
func (f *fleet) run(ctx context.Context, fail func(error)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	axes := make([]chan struct{}, f.size)
	for i := range axes {
		axes[i] = make(chan struct{})
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f.keep(ctx, axes[i]); err != nil {
				fail(fmt.Errorf("worker %d: %w", i, err))
			}
		}()
	}
	wait := func() time.Duration { return f.every/2 + time.Duration(f.dice.Int64N(int64(f.every))) }
	for n := int64(0); (n < f.most || f.most == 0) && pause(ctx, wait()); n++ {
		select {
		case axes[f.dice.IntN(f.size)] <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// keep runs one worker at a time and replaces it when it is killed.
func (f *fleet) keep(ctx context.Context, axe <-chan struct{}) error {
	for {
		cmd, ended, err := f.start(ctx)
		if ctx.Err() != nil && err != nil {
			return nil //nolint:nilerr // it was not started because the run is over
		}
		if err != nil {
			return err
		}
		select {
		case <-axe:
			if err := cmd.Process.Kill(); err != nil {
				return errors.Join(fmt.Errorf("kill: %w", err), <-ended)
			}
			if <-ended != nil {
				f.kills.Add(1)
			}
		case err := <-ended:
			if ctx.Err() == nil || !cmd.ProcessState.Success() {
				return errors.Join(fmt.Errorf("ended by itself: %v", cmd.ProcessState), err)
			}
			return nil
		}
	}
}

// start starts a worker that stops when ctx ends, and is killed if it does not.
func (f *fleet) start(ctx context.Context) (*exec.Cmd, <-chan error, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, exe) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), workerVar+"="+f.account)
	cmd.Stderr = f.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return cmd, ended, nil
}

// pause waits for d and reports true. It reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
