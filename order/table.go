package order

import (
	"errors"
	"fmt"
	"slices"
)

// Row is one row of the table: Event moves a refund from state From to state To.
type Row struct {
	Event Event
	From  State
	To    State
}

// coreRows returns the table of the package documentation.
func coreRows() []Row {
	return []Row{
		{EventRequestRefund, StatePaid, StateRefundRequested},
		{EventApprove, StateRefundRequested, StateApproved},
		{EventReject, StateRefundRequested, StateRejected},
		{EventCancel, StateRefundRequested, StateCancelled},
		{EventCancel, StateApproved, StateCancelled},
		{EventSettle, StateApproved, StateRefunded},
		{EventSettle, StateAbnormal, StateRefunded},
		{EventSettle, StateFailed, StateRefunded},
		{EventFail, StateApproved, StateFailed},
		{EventFail, StateAbnormal, StateFailed},
		{EventHold, StateApproved, StateAbnormal},
		{EventRetry, StateFailed, StateApproved},
		{EventAbandon, StateFailed, StateAbandoned},
		{EventAdopt, StatePaid, StateApproved},
		{EventAdopt, StateRefundRequested, StateApproved},
		{EventAdopt, StateFailed, StateApproved},
		{EventAdopt, StateRejected, StateApproved},
		{EventAdopt, StateCancelled, StateApproved},
		{EventAdopt, StateAbandoned, StateApproved},
	}
}

// exits returns the core events that may leave an added state, with their target states.
func exits() map[Event]State {
	return map[Event]State{
		EventApprove: StateApproved,
		EventReject:  StateRejected,
		EventCancel:  StateCancelled,
	}
}

// checkExtension returns every fault of the rows that a host adds to core, joined.
func checkExtension(core, added []Row) error {
	var errs []error
	coreEvents, coreStates := map[Event]bool{}, map[State]bool{}
	type key struct {
		ev   Event
		from State
	}
	seen := map[key]bool{}
	for _, r := range core {
		coreEvents[r.Event], coreStates[r.From], coreStates[r.To] = true, true, true
		seen[key{r.Event, r.From}] = true
	}
	for _, r := range added {
		if err := checkRow(r, coreEvents[r.Event], coreStates); err != nil {
			errs = append(errs, fmt.Errorf("row %s: %s → %s: %w", r.Event, r.From, r.To, err))
		}
		if seen[key{r.Event, r.From}] {
			errs = append(errs, fmt.Errorf("row %s: %s → %s: event %s from %s is already in the table",
				r.Event, r.From, r.To, r.Event, r.From))
		}
		seen[key{r.Event, r.From}] = true
	}
	for _, s := range addedStates(core, added) {
		if !reaches(added, StateRefundRequested, func(to State) bool { return to == s }) {
			errs = append(errs, fmt.Errorf("state %s cannot be reached from %s", s, StateRefundRequested))
		}
		if !reaches(added, s, func(to State) bool { return coreStates[to] }) {
			errs = append(errs, fmt.Errorf("state %s has no way out", s))
		}
	}
	return errors.Join(errs...)
}

func checkRow(r Row, coreEvent bool, coreStates map[State]bool) error {
	switch {
	case !isName(string(r.Event)) || !isName(string(r.From)) || !isName(string(r.To)):
		return errors.New("a name is 1 to 32 of a-z, 0-9 and _, begins with a letter, " +
			"and is neither event nor state")
	case r.From == r.To:
		return errors.New("a state cannot lead to itself")
	case coreStates[r.From] && r.From != StateRefundRequested:
		return fmt.Errorf("state %s is closed to extension", r.From)
	case coreEvent:
		if to, ok := exits()[r.Event]; !ok || to != r.To {
			return fmt.Errorf("core event %s does not allow this row", r.Event)
		}
	case coreStates[r.To] && r.To != StateRefundRequested:
		return errors.New("only approve, reject and cancel leave the review")
	}
	return nil
}

// isName reports whether s fits a column of the table. "event" and "state" are catch-all keys of
// looplab/fsm.
func isName(s string) bool {
	if len(s) == 0 || len(s) > 32 || s[0] < 'a' || s[0] > 'z' || s == "event" || s == "state" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// addedStates returns the states that are in added but not in core, in the order of first mention.
func addedStates(core, added []Row) []State {
	var states []State
	for _, r := range added {
		for _, s := range []State{r.From, r.To} {
			names := func(r Row) bool { return r.From == s || r.To == s }
			if !slices.ContainsFunc(core, names) && !slices.Contains(states, s) {
				states = append(states, s)
			}
		}
	}
	return states
}

// reaches reports whether rows lead in one or more steps from a state to one that satisfies goal.
func reaches(rows []Row, from State, goal func(State) bool) bool {
	reached := map[State]bool{from: true}
	for range rows { // a path without a cycle is not longer than that
		for _, r := range rows {
			if !reached[r.From] {
				continue
			}
			if goal(r.To) {
				return true
			}
			reached[r.To] = true
		}
	}
	return false
}
