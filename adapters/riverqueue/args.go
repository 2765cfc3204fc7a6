package riverqueue

import (
	"math"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/orderfsm/orderfsm/refund"
)

// Queue is River's queue for the jobs of this package.
const Queue = "orderfsm_refund"

var (
	_ river.JobArgsWithInsertOpts = refundArgs{}
	_ river.JobArgsWithInsertOpts = sweepArgs{}
)

// refundArgs are the arguments of the job of one refund.
type refundArgs struct{ refund.Ref }

// Kind implements [river.JobArgs].
func (refundArgs) Kind() string { return "orderfsm_refund" }

// InsertOpts implements [river.JobArgsWithInsertOpts]. A refund has one job at a time, with the
// highest number of attempts that River's table can hold.
func (refundArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: math.MaxInt16,
		Priority:    2, // after the sweep, which a backlog must not delay
		Queue:       Queue,
		UniqueOpts:  oneAtATime(),
	}
}

// sweepArgs are the arguments of the periodic job of Config. See Scheduler.sweep.
type sweepArgs struct{}

// Kind implements [river.JobArgs].
func (sweepArgs) Kind() string { return "orderfsm_refund_sweep" }

// InsertOpts implements [river.JobArgsWithInsertOpts]. There is one sweep at a time, and it is
// tried once, because the next one follows.
func (sweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, Priority: 1, Queue: Queue, UniqueOpts: oneAtATime()}
}

// oneAtATime makes River insert no second job with the same arguments before the first is final.
func oneAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}
