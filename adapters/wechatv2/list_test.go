package wechatv2_test

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// manyRefunds makes n refunds of 1 fen of order O1, numbered from R00.
func manyRefunds(t *testing.T, g *wechatv2.Gateway, n int) {
	t.Helper()
	for i := range n {
		req := request()
		req.RefundNo, req.Amount = fmt.Sprintf("R%02d", i), 1
		_, err := g.Refund(context.Background(), req)
		require.NoError(t, err)
	}
}

func wholeOrder() refund.Request {
	return refund.Request{OrderID: "O1", Total: 100, Currency: "CNY"}
}

// TestListReadsAllPages checks lists that end at and near the ends of pages, with and without
// total_refund_count.
func TestListReadsAllPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ n, calls, blindCalls int }{
		{0, 1, 1}, {1, 1, 1}, {9, 1, 1}, {10, 1, 2}, {11, 2, 2}, {20, 2, 3}, {36, 4, 4}, {50, 5, 6},
	} {
		for _, blind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/blind=%v", tt.n, blind), func(t *testing.T) {
				t.Parallel()
				srv := newServer(t, wechattest.Options{})
				g := newGateway(t, config(srv))
				manyRefunds(t, g, tt.n)
				want := tt.calls
				if blind {
					want = tt.blindCalls
					for range want {
						srv.Inject(field("total_refund_count", ""))
					}
				}
				all, err := g.List(context.Background(), wholeOrder())
				require.NoError(t, err)
				require.Len(t, all, tt.n)
				for i, res := range all {
					require.Equal(t, fmt.Sprintf("R%02d", i), res.RefundNo)
					require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
					require.Equal(t, "O1", res.OrderID)
					require.EqualValues(t, 1, res.Amount)
					require.False(t, res.RefundedAt.IsZero())
				}
				require.Equal(t, want, srv.Calls(wechattest.PathQuery))
			})
		}
	}
}

// TestListHasARefundOfTheWholeOrder checks the largest amount that a row may have.
func TestListHasARefundOfTheWholeOrder(t *testing.T) {
	t.Parallel()
	g := newGateway(t, config(newServer(t, wechattest.Options{})))
	req := request()
	req.Amount = req.Total
	_, err := g.Refund(context.Background(), req)
	require.NoError(t, err)
	all, err := g.List(context.Background(), wholeOrder())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, req.Total, all[0].Amount)
}

