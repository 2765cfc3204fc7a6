package order_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

const (
	reviewed       order.State = "reviewed"
	goodsReturning order.State = "goods_returning"
	infoAsked      order.State = "info_asked"
)

// reviewRows adds a second reviewer, a check that the goods are back, and a question to the buyer.
func reviewRows() []order.Row {
	return []order.Row{
		{Event: "ask_info", From: order.StateRefundRequested, To: infoAsked},
		{Event: "give_info", From: infoAsked, To: order.StateRefundRequested},
		{Event: order.EventCancel, From: infoAsked, To: order.StateCancelled},
		{Event: "second_review", From: order.StateRefundRequested, To: reviewed},
		{Event: order.EventApprove, From: reviewed, To: order.StateApproved},
		{Event: order.EventReject, From: reviewed, To: order.StateRejected},
		{Event: "await_goods", From: reviewed, To: goodsReturning},
		{Event: order.EventApprove, From: goodsReturning, To: order.StateApproved},
	}
}

func TestNewMachineRefusesFaultyRows(t *testing.T) {
	requested, approved, long := order.StateRefundRequested, order.StateApproved,
		strings.Repeat("a", 33)
	out := order.Row{Event: order.EventApprove, From: reviewed, To: approved}
	in := order.Row{Event: "second_review", From: requested, To: reviewed}
	for name, c := range map[string]struct {
		rows []order.Row
		says []string
	}{
		"empty event":          {[]order.Row{{"", requested, reviewed}, out}, []string{"a name is"}},
		"empty state":          {[]order.Row{{"x", requested, ""}}, []string{"a name is"}},
		"event named event":    {[]order.Row{{"event", requested, reviewed}, out}, []string{"neither event nor state"}},
		"event named state":    {[]order.Row{{"state", requested, reviewed}, out}, []string{"neither event nor state"}},
		"state named state":    {[]order.Row{{"x", requested, "state"}}, []string{"neither event nor state"}},
		"state named event":    {[]order.Row{{"x", requested, "event"}}, []string{"neither event nor state"}},
		"capitals":             {[]order.Row{{"Review", requested, reviewed}, out}, []string{"row Review"}},
		"digit first":          {[]order.Row{{"2nd", requested, reviewed}, out}, []string{"row 2nd"}},
		"too long":             {[]order.Row{{order.Event(long), requested, reviewed}, out}, []string{"a name is"}},
		"misspelt core state":  {[]order.Row{in, {order.EventApprove, reviewed, "aproved"}}, []string{"approve", "aproved has no way out"}},
		"self":                 {[]order.Row{in, out, {"again", reviewed, reviewed}}, []string{"cannot lead to itself"}},
		"self of the core":     {[]order.Row{{"again", requested, requested}}, []string{"cannot lead to itself"}},
		"duplicate":            {[]order.Row{in, in, out}, []string{"second_review from refund_requested is already"}},
		"two targets":          {[]order.Row{in, out, {"second_review", requested, goodsReturning}}, []string{"already in the table"}},
		"core row repeated":    {[]order.Row{{order.EventApprove, requested, approved}}, []string{"already in the table"}},
		"core row redirected":  {[]order.Row{in, out, {order.EventApprove, requested, reviewed}}, []string{"already in the table", "core event approve"}},
		"straight to refunded": {[]order.Row{in, out, {"pay", reviewed, order.StateRefunded}}, []string{"leave the review"}},
		"skip to approved":     {[]order.Row{{"wave_through", requested, approved}}, []string{"leave the review"}},
		"settle from review": {[]order.Row{
			in, out,
			{order.EventSettle, reviewed, order.StateRefunded},
		}, []string{"core event settle"}},
		"adopt from review":    {[]order.Row{in, out, {order.EventAdopt, reviewed, approved}}, []string{"core event adopt"}},
		"reject into approved": {[]order.Row{in, out, {order.EventReject, reviewed, approved}}, []string{"core event reject"}},
		"from approved":        {[]order.Row{in, out, {"pull_back", approved, reviewed}}, []string{"approved is closed"}},
		"from failed":          {[]order.Row{in, out, {"review_again", order.StateFailed, reviewed}}, []string{"failed is closed"}},
		"from abnormal":        {[]order.Row{in, out, {"x", order.StateAbnormal, reviewed}}, []string{"abnormal is closed"}},
		"from rejected":        {[]order.Row{in, out, {"appeal", order.StateRejected, reviewed}}, []string{"rejected is closed"}},
		"from paid":            {[]order.Row{out, {"x", order.StatePaid, reviewed}}, []string{"paid is closed", "cannot be reached"}},
		"back to paid":         {[]order.Row{in, out, {"x", reviewed, order.StatePaid}}, []string{"leave the review"}},
		"unreachable":          {[]order.Row{out}, []string{"reviewed cannot be reached"}},
		"one of two unreachable": {
			[]order.Row{in, out, {order.EventApprove, goodsReturning, approved}},
			[]string{"goods_returning cannot be reached"},
		},
		"bad name":   {[]order.Row{{order.EventApprove, "Reviewed", approved}}, []string{"a name is"}},
		"no way out": {[]order.Row{in}, []string{"reviewed has no way out"}},
		"circle with no way out": {
			[]order.Row{in, {"a", reviewed, goodsReturning}, {"b", goodsReturning, reviewed}},
			[]string{"reviewed has no way out", "goods_returning has no way out"},
		},
		"island": {
			[]order.Row{{"a", reviewed, goodsReturning}, {"b", goodsReturning, reviewed}, out},
			[]string{"reviewed cannot be reached", "goods_returning cannot be reached"},
		},
		"every fault is named": {
			[]order.Row{
				in,
				{"event", requested, infoAsked},
				{"pay", reviewed, order.StateRefunded},
				{"a", "x", "x"},
			},
			[]string{"row event", "row pay", "row a", "info_asked has no way out"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := order.NewMachine(order.Options{Rows: c.rows})
			require.Nil(t, m)
			for _, text := range append(c.says, "new machine: ") {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

// A row that leaves a core state has one fault: the state is not also taken for an added one.
func TestRowFromACoreStateHasOneFault(t *testing.T) {
	for _, from := range coreStates() {
		if from == order.StateRefundRequested {
			continue
		}
		row := order.Row{Event: "x", From: from, To: order.StateRefundRequested}
		_, err := order.NewMachine(order.Options{Rows: []order.Row{row}})
		require.EqualError(t, err, fmt.Sprintf(
			"new machine: row x: %[1]s → refund_requested: state %[1]s is closed to extension", from))
	}
}

func TestAddedNamesAreChecked(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "z": true, "a_z": true, "a09": true, "za": true, "az": true, "a_": true,
		"events":                true,
		strings.Repeat("z", 32): true, strings.Repeat("z", 33): false,
		"": false, "_a": false, "0a": false, "9a": false, "`a": false, "{a": false, "A": false,
		"Z": false, "a`": false, "a{": false, "a/": false, "a:": false, "aA": false, "aZ": false,
		"a-b": false, "a b": false,
		"a\n": false, "a\x00": false, "aé": false, "event": false, "state": false,
	} {
		event, state := order.Event(name), order.State(name)
		_, err := order.NewMachine(order.Options{Rows: []order.Row{
			{Event: event, From: order.StateRefundRequested, To: reviewed},
			{Event: order.EventApprove, From: reviewed, To: order.StateApproved},
		}})
		require.Equal(t, ok, err == nil, "event %q: %v", name, err)
		_, err = order.NewMachine(order.Options{Rows: []order.Row{
			{Event: "x", From: order.StateRefundRequested, To: state},
			{Event: order.EventApprove, From: state, To: order.StateApproved},
		}})
		require.Equal(t, ok, err == nil, "state %q: %v", name, err)
	}
}

func TestNilGuardIsRefused(t *testing.T) {
	_, err := order.NewMachine(order.Options{Guards: []order.Guard{nil}})
	require.ErrorContains(t, err, "guard is nil")
}

func TestAddedRowsKeepTheCoreRows(t *testing.T) {
	core := newMachine(t).Rows()
	m := newMachine(t, reviewRows()...)
	require.Equal(t, core, m.Rows()[:len(core)])
	require.Equal(t, reviewRows(), m.Rows()[len(core):len(core)+len(reviewRows())])
	// What the provider holds can be adopted from every added state.
	require.Equal(t, []order.Row{
		{Event: order.EventAdopt, From: infoAsked, To: order.StateApproved},
		{Event: order.EventAdopt, From: reviewed, To: order.StateApproved},
		{Event: order.EventAdopt, From: goodsReturning, To: order.StateApproved},
	}, m.Rows()[len(core)+len(reviewRows()):])
	require.Equal(t, core, newMachine(t).Rows())
}

func TestRowsAreACopy(t *testing.T) {
	m, given := newMachine(t), reviewRows()
	m.Rows()[0] = order.Row{}
	require.Equal(t, order.EventRequestRefund, m.Rows()[0].Event)
	m = newMachine(t, given...)
	want := m.Rows()
	given[0] = order.Row{}
	require.Equal(t, want, m.Rows())
}

func TestRefundsWalkAddedRows(t *testing.T) {
	m := newMachine(t, reviewRows()...)
	type step struct {
		ev      order.Event
		to      order.State
		orderTo order.State
		left    int64
	}
	request := step{
		order.EventRequestRefund, order.StateRefundRequested,
		order.StateRefundRequested, 40,
	}
	ask := step{"ask_info", infoAsked, infoAsked, 40}
	second := step{"second_review", reviewed, reviewed, 40}
	approve := step{order.EventApprove, order.StateApproved, order.StateApproved, 40}
	adopt := step{order.EventAdopt, order.StateApproved, order.StateApproved, 40}
	for name, steps := range map[string][]step{
		"second review": {
			request, second, approve,
			{order.EventSettle, order.StateRefunded, order.StatePaid, 40},
		},
		"goods back": {request, second, {"await_goods", goodsReturning, goodsReturning, 40}, approve},
		"question": {
			request, ask,
			{"give_info", order.StateRefundRequested, order.StateRefundRequested, 40},
			ask,
		},
		"reject": {
			request, second,
			{order.EventReject, order.StateRejected, order.StatePaid, 100},
		},
		"cancel":         {request, ask, {order.EventCancel, order.StateCancelled, order.StatePaid, 100}},
		"straight":       {request, approve},
		"adopted midway": {request, ask, adopt},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrder(100)
			for _, s := range steps {
				tr := fire(t, m, o, s.ev, "R1", 60)
				require.Equal(t, s.to, tr.To)
				require.Equal(t, s.orderTo, o.State)
				require.Equal(t, s.left, o.Refundable())
			}
		})
	}
}

func TestAddedStatesRefuseOtherEvents(t *testing.T) {
	m := newMachine(t, reviewRows()...)
	o := newOrder(100)
	fire(t, m, o, order.EventRequestRefund, "R1", 60)
	fire(t, m, o, "second_review", "R1", 0)
	require.Equal(t, []order.Event{"adopt", "approve", "await_goods", "reject"}, m.Available(o, "R1"))
	for _, ev := range []order.Event{
		"second_review", "ask_info", order.EventCancel,
		order.EventSettle, order.EventRetry,
	} {
		require.ErrorIs(t, refuse(t, m, o, trigger(ev, "R1", 0)), order.ErrTransition, ev)
	}
	in := trigger(order.EventReject, "R1", 0)
	in.Note = ""
	require.ErrorIs(t, refuse(t, m, o, in), order.ErrInvalid, "a note, from an added state too")
}

// A machine without the host's rows must neither move such a refund nor give its money away.
func TestUnknownStateIsNotMovedAndStaysReserved(t *testing.T) {
	o := newOrder(100)
	with := newMachine(t, reviewRows()...)
	fire(t, with, o, order.EventRequestRefund, "R1", 60)
	fire(t, with, o, "second_review", "R1", 0)

	without := newMachine(t)
	require.Error(t, without.Verify(o))
	require.Empty(t, without.Available(o, "R1"))
	require.ErrorIs(t, refuse(t, without, o, trigger(order.EventApprove, "R1", 0)),
		order.ErrTransition)
	require.ErrorIs(t, refuse(t, without, o, trigger(order.EventRequestRefund, "R2", 41)),
		order.ErrAmount)
	_, err := without.Fire(context.Background(), o, trigger(order.EventRequestRefund, "R2", 40))
	require.NoError(t, err)
	require.Equal(t, int64(100), o.Reserved)
}

func TestOrderShowsAddedStatesInTheirOrder(t *testing.T) {
	m := newMachine(t, reviewRows()...)
	o := newOrder(100)
	addRefund(t, m, o, "R1", 10, order.StateRefundRequested)
	addRefund(t, m, o, "R2", 10, order.StateRefundRequested)
	addRefund(t, m, o, "R3", 10, order.StateRefundRequested)
	for _, c := range []struct {
		number string
		ev     order.Event
		shows  order.State
	}{
		{"R1", "ask_info", infoAsked},
		{"R2", "second_review", reviewed},
		{"R2", "await_goods", goodsReturning},
		{"R3", order.EventApprove, order.StateApproved},
		{"R3", order.EventFail, goodsReturning},
		{"R2", order.EventApprove, order.StateApproved},
		{"R2", order.EventSettle, infoAsked},
		{"R1", order.EventCancel, order.StateFailed},
	} {
		fire(t, m, o, c.ev, c.number, 0)
		require.Equal(t, c.shows, o.State, "%s %s", c.ev, c.number)
	}
}
