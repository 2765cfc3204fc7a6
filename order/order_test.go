package order_test

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func TestCloneIsDeep(t *testing.T) {
	m := newMachine(t)
	o := newOrder(100)
	addRefund(t, m, o, "R1", 10, order.StateApproved)
	addRefund(t, m, o, "R2", 10, order.StateFailed)
	bytes := toJSON(t, o)

	a, b := o.Clone(), o.Clone()
	require.Equal(t, o, a)
	a.Refunds[0].Amount, a.History[0].Note, a.Total = 99, "x", 1
	// Both grow into whatever capacity there is; neither may see the other.
	fire(t, m, b, order.EventRequestRefund, "B", 5)
	_, err := m.Fire(context.Background(), o.Clone(), trigger(order.EventRequestRefund, "C", 5))
	require.NoError(t, err)
	require.Equal(t, "B", b.Refunds[2].No)
	require.Equal(t, "B", b.History[len(b.History)-1].RefundNo)
	require.Equal(t, bytes, toJSON(t, o))
}

func TestCloneKeepsNilAndEmpty(t *testing.T) {
	var none *order.Order
	require.Nil(t, none.Clone())
	o := newOrder(100)
	require.Equal(t, toJSON(t, o), toJSON(t, o.Clone()))
	o.Refunds, o.History = []order.Refund{}, []order.Transition{}
	require.Equal(t, toJSON(t, o), toJSON(t, o.Clone()))
}

// Two orders that share slices with spare room, as after a shallow copy by a store, may still not
// be mixed up by what a failed Fire leaves behind.
func TestFailedFireLeavesSpareCapacityAlone(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateRefundRequested)
	refunds := append(make([]order.Refund, 0, 8), o.Refunds...)
	history := append(make([]order.Transition, 0, 8), o.History...)
	o.Refunds, o.History = refunds, history
	_ = refuse(t, m, o, trigger(order.EventRequestRefund, "R2", 41))
	_ = refuse(t, m, o, trigger(order.EventSettle, "R1", 0))
	require.Zero(t, refunds[:8][1])
	require.Zero(t, history[:8][1])
}

func TestRefundPointsIntoTheOrder(t *testing.T) {
	o := inState(t, newMachine(t), order.StateApproved)
	o.Refund("R1").ProviderRefundID = "5030"
	require.Equal(t, "5030", o.Refunds[0].ProviderRefundID)
	require.Nil(t, o.Refund("r1"))
	require.Nil(t, o.Refund(""))
}

func TestTimesBecomeUTC(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	in := trigger(order.EventRequestRefund, "R1", 60)
	in.At = time.Now().In(time.FixedZone("CST", 8*3600)) //nolint:forbidigo // with a monotonic reading, which no store keeps
	tr, err := m.Fire(context.Background(), o, in)
	require.NoError(t, err)
	require.True(t, in.At.Equal(tr.At))
	in.Event = order.EventApprove
	_, err = m.Fire(context.Background(), o, in)
	require.NoError(t, err)
	r := o.Refund("R1")
	for _, at := range []time.Time{
		tr.At, o.UpdatedAt, r.RequestedAt, r.ReviewedAt, r.ApprovedAt,
		r.NextAttemptAt,
	} {
		require.Equal(t, in.At.Round(0).UTC(), at)
	}
	var back order.Order
	require.NoError(t, json.Unmarshal([]byte(toJSON(t, o)), &back))
	require.Equal(t, o, &back, "what is stored is what was decided")
}

func TestEventsSetTheDates(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	at := func(minute int) time.Time { return t0().Add(time.Duration(minute) * time.Minute) }
	step := func(minute int, ev order.Event) *order.Refund {
		in := trigger(ev, "R1", 60)
		in.At = at(minute)
		_, err := m.Fire(context.Background(), o, in)
		require.NoError(t, err)
		return o.Refund("R1")
	}
	step(1, order.EventRequestRefund)
	r := step(2, order.EventApprove)
	require.Equal(t, at(2), r.ApprovedAt)
	require.Equal(t, at(2), r.NextAttemptAt, "due at once")
	require.Equal(t, order.Actor("staff:7"), r.ReviewedBy)
	require.Equal(t, "seen", r.ReviewNote)
	require.True(t, r.EndedAt.IsZero())

	r.LeasedUntil, r.SubmittedAt, r.DeclinedAt, r.Outstanding = at(9), at(3), at(3), true
	r = step(4, order.EventFail)
	require.Equal(t, at(4), r.EndedAt)
	require.False(t, r.Outstanding)
	require.Equal(t, at(3), r.SubmittedAt, "what was sent stays known")
	for _, zero := range []time.Time{r.NextAttemptAt, r.LeasedUntil, r.DeclinedAt} {
		require.True(t, zero.IsZero(), "what Process keeps ends with approved")
	}
	r = step(5, order.EventRetry)
	require.Equal(t, at(5), r.ApprovedAt)
	require.Equal(t, at(5), r.NextAttemptAt)
	require.True(t, r.EndedAt.IsZero())
	require.Equal(t, at(2), r.ReviewedAt, "the review stands")
	r = step(6, order.EventHold)
	require.True(t, r.EndedAt.IsZero(), "abnormal is open")
	r = step(7, order.EventSettle)
	require.Equal(t, at(7), r.EndedAt)
	require.Equal(t, at(1), r.RequestedAt)
	require.Equal(t, at(7), o.UpdatedAt)
	require.Equal(t, t0(), o.CreatedAt)
}

func TestReviewIsRecorded(t *testing.T) {
	m := newMachine(t)
	for _, s := range []order.State{order.StateApproved, order.StateRejected} {
		r := inState(t, m, s).Refund("R1")
		require.Equal(t, []any{order.Actor("staff:7"), "seen", trigger("", "", 0).At},
			[]any{r.ReviewedBy, r.ReviewNote, r.ReviewedAt})
	}
	require.Zero(t, inState(t, m, order.StateCancelled).Refund("R1").ReviewedBy)
}

// TestJSONKeysEqualTheGoNames derives each key from the Go name.
func TestJSONKeysEqualTheGoNames(t *testing.T) {
	word := regexp.MustCompile(`ID|[A-Z][a-z]*`)
	for _, v := range []any{order.Order{}, order.Refund{}, order.Transition{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			f := typ.Field(i)
			want := strings.ToLower(strings.Join(word.FindAllString(f.Name, -1), "_"))
			if f.Type == reflect.TypeOf(time.Time{}) && f.Name != "At" && f.Name != "RequestedAt" {
				want += ",omitzero" // not 0001-01-01 if nothing has happened yet
			}
			require.Equal(t, want, f.Tag.Get("json"), "%s.%s", typ.Name(), f.Name)
		}
	}
}

func TestOnlyAdoptLeavesTerminalStates(t *testing.T) {
	ends := []order.State{
		order.StateRefunded, order.StateRejected, order.StateCancelled,
		order.StateAbandoned,
	}
	for _, s := range append(coreStates(), "", "reviewed") {
		terminal := false
		for _, e := range ends {
			terminal = terminal || s == e
		}
		require.Equal(t, terminal, s.Terminal(), s)
	}
	// The only way out of a terminal state is adopt.
	for _, r := range newMachine(t).Rows() {
		if r.From.Terminal() {
			require.Equal(t, order.EventAdopt, r.Event)
		}
	}
}
