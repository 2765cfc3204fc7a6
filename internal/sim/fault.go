package sim

import "time"

// Fault breaks one call of an Op's task.
type Fault struct {
	// Call counts the calls to store and gateway from 0; each delivery of a notification has its
	// own hundred.
	Call int
	Kind FaultKind
	// For is how long a slow call takes longer, a late one or a resent one is on its way, a crashed
	// process is down, a busy provider refuses calls, or a store takes to look what became of
	// its COMMIT.
	For time.Duration
}

// FaultKind is how a call breaks. Those that only a store or only a gateway knows are FaultBefore
// for the other.
type FaultKind uint8

// The faults.
const (
	// FaultBefore is an error before anything happened; FaultAfter one although it all happened.
	FaultBefore FaultKind = iota + 1
	FaultAfter
	// FaultSlow takes For longer on the way there, FaultPause on the way back.
	FaultSlow
	FaultPause
	// FaultCrashBefore and FaultCrashAfter kill the process, before and after the call has its
	// effect.
	FaultCrashBefore
	FaultCrashAfter
	// FaultGone is a caller that does not wait any longer: its context ends while the call is on
	// its way back.
	FaultGone

	// FaultRollback is a store that fails at the commit; FaultRerun one that runs the change twice;
	// FaultCrashInside a process that dies in the transaction.
	FaultRollback
	FaultRerun
	FaultCrashInside
	// FaultHook is a hook in the transaction that fails; FaultHookPanic one that panics;
	// FaultHookExit one that ends its goroutine with runtime.Goexit.
	FaultHook
	FaultHookPanic
	FaultHookExit
	// FaultLostDone loses the answer to a COMMIT that is executed, FaultLostUndone to one that is
	// not, FaultLostHeld to one that the store executes after all, twice For later.
	FaultLostDone
	FaultLostUndone
	FaultLostHeld

	// FaultLate is a request that is given up on and arrives after For.
	FaultLate
	// FaultResend is a transport that sends the request twice. The caller gets the answer to the
	// second copy, which arrives For after the first.
	FaultResend
	// FaultNotSent is a gateway that had no connection and says that nothing was sent.
	FaultNotSent
	// FaultMismatch answers with somebody else's refund, FaultGarbage with no outcome; FaultSetup,
	// FaultBusy and FaultPanic are other ways in which a gateway leaves the outcome unknown.
	FaultMismatch
	FaultGarbage
	FaultSetup
	FaultBusy
	FaultPanic
)

var faultNames = [...]string{
	FaultBefore: "error_before", FaultAfter: "error_after", FaultSlow: "slow", FaultPause: "pause",
	FaultCrashBefore: "crash_before", FaultCrashAfter: "crash_after", FaultGone: "caller_gone",
	FaultRollback: "rollback", FaultRerun: "rerun", FaultCrashInside: "crash_inside",
	FaultHook: "hook_error", FaultHookPanic: "hook_panic", FaultHookExit: "hook_exit",
	FaultLostDone: "commit_lost_done", FaultLostUndone: "commit_lost_undone",
	FaultLostHeld: "commit_lost_held",
	FaultLate:     "late", FaultResend: "resend",
	FaultNotSent: "not_sent", FaultMismatch: "mismatch",
	FaultGarbage: "garbage", FaultSetup: "setup", FaultBusy: "busy", FaultPanic: "panic",
}

// String returns the fault's name in lower case.
func (k FaultKind) String() string { return faultNames[k] }

// fault returns the fault of that call; its Kind is 0 if there is none.
func (o *Op) fault(call int) Fault {
	for _, f := range o.Faults {
		if f.Call == call {
			return f
		}
	}
	return Fault{}
}

// isStoreOnly reports whether only a store can break this way.
func (k FaultKind) isStoreOnly() bool { return FaultRollback <= k && k <= FaultLostHeld }

// isGatewayOnly reports whether only a gateway can break this way.
func (k FaultKind) isGatewayOnly() bool { return k >= FaultLate }
