package wechatv2_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// doubtful holds answers that decide nothing, with the error that each must cause (nil: any).
func doubtful() map[string]struct {
	fault wechattest.Fault
	is    error
} {
	type doubt = struct {
		fault wechattest.Fault
		is    error
	}
	m := map[string]doubt{
		"answer lost":    {wechattest.LoseAnswer(), nil},
		"dropped before": {wechattest.LoseAnswer().NotExecuted(), nil},
		"broken off":     {wechattest.BreakOff(), nil},
		"truncated":      {wechattest.Truncate(), wechatv2.ErrAnswer},
		"oversized": {wechattest.Body(
			[]byte("<xml><a>" + strings.Repeat("x", 1<<20) + "</a></xml>")), wechatv2.ErrAnswer},
		"400":                 {wechattest.Status(http.StatusBadRequest), wechatv2.ErrAnswer},
		"404":                 {wechattest.Status(http.StatusNotFound), wechatv2.ErrAnswer},
		"500":                 {wechattest.Status(500), wechatv2.ErrAnswer},
		"502":                 {wechattest.Status(http.StatusBadGateway), wechatv2.ErrAnswer},
		"503":                 {wechattest.Status(503), wechatv2.ErrAnswer},
		"504":                 {wechattest.Status(504), wechatv2.ErrAnswer},
		"302":                 {wechattest.Status(http.StatusFound), wechatv2.ErrAnswer},
		"201":                 {wechattest.Status(http.StatusCreated), wechatv2.ErrAnswer},
		"wrong signature":     {wechattest.WrongSign(), wechatv2.ErrSignature},
		"no signature":        {wechattest.NoSign(), wechatv2.ErrSignature},
		"signed otherwise":    {wechattest.OtherSign(), wechatv2.ErrSignature},
		"no return code":      {field("return_code", ""), wechatv2.ErrAnswer},
		"strange return code": {field("return_code", "OK"), wechatv2.ErrAnswer},
		"no result code":      {field("result_code", ""), wechatv2.ErrAnswer},
		"strange result code": {field("result_code", "success"), wechatv2.ErrAnswer},
		"refusal without a result": {wechattest.ErrCode("NOTENOUGH", "x", true).
			Field("result_code", ""), wechatv2.ErrAnswer},
		"refusal with a new result": {wechattest.ErrCode("NOTENOUGH", "x", true).
			Field("result_code", "PENDING"), wechatv2.ErrAnswer},
		"not found, with a new result": {wechattest.ErrCode("REFUNDNOTEXIST", "x", true).
			Field("result_code", "PENDING"), wechatv2.ErrAnswer},
		"a sub-merchant": {
			field("sub_mch_id", "1900000109"),
			refund.ErrMismatch,
		},
		"another refund's no":     {refusalWith("out_refund_no", "R2"), refund.ErrMismatch},
		"another order's no":      {refusalWith("out_trade_no", "O2"), refund.ErrMismatch},
		"another amount's no":     {refusalWith("refund_fee", "31"), refund.ErrMismatch},
		"another total's no":      {refusalWith("total_fee", "101"), refund.ErrMismatch},
		"a sub-merchant's no":     {refusalWith("sub_mch_id", "1900000109"), refund.ErrMismatch},
		"other application":       {field("appid", "wx2"), refund.ErrMismatch},
		"no application":          {field("appid", ""), refund.ErrMismatch},
		"other merchant":          {field("mch_id", "2"), refund.ErrMismatch},
		"other refund":            {wrongRefundNo("R2"), nil},
		"other amount":            {wrongAmount("31"), refund.ErrMismatch},
		"other order":             {field("out_trade_no", "O2"), refund.ErrMismatch},
		"no order":                {field("out_trade_no", ""), refund.ErrMismatch},
		"other total":             {field("total_fee", "101"), refund.ErrMismatch},
		"other currency":          {field("fee_type", "USD"), refund.ErrMismatch},
		"unsigned refusal":        {wechattest.ReturnFail("invalid refund_fee", true), nil},
		"executed system error":   {wechattest.ErrCode("SYSTEMERROR", "System Error", true), nil},
		"signed, but wrong code":  {wechattest.ErrCode("NO_SUCH_CODE", "x", true), nil},
		"signed, but without one": {wechattest.ErrCode("", "", true), nil},
	}
	for name, body := range badBodies {
		m["body: "+name] = doubt{wechattest.Body([]byte(body)), wechatv2.ErrAnswer}
	}
	return m
}

// refusalWith returns a refusal with one more field. NOTENOUGH in the answer to a refund is
// definite.
func refusalWith(name, value string) wechattest.Fault {
	return wechattest.ErrCode("NOTENOUGH", "x", true).Field(name, value)
}

