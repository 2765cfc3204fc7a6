package order

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Machine holds the table and moves refunds through it. Build it once with [NewMachine] and share
// it: it is immutable and safe for concurrent use by any number of orders.
type Machine struct {
	rows   []Row
	rank   map[State]int // the order shows the refund with the highest rank; 0 is never shown
	guards []Guard
	engine *engine
}

// Guard is called before a decision is carried out (see [Event.IsFact]). It may veto the decision
// by returning an error, whose text is the reason. A panic stops the decision too, with
// [ErrGuardPanic].
//
// o is a copy of the order before t. All guards of one decision share it and must not modify it.
// o.Refund(t.RefundNo) is in state t.From. A refund that is being requested is already the last
// element of o.Refunds but is not yet part of o.Reserved. In a refund.Service o.History holds only
// what the running command has done before t; Service.History returns the whole history.
//
// A guard must be safe for concurrent use: it may be called for several orders at once.
type Guard func(ctx context.Context, o *Order, t Transition) error

// Options are the optional parts of a [Machine]. The zero value gives the core table.
type Options struct {
	// Rows are added to the table between refund_requested and approved. A new event may lead from
	// refund_requested or a new state to a new state or back to refund_requested; the core events
	// approve, reject and cancel may be given new states to start from. Names are 1 to 32 of a-z,
	// 0-9 and _, beginning with a letter, and neither "event" nor "state".
	//
	// A refund in a new state keeps its amount reserved. An order shows new states after approved
	// and before refund_requested; of two new states it shows the one that Rows names later.
	//
	// The names are stored. Before you remove a row, make sure that no refund is in its state: a
	// machine without the row cannot move that refund, and its amount stays reserved.
	Rows []Row
	// Guards are called in this order, before those passed to [Machine.Fire].
	Guards []Guard
}

// NewMachine returns a machine with the core table and what opts adds. Its error lists every fault
// of the added rows: malformed or reserved names, duplicates, rows that change the fixed part of
// the table (from approved on), and states that cannot be reached or left.
func NewMachine(opts Options) (*Machine, error) {
	core := coreRows()
	if err := checkExtension(core, opts.Rows); err != nil {
		return nil, fmt.Errorf("new machine: %w", err)
	}
	if slices.ContainsFunc(opts.Guards, func(g Guard) bool { return g == nil }) {
		return nil, errors.New("new machine: a guard is nil")
	}
	added := addedStates(core, opts.Rows)
	m := &Machine{rows: slices.Concat(core, opts.Rows), guards: slices.Clone(opts.Guards)}
	for _, s := range added {
		// The provider may turn out to hold a refund that is still in review here.
		m.rows = append(m.rows, Row{Event: EventAdopt, From: s, To: StateApproved})
	}
	m.engine = newEngine(m.rows)
	m.rank = map[State]int{StateFailed: 1, StateRefundRequested: 2}
	for i, s := range append(added, StateApproved, StateAbnormal) {
		m.rank[s] = 3 + i
	}
	return m, nil
}

// Trigger is the input of [Machine.Fire].
type Trigger struct {
	// Event is what happens to the refund.
	Event Event
	// RefundNo is the number of the refund. request_refund creates the refund; adopt does so if the
	// order does not have it.
	RefundNo string
	// Amount (minor units) and Reason are those of a refund that is created; otherwise they are
	// ignored.
	Amount int64
	Reason string
	// Actor is who fires the event, Note why. reject needs a note. See MaxActor and MaxText.
	Actor Actor
	Note  string
	// At is the time of the event, in the years 1 to 9999. It is required and is kept as UTC.
	At time.Time
}

// creates reports whether the event may create a refund.
func (in *Trigger) creates() bool {
	return in.Event == EventRequestRefund || in.Event == EventAdopt
}

// refund returns the refund that the event creates, before it moves.
func (in *Trigger) refund() Refund {
	return Refund{
		No: in.RefundNo, Amount: in.Amount, Reason: in.Reason, State: StatePaid,
		RequestedBy: in.Actor,
	}
}

func (in *Trigger) wrap(o *Order, err error) error {
	return fmt.Errorf("%s refund %s of order %s: %w", in.Event, in.RefundNo, o.ID, err)
}

