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

// Machine holds the table and moves refunds through it. Build it once with [NewMachine] and share it: it is
// immutable and safe for concurrent use by any number of orders.
type Machine struct {
	rows   []Row
	rank   map[State]int // how pressing a state is; states without a rank do not press
	guards []Guard
	engine *engine
}

// Guard is called before a decision is carried out (see [Event.IsFact]). It may veto the decision by
// returning an error, whose text is the reason. A panic stops the decision too, with [ErrGuardPanic].
//
// o is a copy of the order before t. All guards of one decision share it and must not modify it.
// o.Refund(t.RefundNo) is in state t.From. A refund that is being requested is already the last element
// of o.Refunds but is not yet part of o.Reserved. In a refund.Service o.History holds only what the
// running command has done before t; Service.History returns the rest.
//
// A guard may be called for several orders at once.
type Guard func(ctx context.Context, o *Order, t Transition) error

// Options are the optional parts of a [Machine]. The zero value gives the core table.
type Options struct {
	// Rows are added to the table between refund_requested and approved. A new event may lead from
	// refund_requested or a new state to a new state or back to refund_requested; the core events
	// approve, reject and cancel may be given new states to start from. Names are 1 to 32 of a-z, 0-9
	// and _, beginning with a letter, and neither "event" nor "state".
	//
	// A refund in a new state keeps its amount reserved. An order shows new states after approved and
	// before refund_requested; of two new states it shows the one that is named later.
	//
	// The names are stored. Remove a row only when no refund is in its state any more: a machine
	// without the row has no way out of that state, and the amount stays reserved.
	Rows []Row
	// Guards are called in this order, before those passed to [Machine.Fire].
	Guards []Guard
}

// NewMachine returns a machine with the core table and what opts adds. Its error names every fault of
// the added rows: unknown or reserved names, duplicates, rows that touch the money zone (approved to
// the end), states that cannot be reached or left.
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
		// The provider may hold a refund that the book has anywhere in review.
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
	// RefundNo names the refund; request_refund creates it, and so does adopt where it is new.
	RefundNo string
	// Amount (minor units) and Reason are for a refund that is created; otherwise they are not looked at.
	Amount int64
	Reason string
	// Actor does it; Note says why. Reject needs a note. See MaxActor and MaxText.
	Actor Actor
	Note  string
	// At is when, in the years 1 to 9999. It must be set and is kept as UTC.
	At time.Time
}

// creates reports whether the event may create a refund.
func (f *Trigger) creates() bool { return f.Event == EventRequestRefund || f.Event == EventAdopt }

// refund is what the event creates, before it moves.
func (f *Trigger) refund() Refund {
	return Refund{No: f.RefundNo, Amount: f.Amount, Reason: f.Reason, State: StatePaid, RequestedBy: f.Actor}
}

