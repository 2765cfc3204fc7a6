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
	_ river.JobArgsWithInsertOpts = Args{}
	_ river.JobArgsWithInsertOpts = SweepArgs{}
)

// Args are the arguments of the job of one refund.
type Args struct {
	// OrderID and RefundNo name the refund, as in refund.Ref.
	OrderID  string `json:"order_id"`
	RefundNo string `json:"refund_no"`
}

// Kind implements [river.JobArgs].
func (Args) Kind() string { return "orderfsm_refund" }

// InsertOpts implements [river.JobArgsWithInsertOpts]. A refund has one job at a time, with the
// highest number of attempts that River's table can hold.
func (Args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: math.MaxInt16,
		Priority:    2, // after the sweep, which a backlog must not delay
		Queue:       Queue,
		UniqueOpts:  oneAtATime(),
	}
}

func (a Args) ref() refund.Ref { return refund.Ref{OrderID: a.OrderID, RefundNo: a.RefundNo} }

// SweepArgs are the arguments of the periodic job of Config. See [Scheduler.Sweep].
type SweepArgs struct{}

// Kind implements [river.JobArgs].
func (SweepArgs) Kind() string { return "orderfsm_refund_sweep" }

// InsertOpts implements [river.JobArgsWithInsertOpts]. There is one sweep at a time, and it is
// tried once, because the next one follows.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, Priority: 1, Queue: Queue, UniqueOpts: oneAtATime()}
}

// oneAtATime makes River insert no second job with the same arguments before the first is final.
func oneAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}