// TestListIsWholeOrAnError checks that a list is never incomplete: an incomplete one would allow
// refunds beyond the order's total.
func TestListIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (*wechattest.Server, *wechatv2.Gateway) {
		srv := newServer(t, wechattest.Options{})
		g := newGateway(t, config(srv))
		manyRefunds(t, g, 12)
		return srv, g
	}
	page := field("total_refund_count", "12")
	blind := field("total_refund_count", "") // then no count shows that a row is missing
	for name, script := range map[string][]wechattest.Fault{
		"a page that is missing":        {page, wechattest.ErrCode("PARAM_ERROR", "offset", false)},
		"nothing behind the first page": {page, wechattest.ErrCode("SYSTEMERROR", "x", false)},
		"lost":                          {page, wechattest.LoseAnswer()},
		"fewer than counted":            {field("total_refund_count", "13"), {}},
		"a row without its number":      {field("out_refund_no_3", "")},
		"a row without its amount":      {field("refund_fee_3", "")},
		"an amount of nothing":          {field("refund_fee_3", "0")},
		"an amount above the order's":   {field("refund_fee_3", "101")},
		"a count that is no number":     {field("total_refund_count", "x12")},
		"counts that are no numbers": {
			field("total_refund_count", "x"),
			field("total_refund_count", "x"),
		},
		"a count that is too low": {field("total_refund_count", "9")},
		"a count of none":         {field("total_refund_count", "0")},
		"rows that are not counted": {field("refund_count", "9").
			Field("total_refund_count", "")},
		"a refund twice in one page": {field("out_refund_no_1", "R00")},
		"a refund of two amounts": {page, field("out_refund_no_0", "R09").
			Field("refund_fee_0", "2")},
		"an amount below nothing":      {field("refund_fee_3", "-1")},
		"another order":                {field("out_trade_no", "O2")},
		"another total":                {field("total_fee", "99")},
		"wrong signature":              {wechattest.WrongSign()},
		"a parameter error at once":    {wechattest.ErrCode("PARAM_ERROR", "x", false)},
		"the same page without an end": endlessList(),
		"no row and no count":          {blind.Field("refund_count", "0"), blind},
		"uncounted, then a fault":      {blind, wechattest.ErrCode("SYSTEMERROR", "x", false)},
		"uncounted, then a refusal":    {blind, wechattest.ErrCode("NOTENOUGH", "x", false)},
		"uncounted, then a set-up":     {blind, wechattest.ErrCode("SIGNERROR", "x", false)},
		"uncounted, a row missing":     {blind.Field("out_refund_no_3", ""), blind},
		"uncounted, an amount of none": {blind.Field("refund_fee_3", "0"), blind},
		"uncounted, an amount above":   {blind.Field("refund_fee_3", "101"), blind},
		"uncounted, a refund twice":    {blind.Field("out_refund_no_1", "R00"), blind},
		"uncounted, two amounts": {blind, blind.Field("out_refund_no_0", "R09").
			Field("refund_fee_0", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, g := start(t)
			srv.Inject(script...)
			all, err := g.List(context.Background(), wholeOrder())
			require.ErrorContains(t, err, "list refunds of order O1: ")
			require.Nil(t, all)
		})
	}
	srv, g := start(t)
	// A row with an unknown status hides no other row.
	srv.Inject(unknownStatus("NEW"))
	all, err := g.List(context.Background(), wholeOrder())
	require.NoError(t, err)
	require.Len(t, all, 12)
	require.Equal(t, refund.OutcomeUnknown, all[0].Outcome)
	// Pages overlap if a refund is made meanwhile. No refund is listed twice.
	srv.Inject(wechattest.Fault{}, field("out_refund_no_0", "R09").
		Field("total_refund_count", "11"))
	_, err = g.List(context.Background(), wholeOrder())
	require.ErrorIs(t, err, wechatv2.ErrAnswer, "12 were counted, 11 seen")
	srv.Inject(blind, blind.Field("out_refund_no_0", "R09").
		Field("refund_status_0", "CHANGE"))
	all, err = g.List(context.Background(), wholeOrder())
	require.NoError(t, err)
	require.Len(t, all, 11)
	require.Equal(t, "R09", all[9].RefundNo)
	require.Equal(t, refund.OutcomeAbnormal, all[9].Outcome, "as it was seen last")
	// A refused offset after the last refund is the end, if no answer has said how many there are.
	srv10 := newServer(t, wechattest.Options{})
	g10 := newGateway(t, config(srv10))
	manyRefunds(t, g10, 10)
	srv10.Inject(blind, wechattest.ErrCode("PARAM_ERROR", "offset", false))
	all, err = g10.List(context.Background(), wholeOrder())
	require.NoError(t, err)
	require.Len(t, all, 10)
	// An answer without refund_count and without a row is not an empty list.
	_, right := signatures(srv)
	srv.Inject(answerOf(srv, map[string]string{
		"result_code": "SUCCESS", "out_trade_no": "O1", "total_fee": "100",
	}, right))
	_, err = g.List(context.Background(), wholeOrder())
	require.ErrorIs(t, err, wechatv2.ErrAnswer)
	// Nor is an answer without rows whose total is not a number.
	srv.Inject(answerOf(srv, map[string]string{
		"result_code": "SUCCESS", "out_trade_no": "O1", "total_fee": "100",
		"refund_count": "0", "total_refund_count": "x",
	}, right))
	_, err = g.List(context.Background(), wholeOrder())
	require.ErrorIs(t, err, wechatv2.ErrAnswer)

	for field, q := range map[string]refund.Request{
		"order_id":   {Total: 1},
		"payment_id": {OrderID: "O1", PaymentID: "4-2"},
	} {
		_, err = g.List(context.Background(), q)
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
}

// endlessList returns answers that report ever more refunds.
func endlessList() []wechattest.Fault {
	var script []wechattest.Fault
	for range 10 {
		f := field("refund_count", "10").Field("total_refund_count", "1000")
		for n := range 10 {
			i := fmt.Sprint(n)
			f = f.Field("out_refund_no_"+i, "R"+i).Field("refund_fee_"+i, "1").
				Field("refund_status_"+i, "SUCCESS")
		}
		script = append(script, f.NotExecuted().Field("out_trade_no", "O1").
			Field("total_fee", "100"))
	}
	return script
}

