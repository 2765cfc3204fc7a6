package embed_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/examples/embed"
	"github.com/orderfsm/orderfsm/examples/ownstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// shop is a service on WeChat Pay's simulator, with a fake clock.
type shop struct {
	*refund.Service
	sim   *wechattest.Server
	clock *refundtest.Clock
}

func newSim(t *testing.T) (*wechattest.Server, *wechatv2.Gateway) {
	t.Helper()
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	cfg := sim.Config()
	cfg.Limits, cfg.Timeout = &refund.Limits{}, 3*time.Minute
	gateway, err := wechatv2.New(cfg)
	require.NoError(t, err)
	return sim, gateway
}

func newShop(t *testing.T, hooks refund.Hooks) *shop {
	t.Helper()
	s := &shop{clock: refundtest.NewClock(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))}
	var gateway *wechatv2.Gateway
	s.sim, gateway = newSim(t)
	machine, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	s.Service, err = refund.NewService(machine, memstore.New(), gateway, refund.Options{
		Hooks: []refund.Hooks{hooks}, Now: s.clock.Now,
	})
	require.NoError(t, err)
	return s
}

// paid makes an order of 100 fen at the provider, and returns what it is registered with.
func (s *shop) paid(t *testing.T, id string) refund.RegisterParams {
	t.Helper()
	require.NoError(t, s.sim.AddOrder(wechattest.Order{OutTradeNo: id, TotalFee: 100}))
	return refund.RegisterParams{
		OrderID: id, Gateway: wechatv2.GatewayName, Currency: "CNY", Total: 100,
	}
}

func (s *shop) approveAndSend(t *testing.T, id, no string, amount int64) order.Refund {
	t.Helper()
	ctx := context.Background()
	_, err := s.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: id, RefundNo: no}, Amount: amount, Actor: "buyer:1",
	})
	require.NoError(t, err)
	r, err := s.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: id, RefundNo: no}, Amount: amount, Actor: "staff:1",
	})
	require.NoError(t, err)
	return r
}

func (s *shop) state(t *testing.T, id, no string) order.State {
	t.Helper()
	o, err := s.Order(context.Background(), id)
	require.NoError(t, err)
	require.NotNil(t, o.Refund(no), no)
	return o.Refund(no).State
}

// process processes due refunds for some hours.
func (s *shop) process(t *testing.T) {
	t.Helper()
	for range 5 {
		due, err := s.Due(context.Background(), 100, nil)
		require.NoError(t, err)
		for _, d := range due {
			_, err := s.Process(context.Background(), d.Ref)
			require.NoError(t, err)
		}
		s.clock.Advance(3 * time.Hour)
	}
}

func TestMoveIn(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, refund.Hooks{})
	terms := s.paid(t, "ORD-1")
	// WeChat Pay has two refunds that the old system sent: one is paid, one was closed.
	require.NoError(t, s.sim.RefundInConsole("ORD-1", "OLD-PAID", 10))
	require.NoError(t, s.sim.RefundInConsole("ORD-1", "OLD-CLOSED", 10))
	require.NoError(t, s.sim.Settle("OLD-CLOSED", "REFUNDCLOSE"))
	open := []embed.OldRefund{
		{RefundNo: "OLD-PAID", Amount: 10, Reason: "size", Buyer: "buyer:1", Approved: true},
		{RefundNo: "OLD-CLOSED", Amount: 10, Reason: "size", Buyer: "buyer:1", Approved: true},
		// Timed out, never arrived.
		{RefundNo: "OLD-LOST", Amount: 20, Reason: "size", Buyer: "buyer:1", Approved: true},
		{RefundNo: "OLD-ASKED", Amount: 30, Reason: "size", Buyer: "buyer:1"},
	}
	for range 2 { // the second call changes nothing
		err := embed.MoveIn(ctx, s.Service, terms, 0, open)
		require.EqualError(t, err, "a person must decide on refund OLD-CLOSED of order ORD-1: WeChat Pay has closed it")
		s.process(t)
		o, err := s.Order(ctx, "ORD-1")
		require.NoError(t, err)
		require.Len(t, o.Refunds, 3)
		require.Equal(t, order.StateRefunded, s.state(t, "ORD-1", "OLD-PAID"))
		require.Equal(t, order.StateRefunded, s.state(t, "ORD-1", "OLD-LOST"))
		require.Equal(t, order.StateRefundRequested, s.state(t, "ORD-1", "OLD-ASKED"))
		require.EqualValues(t, 30, s.sim.PaidTotal("ORD-1"))
		require.Equal(t, o.Refunded, s.sim.PaidTotal("ORD-1"))
	}

	terms.Total = 200
	require.ErrorIs(t, embed.MoveIn(ctx, s.Service, terms, 0, nil), order.ErrConflict)
	s.sim.Inject(wechattest.LoseAnswer())
	require.Error(t, embed.MoveIn(ctx, s.Service, s.paid(t, "ORD-2"), 0, open))
}

