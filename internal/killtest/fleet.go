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

// fleet is the worker processes: this program, run again.
type fleet struct {
	size    int
	every   time.Duration
	most    int64  // kills; 0: no bound
	account string // the file
	stderr  io.Writer
	dice    *rand.Rand
	kills   atomic.Int64
}

// run keeps the workers running, and kills them, until ctx ends; then it asks them to stop and
// waits for it. A worker that ends by itself, or does not stop, goes to fail.
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
	for n := int64(0); (n < f.most || f.most == 0) && pause(ctx, f.every/2+time.Duration(f.dice.Int64N(int64(f.every)))); n++ {
		select {
		case axes[f.dice.IntN(f.size)] <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// keep runs one worker after the other.
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
				return errors.Join(fmt.Errorf("killing it: %w", err), <-ended)
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

// start starts a worker that stops when ctx ends, and is killed where it does not.
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

// pause waits for d and reports true, or false where ctx ends first.
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