// TestDoubtfulAnswerIsAnError checks that a doubtful answer is an error, never a refusal, and that
// the next call finds the truth without paying twice.
func TestDoubtfulAnswerIsAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range doubtful() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			srv := newServer(t, wechattest.Options{})
			g := newGateway(t, config(srv))

			srv.Inject(tt.fault)
			res, err := g.Refund(ctx, request())
			requireDoubt(t, res, err, tt.is)
			require.NotErrorIs(t, err, refund.ErrBusy, "no doubt rests the gateway")
			res, err = g.Refund(ctx, request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeAccepted, res.Outcome)

			srv.Inject(tt.fault)
			res, err = g.Query(ctx, request())
			requireDoubt(t, res, err, tt.is)
			res, err = g.Query(ctx, request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
			require.EqualValues(t, 30, srv.PaidTotal("O1"))
			require.Equal(t, 1, srv.Ledger()[0].Payments)
		})
	}
}

// TestStatus429RestsTheAccount checks that HTTP status 429 concerns the account and decides nothing
// about the refund.
func TestStatus429RestsTheAccount(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	srv.Inject(wechattest.Status(http.StatusTooManyRequests),
		wechattest.Status(http.StatusTooManyRequests))
	res, refundErr := g.Refund(context.Background(), request())
	requireDoubt(t, res, refundErr, wechatv2.ErrAnswer)
	res, queryErr := g.Query(context.Background(), request())
	requireDoubt(t, res, queryErr, wechatv2.ErrAnswer)
	for _, err := range []error{refundErr, queryErr} {
		var later *refund.BusyError
		require.ErrorAs(t, err, &later)
		require.Equal(t, time.Minute, later.After)
		require.True(t, later.Account)
	}
}

func requireDoubt(t *testing.T, res refund.Result, err, is error) {
	t.Helper()
	require.Error(t, err)
	if is != nil {
		require.ErrorIs(t, err, is)
	}
	require.ErrorContains(t, err, "refund R1 of order O1: ")
	require.NotErrorIs(t, err, refund.ErrSetup)
	require.Zero(t, res)
}

func TestAnswerAboutAnotherRefundIsRefused(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	srv.Inject(wrongRefundNo("R2"))
	_, err := g.Refund(context.Background(), request())
	var mismatch *refund.MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, refund.MismatchError{Field: "refund_no", Want: "R1", Got: "R2"}, *mismatch)

	// An answer that another refund is unknown says nothing about this one.
	srv.Inject(notFound().Field("out_refund_no", "R2"))
	_, err = g.Query(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrMismatch)
	srv.Inject(notFound().Field("out_trade_no", "O2"))
	_, err = g.List(context.Background(), wholeOrder())
	require.ErrorIs(t, err, refund.ErrMismatch)

	// A refusal may have other fields and correct ones. Beside the payment's number the order
	// number may be another one.
	srv.Inject(notFound().Field("out_refund_no", "R1").
		Field("out_trade_no", "O1").Field("total_fee", "100"))
	res, err := g.Query(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome)
	q := request()
	q.PaymentID, q.OrderID = "42001", "the shop's own"
	srv.Inject(notFound().Field("out_trade_no", "O1").
		Field("transaction_id", "42001"))
	_, err = g.Query(context.Background(), q)
	require.NoError(t, err)
	srv.Inject(notFound().Field("transaction_id", "42002"))
	_, err = g.Query(context.Background(), q)
	require.ErrorIs(t, err, refund.ErrMismatch)
}

// TestAnswerAboutAnotherPaymentIsRefused checks that if the request names a payment, the answer's
// payment must match, and its order number need not.
func TestAnswerAboutAnotherPaymentIsRefused(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	order := wechattest.Order{OutTradeNo: "O7", TransactionID: "42007", TotalFee: 100}
	require.NoError(t, srv.AddOrder(order))
	g := newGateway(t, config(srv))
	req := request()
	req.OrderID, req.PaymentID = "O7", "42007"
	for _, id := range []string{"42008", ""} {
		srv.Inject(field("transaction_id", id), field("transaction_id", id))
		res, err := g.Refund(context.Background(), req)
		require.ErrorIs(t, err, refund.ErrMismatch)
		require.Zero(t, res)
		res, err = g.Query(context.Background(), req)
		require.ErrorIs(t, err, refund.ErrMismatch)
		require.Zero(t, res)
	}
	req.OrderID = "the shop's own"
	res, err := g.Query(context.Background(), req)
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
}