// The old code used a new number for each try and booked a time-out as failed. Its first try was
// paid.
func TestMoveInPaysNothingTwice(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, refund.Hooks{})
	terms := s.paid(t, "ORD-1")
	require.NoError(t, s.sim.RefundInConsole("ORD-1", "OLD-TRY-1", 20))
	open := []embed.OldRefund{
		{RefundNo: "OLD-TRY-2", Amount: 20, Reason: "size", Buyer: "buyer:1", Approved: true},
		{RefundNo: "OLD-ASKED", Amount: 30, Reason: "size", Buyer: "buyer:1"},
	}
	for range 2 {
		require.ErrorContains(t, embed.MoveIn(ctx, s.Service, terms, 0, open), "WeChat Pay has returned 20")
		s.process(t)
		require.EqualValues(t, 20, s.sim.PaidTotal("ORD-1"))
		require.Equal(t, order.StateRefunded, s.state(t, "ORD-1", "OLD-TRY-1"))
		require.Equal(t, order.StateRefundRequested, s.state(t, "ORD-1", "OLD-TRY-2"), "a person must decide")
		require.Equal(t, order.StateRefundRequested, s.state(t, "ORD-1", "OLD-ASKED"))
	}
	// Failed, to look at.
	named := append(open, embed.OldRefund{RefundNo: "OLD-TRY-1", Amount: 20, Reason: "size", Buyer: "buyer:1"})
	require.ErrorContains(t, embed.MoveIn(ctx, s.Service, terms, 0, named), "WeChat Pay has returned 20")
	// If the old table has the first as returned, the second is another refund.
	require.NoError(t, embed.MoveIn(ctx, s.Service, terms, 20, open))
	s.process(t)
	require.EqualValues(t, 40, s.sim.PaidTotal("ORD-1"))
}

// Compare finds what was paid after the backup that a database was restored from.
func TestCompareAfterRestore(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, refund.Hooks{})
	_, err := s.Register(ctx, s.paid(t, "ORD-1"))
	require.NoError(t, err)
	_, err = s.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORD-1", RefundNo: "R-1"}, Amount: 10, Actor: "buyer:1",
	})
	require.NoError(t, err)
	require.NoError(t, s.sim.RefundInConsole("ORD-1", "R-2", 20)) // the backup does not have it
	var found []string
	s.clock.Advance(time.Minute)
	report := func(line string) { found = append(found, line) }
	cursor, err := embed.Compare(ctx, s.Service, time.Time{}, nil, report)
	require.NoError(t, err)
	require.Empty(t, cursor)
	require.Equal(t, []string{"order ORD-1 refund R-2: book paid, provider \"succeeded\", <nil>"}, found)
	require.Equal(t, order.StateRefunded, s.state(t, "ORD-1", "R-2"))

	s.sim.Inject(wechattest.LoseAnswer())
	found = nil
	_, err = embed.Compare(ctx, s.Service, time.Time{}, nil, report)
	require.NoError(t, err)
	require.Len(t, found, 1, "an order that cannot be compared is reported")
}

