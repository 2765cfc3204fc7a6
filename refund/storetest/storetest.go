package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Harness gives the suite a store.
type Harness struct {
	// New returns an empty store. It is called for each check. Clean up with t.Cleanup.
	New func(t *testing.T) refund.Store
	// Reopen returns a second handle on the data of a store of New, as another process has it. If
	// nil, the checks with two handles are skipped.
	Reopen func(t *testing.T, s refund.Store) refund.Store
	// Begin opens a transaction on the database of s, as a host does. It returns a context with
	// which the store joins the transaction, and a function that commits it or rolls it back. Other
	// contexts must be able to use s meanwhile. If nil, the checks of joining are skipped.
	Begin func(t *testing.T, s refund.Store) (ctx context.Context, end func(commit bool) error)
	// TimePrecision is the precision of the times in the store. If zero, 1 µs.
	TimePrecision time.Duration
}

// Run runs every check as a parallel subtest of t.
func Run(t *testing.T, h Harness) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := &env{store: h.New(t), precision: h.TimePrecision, patience: time.Minute}
			if h.Reopen != nil {
				e.second = h.Reopen(t, e.store)
			}
			if h.Begin != nil {
				e.begin = func() (context.Context, func(bool) error) { return h.Begin(t, e.store) }
			}
			if c.needs != nil {
				if missing := c.needs(e); missing != "" {
					t.Skip(missing)
				}
			}
			c.run(t, e)
		})
	}
}

// tb is the part of testing.T that a check needs. It is small, so that a test can prove that the
// suite fails.
type tb interface {
	require.TestingT
	Helper()
}

// check is one promise of the port.
type check struct {
	name  string
	run   func(t tb, e *env)
	needs func(e *env) string // returns what stays unproven if the check must be skipped, or ""
}

func checks() []check {
	return []check{
		{"CreateAndGet", createAndGet, nil},
		{"Texts", texts, nil},
		{"CreateTwice", createTwice, nil},
		{"NotFound", notFound, nil},
		{"UpdateCommits", updateCommits, nil},
		{"UpdateRollsBackOnError", updateRollsBackOnError, nil},
		{"UpdateRollsBackOnPanic", updateRollsBackOnPanic, nil},
		{"VersionCountsCommits", versionCountsCommits, nil},
		{"HistoryStaysWhole", historyStaysWhole, nil},
		{"HistoryIsNotLoaded", historyIsNotLoaded, nil},
		{"HistoryPages", historyPages, nil},
		{"HistoryContinues", historyContinues, nil},
		{"RefundNoIsUnique", refundNoIsUnique, nil},
		{"RefundNoIsUniqueAtOnce", refundNoIsUniqueAtOnce, nil},
		{"CopiesIn", copiesIn, nil},
		{"CopiesOut", copiesOut, nil},
		{"NoLostUpdate", noLostUpdate, nil},
		{"OrdersDoNotMix", ordersDoNotMix, nil},
		{"ContextEndedBefore", contextEndedBefore, nil},
		{"ContextEndsInside", contextEndsInside, nil},
		{"ContextEndsWaiting", contextEndsWaiting, nil},
		{"NestedUpdateIsAnError", nestedUpdateIsAnError, nil},
		{"DueIsApprovedAndDue", dueIsApprovedAndDue, nil},
		{"DueOrderAndLimit", dueOrderAndLimit, nil},
		{"DueExcept", dueExcept, nil},
		{"DueBeyond", dueBeyond, nil},
		{"ListFilters", listFilters, nil},
		{"ListPages", listPages, nil},
		{"ListLimits", listLimits, nil},
		{"TwoHandles", twoHandles, needsSecond},
		{"Joined", joined, needsJoiner},
		{"AfterCommit", afterCommit, needsJoiner},
		{"JoinedCommits", joinedCommits, needsBegin},
		{"JoinedRollsBack", joinedRollsBack, needsBegin},
		{"JoinedSeesItsChanges", joinedSeesItsChanges, needsBegin},
		{"JoinedFailureChangesNothing", joinedFailureChangesNothing, needsBegin},
		{"JoinedNestedIsAnError", joinedNestedIsAnError, needsBegin},
		{"JoinedLocks", joinedLocks, needsBegin},
		{"JoinedAfterCommit", joinedAfterCommit, needsBeginAndJoiner},
	}
}

func needsSecond(e *env) string {
	if e.second == nil {
		return "Harness.Reopen is nil: unproven that two processes can share the data"
	}
	return ""
}

func needsJoiner(e *env) string {
	if _, ok := e.store.(refund.Joiner); !ok {
		return "the store is not a refund.Joiner: " +
			"unproven that the provider is not called in a transaction"
	}
	return ""
}

// env holds the store of one check.
type env struct {
	store     refund.Store
	second    refund.Store // another handle on the same data, or nil
	begin     func() (ctx context.Context, end func(commit bool) error)
	precision time.Duration
	patience  time.Duration // how long to wait for a store that may be broken
}

var bg = context.Background()

// at returns the moment n seconds into the test, with the precision of the store.
func (e *env) at(n int) time.Time {
	precision := e.precision
	if precision == 0 {
		precision = time.Microsecond
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	return start.Add(time.Duration(n) * time.Second).Truncate(precision)
}

// paid returns a paid order of 1000.00.
func (e *env) paid(id string) *order.Order {
	return &order.Order{
		ID: id, Gateway: "test", PaymentID: "pay-" + id, Currency: "CNY", Total: 100000,
		State:  order.StatePaid,
		PaidAt: e.at(-60), CreatedAt: e.at(0), UpdatedAt: e.at(0),
	}
}

// fire fires an event on a refund of o. amount is for a request.
func (e *env) fire(
	t tb, o *order.Order, ev order.Event, number string, amount int64, at time.Time,
) {
	t.Helper()
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	_, err = m.Fire(bg, o, order.Trigger{
		Event: ev, RefundNo: number, Amount: amount, At: at, Actor: "buyer:1",
		Reason: "尺码不对 👕 'quoted' \\ %_", Note: "行 1\n行 2",
	})
	require.NoError(t, err)
}

// create stores an order with requested refunds of one fen each, with the given numbers.
func (e *env) create(t tb, id string, numbers ...string) *order.Order {
	t.Helper()
	o := e.paid(id)
	for i, number := range numbers {
		e.fire(t, o, order.EventRequestRefund, number, 1, e.at(i+1))
	}
	require.NoError(t, e.store.Create(bg, o))
	return e.get(t, id)
}

// get reads an order with its whole history.
func (e *env) get(t tb, id string) *order.Order {
	t.Helper()
	o, err := refund.LoadOrder(bg, e.store, id)
	require.NoError(t, err)
	require.NotNil(t, o)
	return o
}

// request returns an Update function that requests a refund of one fen.
func (e *env) request(t tb, number string) func(context.Context, *order.Order) error {
	return func(_ context.Context, o *order.Order) error {
		e.fire(t, o, order.EventRequestRefund, number, 1, e.at(10))
		return nil
	}
}

// requireSame requires that two orders are equal. An empty list may be nil.
func requireSame(t tb, want, got *order.Order, msg ...any) {
	t.Helper()
	w, g := want.Clone(), got.Clone()
	for _, o := range []*order.Order{w, g} {
		o.Refunds = append([]order.Refund{}, o.Refunds...)
		o.History = append([]order.Transition{}, o.History...)
	}
	require.Equal(t, w, g, msg...)
}