// TestServiceProvider checks that requests name the sub-merchant and answers must repeat it.
func TestServiceProvider(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{SubMchID: "1900000109", SubAppID: "wxsub"})
	cfg := config(srv)
	var sent spy
	plain := cfg
	cfg.WrapTransport = sent.wrap
	g := newGateway(t, cfg)
	ctx := context.Background()
	_, err := g.Refund(ctx, request())
	require.NoError(t, err)
	_, err = g.Query(ctx, request())
	require.NoError(t, err)
	for _, body := range sent.bodies {
		require.Contains(t, body, "<sub_appid>wxsub</sub_appid><sub_mch_id>1900000109</sub_mch_id>")
	}
	srv.Inject(field("sub_appid", ""))
	_, err = g.Refund(ctx, request())
	require.NoError(t, err, "the application need not be named")
	for name, fault := range map[string]wechattest.Fault{
		"another merchant":    field("sub_mch_id", "1900000110"),
		"no merchant":         field("sub_mch_id", ""),
		"another application": field("sub_appid", "wxother"),
		"another one's refusal": wechattest.ErrCode("NOTENOUGH", "x", false).
			Field("sub_mch_id", "1900000110"),
		"another one's success": field("sub_mch_id", "1900000110").
			Field("sub_appid", "wxsub"),
		"another one's own echo": wechattest.ErrCode("ERROR", "x", false).
			Field("sub_mch_id", "1900000110"),
	} {
		srv.Inject(fault, fault)
		_, err = g.Refund(ctx, request())
		require.ErrorIs(t, err, refund.ErrMismatch, name)
		_, err = g.Query(ctx, request())
		require.ErrorIs(t, err, refund.ErrMismatch, name)
	}
	// a refusal need not name it
	srv.Inject(wechattest.ErrCode("NOTENOUGH", "x", false).Field("sub_mch_id", ""))
	res, err := g.Refund(ctx, request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeDeclined, res.Outcome)

	stranger := plain
	stranger.SubMchID = "1900000110"
	_, err = newGateway(t, stranger).Refund(ctx, request())
	require.ErrorIs(t, err, refund.ErrSetup, "a sub-merchant that is not this service provider's")
	plain.SubMchID = ""
	_, err = wechatv2.New(plain)
	require.Equal(t, []string{"sub_app_id"}, faultyFields(err))
}

func TestDeclaredLimits(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.Limits = nil
	require.Equal(t, refund.Limits{
		MaxRefunds: 50, MaxAge: 365 * 24 * time.Hour,
		MinInterval: time.Minute,
	}, newGateway(t, cfg).Limits("any"))
	cfg.Limits = &refund.Limits{MaxRefunds: 3}
	g := newGateway(t, cfg)
	cfg.Limits.MaxRefunds = 4
	require.Equal(t, refund.Limits{MaxRefunds: 3}, g.Limits(""), "what New was given")
	cfg.Limits.MaxRefunds = -1
	_, err := wechatv2.New(cfg)
	require.Equal(t, []string{"limits"}, faultyFields(err))
}

// TestWrapperSeesEveryCall checks that the wrapper sees every call and that its errors fail the
// call.
func TestWrapperSeesEveryCall(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	var seen spy
	cfg.WrapTransport = seen.wrap
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.NoError(t, err)
	require.Len(t, seen.bodies, 1)
	cfg.WrapTransport = func(http.RoundTripper) http.RoundTripper {
		return tripper(func(*http.Request) (*http.Response, error) {
			return nil, http.ErrNotSupported
		})
	}
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, http.ErrNotSupported)
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{
		"", "0", "7", "007", "-1", "+1", "1.0", "1e3", " 1", "1 ", "0x1",
		"1_0", "９", "9223372036854775807", "9223372036854775808", "99999999999999999999",
	} {
		f.Add(s)
	}
	digits := regexp.MustCompile(`^[0-9]+$`)
	most := new(big.Int).SetUint64(1<<63 - 1)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := wechatv2.ParseNumber(s)
		want, isNumber := new(big.Int), digits.MatchString(s)
		if isNumber {
			want, isNumber = want.SetString(s, 10)
		}
		if isNumber && want.Cmp(most) <= 0 {
			require.True(t, ok)
			require.Equal(t, want.Int64(), got)
			return
		}
		require.False(t, ok)
		require.Zero(t, got)
	})
}

func FuzzBeijing(f *testing.F) {
	for _, s := range []string{
		"", "2026-03-02 01:30:00", "2026-02-30 00:00:00",
		"2026-03-02T01:30:00Z", "2026-03-02 01:30:00.5", "2026-03-02 1:30:00",
		"0000-01-01 00:00:00",
	} {
		f.Add(s)
	}
	zone := time.FixedZone("UTC+8", 8*60*60)
	plainTime := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
	f.Fuzz(func(t *testing.T, s string) {
		got := wechatv2.Beijing(s)
		require.Equal(t, time.UTC, got.Location())
		want, err := time.Parse(time.DateTime, s)
		if err != nil || !plainTime.MatchString(s) {
			require.True(t, got.IsZero())
			return
		}
		require.True(t, want.Add(-8*time.Hour).Equal(got))
		require.Equal(t, s, got.In(zone).Format(time.DateTime))
	})
}
