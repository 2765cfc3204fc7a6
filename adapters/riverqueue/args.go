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

// Args are the arguments of the job that carries one refund.
type Args struct {
	// OrderID and RefundNo name it, as in refund.Ref.
	OrderID  string `json:"order_id"`
	RefundNo string `json:"refund_no"`
}

// Kind implements [river.JobArgs].
func (Args) Kind() string { return "orderfsm_refund" }

// InsertOpts implements [river.JobArgsWithInsertOpts]: one job of a refund at a time, and the most attempts
// that River's table can hold.
func (Args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: math.MaxInt16,
		Priority:    2, // behind the sweep, which a backlog must not keep from finding what the backlog hides
		Queue:       Queue,
		UniqueOpts:  oneAtATime(),
	}
}

func (a Args) ref() refund.Ref { return refund.Ref{OrderID: a.OrderID, RefundNo: a.RefundNo} }

// SweepArgs are the arguments of the periodic job that Config adds; see [Scheduler.Sweep].
type SweepArgs struct{}

// Kind implements [river.JobArgs].
func (SweepArgs) Kind() string { return "orderfsm_refund_sweep" }

// InsertOpts implements [river.JobArgsWithInsertOpts]: one at a time, tried once, because the next one follows.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, Priority: 1, Queue: Queue, UniqueOpts: oneAtATime()}
}

// oneAtATime has a job with the same arguments be the same job until it is final.
func oneAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}
