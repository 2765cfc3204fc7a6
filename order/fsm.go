package order

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/looplab/fsm"
)

// engine decides single moves with looplab/fsm. It is safe for concurrent use.
//
// An FSM holds one current state, so orders cannot share one. A new FSM for each move costs six
// times as much as a pooled one. The pooled FSMs have no callbacks and never get a context that can
// be cancelled: a cancelled context, a panic in a callback or a nested Event would leave an FSM in
// mid-transition for good. For the same reason an FSM that returns an unexpected error is dropped.
type engine struct{ pool sync.Pool }

func newEngine(rows []Row) *engine {
	events := make(fsm.Events, len(rows))
	for i, r := range rows {
		src := []string{string(r.From)}
		events[i] = fsm.EventDesc{Name: string(r.Event), Src: src, Dst: string(r.To)}
	}
	e := &engine{}
	e.pool.New = func() any { return fsm.NewFSM(string(StatePaid), events, nil) }
	return e
}

// next returns the state that ev leads to from a state; ok is false if the table has no such row.
func (e *engine) next(from State, ev Event) (to State, ok bool, err error) {
	f, _ := e.pool.Get().(*fsm.FSM)
	f.SetState(string(from))
	err = f.Event(context.Background(), string(ev))
	if err == nil {
		to = State(f.Current())
		e.pool.Put(f)
		return to, true, nil
	}
	// looplab's errors are values; a pointer target would never match.
	var invalid fsm.InvalidEventError
	var unknown fsm.UnknownEventError
	if errors.As(err, &invalid) || errors.As(err, &unknown) {
		e.pool.Put(f)
		return "", false, nil
	}
	return "", false, fmt.Errorf("%s from %s: state machine: %s", ev, from, err.Error())
}