// Fire moves one refund of o, appends the transition to o.History and returns it. If Fire returns
// an error, o is unchanged. guards are called after those of the machine.
//
// No other goroutine may use o during the call.
//
// Errors: [ErrInvalid], [ErrRefundNotFound], [ErrTransition], [ErrAmount], [ErrVetoed],
// [ErrGuardPanic], [ErrConflict] if a guard changed o itself, or ctx's error if ctx has ended.
func (m *Machine) Fire(
	ctx context.Context, o *Order, in Trigger, guards ...Guard,
) (Transition, error) {
	if err := in.validate(); err != nil {
		return Transition{}, fmt.Errorf("%s refund of order %s: %w", in.Event, o.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return Transition{}, in.wrap(o, err)
	}
	i := o.index(in.RefundNo)
	next, err := m.move(o, i, &in) //nolint:contextcheck // looplab gets a context that never ends
	if err != nil {
		return Transition{}, err
	}
	t := Transition{
		Seq: o.Seq + 1, Event: in.Event, RefundNo: in.RefundNo, From: StatePaid, To: next.State,
		OrderFrom: o.State, Actor: in.Actor, Note: in.Note, At: in.At.UTC(),
	}
	if i >= 0 {
		t.From = o.Refunds[i].State
	}
	refunded, reserved, state := m.project(o, &next)
	t.OrderTo = state
	if !in.Event.IsFact() {
		if err := m.runGuards(ctx, o, in.refund(), t, guards); err != nil {
			return Transition{}, err
		}
	}
	// Nothing below can fail: the order changes as a whole or not at all.
	if i >= 0 {
		o.Refunds[i] = next
	} else {
		o.Refunds = append(o.Refunds, next)
	}
	o.Refunded, o.Reserved, o.State = refunded, reserved, state
	o.Seq, o.UpdatedAt = t.Seq, t.At
	o.History = append(o.History, t)
	return t, nil
}

// move returns the refund at index i after the event. If i < 0, the refund is new. It does not
// change o.
func (m *Machine) move(o *Order, i int, in *Trigger) (Refund, error) {
	r := in.refund()
	if i >= 0 {
		r = o.Refunds[i]
	} else if !in.creates() {
		return r, in.wrap(o, ErrRefundNotFound)
	}
	to, ok, err := m.engine.next(r.State, in.Event)
	if err != nil {
		return r, in.wrap(o, err)
	}
	if !ok {
		return r, m.transitionError(o, &r, in.Event, "")
	}
	if err := m.checkCondition(o, &r, in); err != nil {
		return r, err
	}
	r.enter(to, in)
	return r, nil
}

// checkCondition checks the "when" column of the table.
func (m *Machine) checkCondition(o *Order, r *Refund, in *Trigger) error {
	switch in.Event {
	case EventRequestRefund:
		if r.Amount <= 0 || r.Amount > o.Refundable() {
			return &AmountError{OrderID: o.ID, Asked: r.Amount, Left: o.Refundable()}
		}
	case EventAdopt:
		// A fact is recorded even if it exceeds the total; only the sums must not overflow.
		room := min(MaxAmount, math.MaxInt64-o.Refunded-o.Reserved)
		if r.Amount <= 0 || r.Amount > room {
			return &AmountError{OrderID: o.ID, Asked: r.Amount, Left: room}
		}
	case EventReject:
		if strings.TrimSpace(in.Note) == "" {
			return in.wrap(o, invalid("note", "is required"))
		}
	}
	if reason := blockedBy(o, r, in.Event); reason != "" {
		return m.transitionError(o, r, in.Event, reason)
	}
	return nil
}

// blockedBy returns why no input can use a row of the table now, or "" if the row is usable.
func blockedBy(o *Order, r *Refund, ev Event) string {
	switch ev {
	case EventCancel:
		// An attempt that sent nothing is no submission. A refund that the provider has accepted
		// may pay: AcceptedAt shows it even if a restored backup has lost the rest.
		sent := r.Outstanding || !r.SubmittedAt.IsZero() || r.Retries > 0
		if sent || !r.AcceptedAt.IsZero() {
			return "it was already submitted to the provider"
		}
	case EventApprove, EventRetry:
		// An adopted refund used the amount up: this one would return more than the buyer paid.
		if o.Excess() > 0 {
			return fmt.Sprintf("the refunds of the order exceed its total by %d", o.Excess())
		}
	}
	return ""
}

// enter moves r to a state and sets the fields that the event implies.
func (r *Refund) enter(to State, in *Trigger) {
	at := in.At.UTC()
	r.State = to
	// These belong to the submission that is under way, which ends with the approved state.
	r.NextAttemptAt, r.LeasedUntil, r.DeclinedAt = time.Time{}, time.Time{}, time.Time{}
	r.Outstanding = false
	r.EndedAt = time.Time{}
	if r.RequestedAt.IsZero() {
		r.RequestedAt = at
	}
	if in.Event == EventApprove || in.Event == EventReject {
		r.ReviewedBy, r.ReviewNote, r.ReviewedAt = in.Actor, in.Note, at
	}
	switch in.Event {
	case EventRetry:
		r.Retries, r.Attempts, r.AcceptedAt = r.Retries+1, 0, time.Time{}
	case EventAdopt:
		// The provider holds it, so it may pay and can no longer be withdrawn.
		r.Outstanding, r.Attempts, r.AcceptedAt = true, max(r.Attempts, 1), at
	}
	switch {
	case to == StateApproved:
		r.ApprovedAt, r.NextAttemptAt = at, at
	case to == StateFailed || to.Terminal():
		r.EndedAt = at
	}
}

// project returns the sums and the state of o with next in place of the refund of its number.
func (m *Machine) project(o *Order, next *Refund) (refunded, reserved int64, state State) {
	state = StatePaid
	highest := 0
	add := func(r *Refund) {
		switch {
		case r.State == StateRefunded:
			refunded += r.Amount
		case r.State.reserves():
			reserved += r.Amount
			if rank := m.rank[r.State]; rank > highest {
				highest, state = rank, r.State
			}
		}
	}
	for i := range o.Refunds {
		if o.Refunds[i].No != next.No {
			add(&o.Refunds[i])
		}
	}
	add(next)
	if state == StatePaid && refunded >= o.Total {
		state = StateRefunded
	}
	return refunded, reserved, state
}

// runGuards calls the guards with one copy of o. The copy includes added if o does not have the
// refund yet.
func (m *Machine) runGuards(
	ctx context.Context, o *Order, added Refund, t Transition, guards []Guard,
) error {
	if len(m.guards)+len(guards) == 0 {
		return nil
	}
	view := o.Clone()
	if view.Refund(t.RefundNo) == nil {
		view.Refunds = append(view.Refunds, added)
	}
	for _, g := range slices.Concat(m.guards, guards) {
		err := callGuard(ctx, g, view, t)
		switch {
		case errors.Is(err, ErrGuardPanic):
			return fmt.Errorf("%s refund %s of order %s: %w", t.Event, t.RefundNo, o.ID, err)
		case err != nil:
			return &VetoError{OrderID: o.ID, RefundNo: t.RefundNo, Event: t.Event, Reason: err}
		}
	}
	// A guard that has the order itself could have fired on it and used up the checked amount.
	if o.Seq != t.Seq-1 {
		return fmt.Errorf("%s refund %s of order %s: a guard changed the order: %w",
			t.Event, t.RefundNo, o.ID, ErrConflict)
	}
	return nil
}

// callGuard turns a panic of g into ErrGuardPanic.
func callGuard(ctx context.Context, g Guard, o *Order, t Transition) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrGuardPanic, p)
		}
	}()
	return g(ctx, o, t)
}

func (m *Machine) transitionError(o *Order, r *Refund, ev Event, reason string) error {
	return &TransitionError{
		OrderID: o.ID, RefundNo: r.No, Event: ev, From: r.State,
		Available: m.available(o, r), Reason: reason,
	}
}

// Available returns the events that the table and its conditions allow for a refund of o now,
// sorted. If o has no refund of that number, these are the events that create one. Guards are not
// called.
func (m *Machine) Available(o *Order, refundNo string) []Event {
	r := o.Refund(refundNo)
	if r == nil {
		r = &Refund{No: refundNo, State: StatePaid}
	}
	return m.available(o, r)
}

func (m *Machine) available(o *Order, r *Refund) []Event {
	var events []Event
	for _, row := range m.rows {
		if row.From != r.State ||
			row.Event == EventRequestRefund && o.Refundable() == 0 ||
			blockedBy(o, r, row.Event) != "" {
			continue
		}
		events = append(events, row.Event)
	}
	slices.Sort(events)
	return events
}

// Rows returns a copy of the table: the core rows, the added rows, and for each added state the row
// that adopts from it.
func (m *Machine) Rows() []Row { return slices.Clone(m.rows) }
