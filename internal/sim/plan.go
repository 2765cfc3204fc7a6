package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// Plan is everything that a run does on purpose, as lists from which entries can be removed. A Plan
// and the code determine the run: the same Plan gives the same trace.
type Plan struct {
	// Seed made the Plan. It also decides what no Op says: latencies and jitter.
	Seed uint64
	// Procs is the number of worker processes.
	Procs int
	// Orders are the paid orders, with their totals in minor units.
	Orders []PaidOrder
	// Balance is what the merchant's account holds at the start, in minor units.
	Balance int64
	// Provider says how this provider behaves.
	Provider Habits
	// StoreClock makes the store a refund.Clock, whose time is right.
	StoreClock bool
	// BadHooks makes the host's hooks and its Backoff panic now and then, end the goroutine, or
	// return nonsense.
	BadHooks bool
	// Even makes all calls equally fast, so that the Ops alone decide what overlaps.
	Even bool
	// Ops are what happens, sorted by At.
	Ops []Op
}

// PaidOrder is an order that the buyer has paid.
type PaidOrder struct {
	ID    string
	Total int64
}

// Habits are what providers do differently.
type Habits struct {
	// Echo answers a number that is sent again with its state; else it is only accepted again.
	Echo bool
	// Grumpy declines a number that is sent again, although it is being paid.
	Grumpy bool
	// Spacing is the least time between two refunds of one order, as the gateway declares it.
	Spacing time.Duration
	// Most is how many refunds of one order the gateway declares; 0 is no limit.
	Most int
	// Lag is how old the answers to queries are. It is less than the quiet period leaves beside
	// maxFlight.
	Lag time.Duration
	// Wordy makes the provider's numbers, codes, messages and dates longer and odder than any store
	// takes.
	Wordy bool
}

// Op is one thing that happens.
type Op struct {
	// ID stays with the Op when others are removed; it also decides the latencies of its calls.
	ID int
	// At is when, from the start of the run.
	At   time.Duration
	Kind Kind
	// Proc is the process that it happens to or that carries it out.
	Proc int
	// Order and Refund name what it is about, if the Kind needs that.
	Order, Refund string
	// Amount is in minor units.
	Amount int64
	// Outcome is how the provider ends a refund, or what a forged notification claims.
	Outcome refund.Outcome
	// For is a length of time, or how far a clock jumps.
	For time.Duration
	// Flag is a choice that the Kind explains.
	Flag bool
	// Deliver lists the delays after which the provider's notification of an end arrives; empty: it
	// is lost.
	Deliver []time.Duration
	// Faults break single calls.
	Faults []Fault
}

// Kind is what an Op does.
type Kind uint8

// The kinds. The first group are commands and steps, carried out by a process; the second happens
// to the provider; the third to the machines.
const (
	// OpRequest asks for Amount; OpApprove agrees to Amount.
	OpRequest Kind = iota + 1
	OpApprove
	OpReject
	// OpCancel withdraws; with Flag also what is approved.
	OpCancel
	OpRetry
	// OpAbandon gives up; with Flag also if the provider does not answer, on evidence that is true.
	OpAbandon
	// OpResolve is an operator who looks the refund up at the provider and records how it ended for
	// good.
	OpResolve
	// OpTransfer is an operator who pays by bank transfer, whatever the provider says, and records
	// the refund as paid.
	OpTransfer
	// OpProcess moves one refund; OpPoll all that are due; OpApproveAndSend approves and moves.
	OpProcess
	OpPoll
	OpApproveAndSend
	OpSync
	// OpForge delivers a notification with a claim that may be false, or about something that
	// nobody knows; with Flag in words that are far too long.
	OpForge

	// OpEnd ends an accepted refund with Outcome, or one that is accepted later, For after that.
	// With Flag a closed one is closed for good.
	OpEnd
	// OpFix ends an abnormal refund: paid with OutcomeSucceeded, else returned. With Flag a query
	// does not show it.
	OpFix
	// OpConsole is a refund made in the provider's own console.
	OpConsole
	// OpFunds sets the merchant's balance to Amount.
	OpFunds
	// OpDeny makes the provider deny for that long what it has accepted, or until a person acts if
	// For is 0. Queries do not find it, and with Flag requests are declined too.
	OpDeny

	// OpLineDown and OpDiskDown make every call to provider or store fail, For long.
	OpLineDown
	OpDiskDown
	// OpCrash kills a process, which starts again after For; OpClock moves its clock by For.
	OpCrash
	OpClock
	// OpRestore replaces the book by a backup that is as old as For.
	OpRestore
)

var kindNames = [...]string{
	OpRequest: "request", OpApprove: "approve", OpReject: "reject", OpCancel: "cancel", OpRetry: "retry",
	OpAbandon: "abandon", OpResolve: "resolve", OpTransfer: "transfer",
	OpProcess: "process", OpPoll: "poll", OpApproveAndSend: "approve_and_send", OpSync: "sync", OpForge: "forge",
	OpEnd: "end", OpFix: "fix", OpConsole: "console", OpFunds: "funds", OpDeny: "deny",
	OpLineDown: "line_down", OpDiskDown: "disk_down", OpCrash: "crash", OpClock: "clock",
	OpRestore: "restore",
}

// String returns the kind's name in lower case.
func (k Kind) String() string { return kindNames[k] }

// sorted puts the Ops into the order of their times; Ops of the same time keep theirs.
func (p *Plan) sorted() *Plan {
	slices.SortStableFunc(p.Ops, func(a, b Op) int { return int(a.At - b.At) })
	return p
}

// calmClocks reports whether all processes agree on the time.
func (p *Plan) calmClocks() bool {
	return !slices.ContainsFunc(p.Ops, func(o Op) bool { return o.Kind == OpClock })
}

// timely reports whether every request arrives within the quiet period after a refusal.
func (p *Plan) timely() bool {
	return !slices.ContainsFunc(p.Ops, func(o Op) bool {
		return slices.ContainsFunc(o.Faults,
			func(f Fault) bool { return f.Kind == FaultLate && f.For > maxFlight })
	})
}

// String lists the Plan, one Op on a line.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of seed %d: %d processes, balance %d, provider %+v\n",
		p.Seed, p.Procs, p.Balance, p.Provider)
	fmt.Fprintf(&b, "  store_clock %v, bad_hooks %v, even %v\n", p.StoreClock, p.BadHooks, p.Even)
	for _, o := range p.Orders {
		fmt.Fprintf(&b, "  order %s of %d\n", o.ID, o.Total)
	}
	for i := range p.Ops {
		fmt.Fprintf(&b, "  %s\n", p.Ops[i].String())
	}
	return b.String()
}

// String names what of the Op is set.
func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12v #%d p%d %s", o.At, o.ID, o.Proc, o.Kind)
	for _, s := range []string{o.Order, o.Refund} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	if o.Amount != 0 {
		fmt.Fprintf(&b, " amount=%d", o.Amount)
	}
	if o.Outcome != refund.OutcomeUnknown {
		fmt.Fprintf(&b, " %s", o.Outcome)
	}
	if o.For != 0 {
		fmt.Fprintf(&b, " for=%v", o.For)
	}
	if o.Flag {
		b.WriteString(" flag")
	}
	if len(o.Deliver) > 0 {
		fmt.Fprintf(&b, " deliver=%v", o.Deliver)
	}
	for _, f := range o.Faults {
		fmt.Fprintf(&b, " [call %d: %s %v]", f.Call, f.Kind, f.For)
	}
	return b.String()
}
