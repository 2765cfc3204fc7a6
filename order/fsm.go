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
// An FSM holds one current state, so orders cannot share one, and a new one for each move costs six times
// as much as a pooled one. The pool's FSMs carry no callbacks and see no cancellable context: a cancelled
// context, a panic in a callback or a nested Event would leave an FSM in mid-transition for ever. One
// that answers anything but "moved" or "no" is dropped for the same reason.
type engine struct{ pool sync.Pool }

func newEngine(rows []Row) *engine {
	events := make(fsm.Events, len(rows))
	for i, r := range rows {
		events[i] = fsm.EventDesc{Name: string(r.Event), Src: []string{string(r.From)}, Dst: string(r.To)}
	}
	e := &engine{}
	e.pool.New = func() any { return fsm.NewFSM(string(StatePaid), events, nil) }
	return e
}

// next returns where ev leads from a state; ok is false where the table has no such row.
func (e *engine) next(from State, ev Event) (to State, ok bool, err error) {
	f, _ := e.pool.Get().(*fsm.FSM)
	f.SetState(string(from))
	err = f.Event(context.Background(), string(ev))
	if err == nil {
		to = State(f.Current())
		e.pool.Put(f)
		return to, true, nil
	}
	// looplab's errors are values: a pointer target would never match.
	var invalid fsm.InvalidEventError
	var unknown fsm.UnknownEventError
	if errors.As(err, &invalid) || errors.As(err, &unknown) {
		e.pool.Put(f)
		return "", false, nil
	}
	return "", false, fmt.Errorf("%s from %s: state machine: %s", ev, from, err.Error())
}