// TestUnusualAnswersAreAccepted checks that unusual but correct answers are accepted.
func TestUnusualAnswersAreAccepted(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{
		"err_code beside success":  field("err_code", "SUCCESS"),
		"unknown field":            field("x_new_field", "7"),
		"a sub-merchant's appid":   field("sub_appid", "wxsub"),
		"empty text":               field("return_msg", ""),
		"coupons":                  field("coupon_refund_fee_0", "1"),
		"currency named":           field("fee_type", "CNY"),
		"value that needs escapes": field("x", "]]>&<"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, wechattest.Options{})
			g := newGateway(t, config(srv))
			srv.Inject(fault, fault)
			res, err := g.Refund(context.Background(), request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeAccepted, res.Outcome)
			res, err = g.Query(context.Background(), request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
		})
	}
}

func TestEachStatusHasItsOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status string
		want   refund.Outcome
		paid   int64
	}{
		{wechattest.StatusSuccess, refund.OutcomeSucceeded, 30},
		{wechattest.StatusClosed, refund.OutcomeClosed, 0},
		{wechattest.StatusChange, refund.OutcomeAbnormal, 30},
	}
	for _, tt := range tests {
		t.Run(tt.status, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			srv := newServer(t, wechattest.Options{SettleAfter: time.Hour})
			g := newGateway(t, config(srv))
			srv.Inject(wechattest.EndsAs(tt.status))
			_, err := g.Refund(ctx, request())
			require.NoError(t, err)
			res, err := g.Query(ctx, request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeAccepted, res.Outcome)
			srv.Advance(time.Hour)
			res, err = g.Query(ctx, request())
			require.NoError(t, err)
			require.Equal(t, tt.want, res.Outcome)
			require.Equal(t, "R1", res.RefundNo)
			require.EqualValues(t, 30, res.Amount)
			require.Equal(t, tt.want != refund.OutcomeSucceeded, res.RefundedAt.IsZero())
			require.Equal(t, tt.paid, srv.Paid("R1"))

			for _, status := range []string{"FAIL", "NOTSURE", "success", ""} {
				srv.Inject(unknownStatus(status))
				res, err = g.Query(ctx, request())
				requireDoubt(t, res, err, wechatv2.ErrAnswer)
			}
		})
	}
}

func TestQueryNeedsExactlyOneRow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, err := g.Refund(ctx, request())
	require.NoError(t, err)
	for name, faults := range map[string]wechattest.Fault{
		"no count":    field("refund_count", ""),
		"no number":   field("refund_count", "x"),
		"negative":    field("refund_count", "-1"),
		"count 0":     field("refund_count", "0"),
		"no such row": field("out_refund_no_0", "R2"),
		"row twice":   field("refund_count", "2").Field("out_refund_no_1", "R1"),
		"huge count": field("refund_count", "999999999999").
			Field("out_refund_no_0", "R2"),
		"more behind":  field("out_refund_no_1", "R2"),
		"beyond count": field("out_refund_no_0", "R2").Field("out_refund_no_1", "R1"),
	} {
		srv.Inject(faults)
		res, err := g.Query(ctx, request())
		require.ErrorIs(t, err, wechatv2.ErrAnswer, name)
		require.Zero(t, res)
	}
	// The row may be any one of the answer, and an unreadable time does not hide a success.
	srv.Inject(field("out_refund_no_0", "R2").Field("out_refund_no_1", "R1").
		Field("refund_count", "2").
		Field("refund_fee_1", "30").Field("refund_status_1", "SUCCESS").
		Field("refund_success_time_1", "yesterday"))
	res, err := g.Query(ctx, request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
	require.True(t, res.RefundedAt.IsZero())

	q := request()
	q.Amount = 29
	_, err = g.Query(ctx, q)
	require.ErrorIs(t, err, refund.ErrMismatch)

	calls := srv.Calls(wechattest.PathQuery)
	for _, currency := range []string{"", "USD"} { // amounts are in fen
		q = request()
		q.Currency = currency
		_, err = g.Query(ctx, q)
		require.ErrorContains(t, err, "currency")
		require.ErrorIs(t, err, order.ErrInvalid)
		_, err = g.List(ctx, q)
		require.ErrorIs(t, err, order.ErrInvalid)
	}
	require.Equal(t, calls, srv.Calls(wechattest.PathQuery))
}

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	ctx, cancel := context.WithCancel(context.Background())
	srv.Inject(wechattest.Fault{}.After(func(ctx context.Context) { cancel(); <-ctx.Done() }))
	_, err := g.Refund(ctx, request())
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 30, srv.Paid("R1"), "cancelled after it was paid: unknown, not failed")
	_, err = g.Query(ctx, request())
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, srv.Calls(wechattest.PathQuery))

	adapt(t, func(limit time.Duration) bool {
		cfg := config(srv)
		cfg.Timeout = limit
		g := newGateway(t, cfg)
		if _, err := g.Query(context.Background(), request()); err != nil { // connects
			return false
		}
		srv.Inject(wechattest.Fault{}.After(func(ctx context.Context) { <-ctx.Done() }))
		_, err := g.Refund(context.Background(), request())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return true
	})
}