func TestAlertsAndRetryCovered(t *testing.T) {
	ctx := context.Background()
	var pages []string
	s := newShop(t, embed.Alerts(func(text string) { pages = append(pages, text) }))
	_, err := s.Register(ctx, s.paid(t, "ORD-1"))
	require.NoError(t, err)

	s.sim.SetBalance(0)
	require.Equal(t, order.StateFailed, s.approveAndSend(t, "ORD-1", "R-1", 10).State)
	require.Len(t, pages, 1)
	require.Contains(t, pages[0], "NOTENOUGH")
	s.sim.SetBalance(1000)
	require.NoError(t, embed.RetryCovered(ctx, s.Service, "staff:1"))
	s.process(t)
	require.Equal(t, order.StateRefunded, s.state(t, "ORD-1", "R-1"))
	require.EqualValues(t, 10, s.sim.PaidTotal("ORD-1"))

	// RetryCovered does not retry a refund that failed for another reason.
	s.sim.Inject(wechattest.ErrCode(wechatv2.CodeUserAccountAbnormal, "", false))
	require.Equal(t, order.StateFailed, s.approveAndSend(t, "ORD-1", "R-2", 10).State)
	require.NoError(t, embed.RetryCovered(ctx, s.Service, "staff:1"))
	require.Equal(t, order.StateFailed, s.state(t, "ORD-1", "R-2"))

	pages = nil
	require.NoError(t, s.sim.RefundInConsole("ORD-1", "R-3", 20))
	_, err = s.Sync(ctx, "ORD-1")
	require.NoError(t, err)
	s.sim.Inject(wechattest.ErrCode("CERT_ERROR", "", false))
	_, err = s.Sync(ctx, "ORD-1")
	require.Error(t, err)
	text := strings.Join(pages, "\n")
	require.Contains(t, text, "refund R-3 of order ORD-1: the provider has a refund that the book did not")
	require.Contains(t, text, "set-up of gateway")
}

func TestOnOwnTableWithHooks(t *testing.T) {
	ctx := context.Background()
	sim, gateway := newSim(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "shop.db")+"?_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, ownstore.Schema)
	require.NoError(t, err)
	svc, err := embed.OnOwnTable(db, gateway, refund.Hooks{Guard: embed.Hooks(nil, nil).Guard})
	require.NoError(t, err)
	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORD-1", TotalFee: 100}))
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORD-1", Gateway: wechatv2.GatewayName, Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	r, err := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORD-1"}, Amount: 100, Actor: "buyer:1",
	})
	require.NoError(t, err)
	_, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORD-1", RefundNo: r.No}, Amount: 100, Actor: "buyer:1",
	})
	require.ErrorIs(t, err, order.ErrVetoed)
	_, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORD-1", RefundNo: r.No}, Amount: 100, Actor: "staff:1",
	})
	require.NoError(t, err)
	require.EqualValues(t, 100, sim.PaidTotal("ORD-1"))
}

// The shop's row is written in the transaction that settles the refund.
func TestHooksRestock(t *testing.T) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "shop.db")+"?_pragma=foreign_keys(1)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(ctx))
	_, err = db.ExecContext(ctx, "CREATE TABLE stock (order_id TEXT)")
	require.NoError(t, err)
	notified := 0
	hooks := embed.Hooks(func(ctx context.Context, tx *sql.Tx, o *order.Order) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO stock VALUES (?)", o.ID)
		return err
	}, func(*order.Order) { notified++ })
	sim, gateway := newSim(t)
	machine, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	svc, err := refund.NewService(machine, store, gateway, refund.Options{
		Hooks: []refund.Hooks{hooks},
	})
	require.NoError(t, err)
	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORD-1", TotalFee: 100}))
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORD-1", Gateway: wechatv2.GatewayName, Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	require.NoError(t, sim.RefundInConsole("ORD-1", "R-1", 100))
	for range 2 {
		_, err = svc.Sync(ctx, "ORD-1")
		require.NoError(t, err)
	}
	rows := 0
	require.NoError(t, db.QueryRowContext(ctx, "SELECT count(*) FROM stock").Scan(&rows))
	require.Equal(t, 1, rows)
	require.Equal(t, 1, notified)
}
