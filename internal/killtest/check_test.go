package killtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

// entries is a ledger with the entries that a test chooses.
type entries []wechattest.Entry

func (l entries) Ledger() []wechattest.Entry { return l }

func (l entries) sum(of func(wechattest.Entry) bool) (fen int64) {
	for _, e := range l {
		if of(e) {
			fen += e.Amount * int64(e.Payments)
		}
	}
	return fen
}

func (l entries) Paid(number string) int64 {
	return l.sum(func(e wechattest.Entry) bool { return e.OutRefundNo == number })
}

func (l entries) PaidTotal(id string) int64 {
	return l.sum(func(e wechattest.Entry) bool { return e.OutTradeNo == id })
}

func entry(number string, amount int64, payments int) wechattest.Entry {
	return wechattest.Entry{OutRefundNo: number, OutTradeNo: "K1", Amount: amount, Payments: payments}
}

// TestAudit checks that audit reports each way in which book and ledger can disagree.
func TestAudit(t *testing.T) {
	both := entries{entry("R1-0", 60, 1), entry("R1-1", 40, 1)}
	for name, c := range map[string]struct {
		ledger      entries
		ends        [2]order.Event
		spoil       func(o *order.Order)
		paid        int
		failed      int
		twice, lost int
		wrong       bool
	}{
		"agree":             {ledger: both, ends: settled, paid: 2},
		"refused":           {ledger: both[:1], ends: [2]order.Event{order.EventSettle, order.EventFail}, paid: 1, failed: 1},
		"paid twice":        {ledger: entries{entry("R1-0", 60, 2), both[1]}, ends: settled, paid: 1, twice: 2, lost: 1, wrong: true},
		"another number":    {ledger: append(entries{entry("R9", 60, 1)}, both...), ends: settled, paid: 2, twice: 2, wrong: true},
		"never paid":        {ledger: both[1:], ends: settled, paid: 1, lost: 1, wrong: true},
		"another amount":    {ledger: entries{entry("R1-0", 59, 1), both[1]}, ends: settled, paid: 1, lost: 1, wrong: true},
		"paid, yet failed":  {ledger: both, ends: [2]order.Event{order.EventSettle, order.EventFail}, paid: 1, lost: 1, wrong: true},
		"not ended":         {ledger: both[:1], ends: [2]order.Event{order.EventSettle}, paid: 1, lost: 1, wrong: true},
		"no order":          {ledger: nil, spoil: func(o *order.Order) { *o = order.Order{} }, lost: 2, wrong: true},
		"illegal history":   {ledger: both, ends: settled, paid: 2, wrong: true, spoil: func(o *order.Order) { o.History = o.History[1:] }},
		"an extra refund":   {ledger: both, ends: settled, paid: 2, wrong: true, spoil: func(o *order.Order) { o.Refunds = append(o.Refunds, o.Refunds[0]) }},
		"the sum was moved": {ledger: both, ends: settled, paid: 2, wrong: true, spoil: func(o *order.Order) { o.Refunded++ }},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := order.NewMachine(order.Options{})
			require.NoError(t, err)
			p := planned{id: "K1", total: 100, amounts: []int64{60, 40}}
			o := walk(t, m, p, c.ends)
			if c.spoil != nil {
				c.spoil(o)
			}
			if o.ID == "" {
				o = nil
			}
			a := audit{machine: m, ledger: c.ledger}
			a.order(p, o)
			a.entries([]planned{p})
			require.Equal(t, []int{2, c.paid, c.failed, c.twice, c.lost},
				[]int{a.Refunds, a.Paid, a.Failed, a.PaidTwice, a.Lost}, a.Differences)
			require.Equal(t, c.wrong, len(a.Differences) > 0, a.Differences)
		})
	}
}

var settled = [2]order.Event{order.EventSettle, order.EventSettle}

// walk makes the order of a plan and ends its refunds with the given events.
func walk(t *testing.T, m *order.Machine, p planned, ends [2]order.Event) *order.Order {
	t.Helper()
	o := &order.Order{
		ID: p.id, Gateway: "g", Currency: "CNY", Total: p.total, State: order.StatePaid,
	}
	for i, amount := range p.amounts {
		for _, ev := range []order.Event{order.EventRequestRefund, order.EventApprove, ends[i]} {
			if ev == "" {
				continue
			}
			_, err := m.Fire(context.Background(), o, order.Trigger{
				Event: ev, RefundNo: p.refundNo(i), Amount: amount, Actor: "test", At: time.Unix(1, 0),
			})
			require.NoError(t, err)
		}
	}
	return o
}

// TestPlan checks that the random refunds of an order never exceed its total.
func TestPlan(t *testing.T) {
	d := newDriver(Options{Orders: 2000, Seed: 3, Now: time.Now}, newServer(t), nil, "") //nolint:forbidigo // the test does not read the clock
	require.Len(t, d.plan, 2000)
	require.Greater(t, d.refunds, 2500)
	for _, p := range d.plan {
		var sum int64
		for i, amount := range p.amounts {
			require.Positive(t, amount)
			require.Regexp(t, "^[-_|*@0-9A-Za-z]{1,64}$", p.refundNo(i))
			sum += amount
		}
		require.LessOrEqual(t, sum, p.total)
	}
}

func newServer(t *testing.T) *wechattest.Server {
	t.Helper()
	srv, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	t.Cleanup(srv.Close)
	return srv
}