// Fire moves one refund of o and appends the transition to o.History, which it returns. On any error o is
// exactly as before. guards are asked after the machine's own.
//
// The caller must have o to itself during the call.
//
// Errors: [ErrInvalid], [ErrRefundNotFound], [ErrTransition], [ErrAmount], [ErrVetoed], [ErrGuardPanic],
// [ErrConflict] if a guard changed o itself, or ctx's error if it has ended.
func (m *Machine) Fire(ctx context.Context, o *Order, f Trigger, guards ...Guard) (Transition, error) {
	if err := f.validate(); err != nil {
		return Transition{}, fmt.Errorf("%s refund of order %s: %w", f.Event, o.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return Transition{}, fmt.Errorf("%s refund %s of order %s: %w", f.Event, f.RefundNo, o.ID, err)
	}
	i := o.index(f.RefundNo)
	next, err := m.move(o, i, &f) //nolint:contextcheck // looplab must not see a context that can end
	if err != nil {
		return Transition{}, err
	}
	t := Transition{
		Seq: o.Seq + 1, Event: f.Event, RefundNo: f.RefundNo, From: StatePaid, To: next.State,
		OrderFrom: o.State, Actor: f.Actor, Note: f.Note, At: f.At.UTC(),
	}
	if i >= 0 {
		t.From = o.Refunds[i].State
	}
	refunded, reserved, state := m.project(o, &next)
	t.OrderTo = state
	if !f.Event.IsFact() {
		if err := m.ask(ctx, o, f.refund(), t, guards); err != nil {
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

// move returns what the refund at index i becomes, or a new one where i < 0, without touching o.
func (m *Machine) move(o *Order, i int, f *Trigger) (Refund, error) {
	r := f.refund()
	if i >= 0 {
		r = o.Refunds[i]
	} else if !f.creates() {
		return r, fmt.Errorf("%s refund %s of order %s: %w", f.Event, f.RefundNo, o.ID, ErrRefundNotFound)
	}
	to, ok, err := m.engine.next(r.State, f.Event)
	if err != nil {
		return r, fmt.Errorf("%s refund %s of order %s: %w", f.Event, f.RefundNo, o.ID, err)
	}
	if !ok {
		return r, m.refuse(o, &r, f.Event, "")
	}
	if err := m.condition(o, &r, f); err != nil {
		return r, err
	}
	r.enter(to, f)
	return r, nil
}

// condition checks the "when" column of the table.
func (m *Machine) condition(o *Order, r *Refund, f *Trigger) error {
	switch f.Event {
	case EventRequestRefund:
		if r.Amount <= 0 || r.Amount > o.Refundable() {
			return &AmountError{OrderID: o.ID, Asked: r.Amount, Left: o.Refundable()}
		}
	case EventAdopt:
		// A fact needs no room on the order, only sums that do not overflow.
		room := min(MaxAmount, math.MaxInt64-o.Refunded-o.Reserved)
		if r.Amount <= 0 || r.Amount > room {
			return &AmountError{OrderID: o.ID, Asked: r.Amount, Left: room}
		}
	case EventReject:
		if strings.TrimSpace(f.Note) == "" {
			return fmt.Errorf("reject refund %s of order %s: %w", r.No, o.ID, &InvalidError{"note", "is required"})
		}
	}
	if reason := blocked(o, r, f.Event); reason != "" {
		return m.refuse(o, r, f.Event, reason)
	}
	return nil
}

// blocked says why a row of the table is closed for now, whatever the input; empty where it is open.
func blocked(o *Order, r *Refund, ev Event) string {
	switch ev {
	case EventCancel:
		// What the provider has accepted may pay. A book that was restored from a backup does not
		// know that it submitted it.
		if r.Attempts > 0 || r.Retries > 0 || !r.AcceptedAt.IsZero() {
			return "it was already submitted to the provider"
		}
	case EventApprove, EventRetry:
		// An adopted refund took the room: sending this one would pay out more than was paid in.
		if o.Excess() > 0 {
			return fmt.Sprintf("the refunds of the order exceed its total by %d", o.Excess())
		}
	}
	return ""
}

// enter moves r and keeps its dates.
func (r *Refund) enter(to State, f *Trigger) {
	at := f.At.UTC()
	r.State = to
	// What Process keeps while a refund is approved ends with that state.
	r.NextAttemptAt, r.LeasedUntil, r.DeclinedAt, r.Outstanding = time.Time{}, time.Time{}, time.Time{}, false
	r.EndedAt = time.Time{}
	if r.RequestedAt.IsZero() {
		r.RequestedAt = at
	}
	if f.Event == EventApprove || f.Event == EventReject {
		r.ReviewedBy, r.ReviewNote, r.ReviewedAt = f.Actor, f.Note, at
	}
	switch f.Event {
	case EventRetry:
		r.Retries, r.Attempts, r.AcceptedAt = r.Retries+1, 0, time.Time{}
	case EventAdopt:
		// The provider holds it: it may pay, and it can no longer be withdrawn.
		r.Outstanding, r.Attempts, r.AcceptedAt = true, max(r.Attempts, 1), at
	}
	switch {
	case to == StateApproved:
		r.ApprovedAt, r.NextAttemptAt = at, at
	case to == StateFailed || to.Terminal():
		r.EndedAt = at
	}
}

// project returns the order's sums and state if next took the place of the refund with its number.
func (m *Machine) project(o *Order, next *Refund) (refunded, reserved int64, state State) {
	state = StatePaid
	press := 0
	add := func(r *Refund) {
		switch {
		case r.State == StateRefunded:
			refunded += r.Amount
		case r.State.holds():
			reserved += r.Amount
			if p := m.rank[r.State]; p > press {
				press, state = p, r.State
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

// ask runs the guards, each on its own copy: one that writes to it misleads neither the order nor the next. added is what
// they are shown of a refund that the order does not have yet.
func (m *Machine) ask(ctx context.Context, o *Order, added Refund, t Transition, guards []Guard) error {
	if len(m.guards)+len(guards) == 0 {
		return nil
	}
	view := o.Clone()
	if view.Refund(t.RefundNo) == nil {
		view.Refunds = append(view.Refunds, added)
	}
	for _, g := range slices.Concat(m.guards, guards) {
		err := call(ctx, g, view, t)
		switch {
		case errors.Is(err, ErrGuardPanic):
			return fmt.Errorf("%s refund %s of order %s: %w", t.Event, t.RefundNo, o.ID, err)
		case err != nil:
			return &VetoError{OrderID: o.ID, RefundNo: t.RefundNo, Event: t.Event, Reason: err}
		}
	}
	// A guard that holds the order itself could have fired on it: the amount checked above may be gone.
	if o.Seq != t.Seq-1 {
		return fmt.Errorf("%s refund %s of order %s: a guard changed the order: %w", t.Event, t.RefundNo, o.ID, ErrConflict)
	}
	return nil
}

func call(ctx context.Context, g Guard, o *Order, t Transition) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrGuardPanic, p)
		}
	}()
	return g(ctx, o, t)
}

func (m *Machine) refuse(o *Order, r *Refund, ev Event, reason string) error {
	return &TransitionError{
		OrderID: o.ID, RefundNo: r.No, Event: ev, From: r.State,
		Available: m.available(o, r), Reason: reason,
	}
}

// Available lists the events that the table and its conditions allow for a refund of o now, sorted; for a
// number that o does not have, those that create a refund. Guards are not asked.
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
			blocked(o, r, row.Event) != "" {
			continue
		}
		events = append(events, row.Event)
	}
	slices.Sort(events)
	return events
}

// Can reports whether [Machine.Available] lists ev.
func (m *Machine) Can(o *Order, refundNo string, ev Event) bool {
	return slices.Contains(m.Available(o, refundNo), ev)
}

// Rows returns the table, the added rows last.
func (m *Machine) Rows() []Row { return slices.Clone(m.rows) }
