package sim

import "time"

// event is something that happens at a time: a task goes on, or do is called.
type event struct {
	at  time.Duration
	seq int // events of the same time happen in the order in which they were pushed
	t   *task
	do  func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events; container/heap would box each of them.
type queue struct {
	events []event
	seq    int
}

func (q *queue) push(at time.Duration, t *task, do func()) {
	q.seq++
	q.events = append(q.events, event{at, q.seq, t, do})
	for i := len(q.events) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.events[i].before(&q.events[up]) {
			return
		}
		q.events[i], q.events[up] = q.events[up], q.events[i]
		i = up
	}
}

// first returns when the next event happens.
func (q *queue) first() (time.Duration, bool) {
	if len(q.events) == 0 {
		return 0, false
	}
	return q.events[0].at, true
}

// pop returns the next event if it happens until then.
func (q *queue) pop(until time.Duration) (event, bool) {
	if len(q.events) == 0 || q.events[0].at > until {
		return event{}, false
	}
	e, last := q.events[0], len(q.events)-1
	q.events[0], q.events[last] = q.events[last], event{}
	q.events = q.events[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return e, true
		}
		if r := down + 1; r < last && q.events[r].before(&q.events[down]) {
			down = r
		}
		if !q.events[down].before(&q.events[i]) {
			return e, true
		}
		q.events[i], q.events[down] = q.events[down], q.events[i]
		i = down
	}
}
