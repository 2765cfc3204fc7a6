package wechattest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

func fields(m msg, names ...string) msg {
	got := msg{}
	for _, name := range names {
		if v, ok := m[name]; ok {
			got[name] = v
		}
	}
	return got
}

// TestCouponsComeBackWhole checks that refunds of uneven thirds return whole coupons in the end.
func TestCouponsComeBackWhole(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	m.srv.SetBalance(1000)
	require.NoError(t, m.srv.AddOrder(wechattest.Order{
		OutTradeNo: "O2", TransactionID: "42002", TotalFee: 100, Coupons: []wechattest.Coupon{
			{ID: "c1", Type: "CASH", Fee: 10},
			{ID: "c2", Type: "NO_CASH", Fee: 20},
		},
	}))
	names := []string{
		"cash_fee", "settlement_total_fee", "cash_refund_fee", "coupon_refund_fee",
		"settlement_refund_fee", "coupon_refund_count",
		"coupon_refund_id_0", "coupon_type_0", "coupon_refund_fee_0", "coupon_refund_id_1",
		"coupon_type_1", "coupon_refund_fee_1",
	}
	ans := m.refund("R1", 33, "out_trade_no", "O2")
	require.Equal(t, msg{
		"cash_fee": "70", "settlement_total_fee": "80", "cash_refund_fee": "24",
		"coupon_refund_fee": "9", "settlement_refund_fee": "27",
		"coupon_refund_count": "2", "coupon_refund_id_0": "c1", "coupon_type_0": "CASH",
		"coupon_refund_fee_0": "3",
		"coupon_refund_id_1":  "c2", "coupon_type_1": "NO_CASH", "coupon_refund_fee_1": "6",
	}, fields(ans, names...))
	requireCode(t, m.refund("R2", 33, "out_trade_no", "O2"), "")
	requireCode(t, m.refund("R3", 34, "out_trade_no", "O2"), "")
	require.EqualValues(t, 1000-80, m.srv.Balance(),
		"coupons that nobody paid for cost the merchant nothing")
	require.EqualValues(t, 100, m.srv.PaidTotal("O2"))

	rows := m.query("out_trade_no", "O2")
	require.Equal(t, msg{
		"refund_fee": "100", "cash_refund_fee": "70", "coupon_refund_fee": "30",
		"refund_count":        "3",
		"coupon_refund_fee_0": "9", "coupon_refund_fee_0_0": "3", "coupon_refund_fee_0_1": "6",
		"coupon_type_0_1":     "NO_CASH",
		"coupon_refund_fee_2": "11", "coupon_refund_fee_2_0": "4", "coupon_refund_fee_2_1": "7",
		"coupon_refund_id_2_1":    "c2",
		"settlement_refund_fee_2": "27",
	}, fields(rows, "refund_fee", "cash_refund_fee", "coupon_refund_fee", "refund_count",
		"coupon_refund_fee_0", "coupon_refund_fee_0_0", "coupon_refund_fee_0_1", "coupon_type_0_1",
		"coupon_refund_fee_2", "coupon_refund_fee_2_0", "coupon_refund_fee_2_1",
		"coupon_refund_id_2_1", "settlement_refund_fee_2"))

	for _, bad := range [][]wechattest.Coupon{
		{{ID: "c", Fee: 101}},
		{{ID: "c", Fee: 0}},
		{{ID: "c", Fee: -1}},
		{{ID: "c", Fee: 60}, {ID: "d", Fee: 41}},
	} {
		require.ErrorContains(t,
			m.srv.AddOrder(wechattest.Order{OutTradeNo: "O3", TotalFee: 100, Coupons: bad}),
			"coupons")
	}
}

// TestCodesWithoutAScript checks the codes that need no script.
func TestCodesWithoutAScript(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	requireCode(t, m.refund("R1", 30, "transaction_id", "x1"), "INVALID_TRANSACTIONID")
	requireCode(t, m.refund("R1", 30, "transaction_id", "42009"), "ORDERNOTEXIST")
	requireCode(t, m.refund("R1", 30), "")
	requireCode(t, m.refund("R1", 31), "REFUND_FEE_MISMATCH")
	requireCode(t, m.refund("R2", 31, "total_fee", "101"), "REFUND_FEE_MISMATCH")
	require.Len(t, m.srv.Ledger(), 1)
}

// TestAllRefundsAreOfTheBalance checks that refund_account does not choose the funds.
func TestAllRefundsAreOfTheBalance(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	m.srv.SetBalance(50)
	m.srv.Inject(wechattest.EndsAs(wechattest.StatusClosed))
	requireCode(t, m.refund("R1", 30, "refund_account", "REFUND_SOURCE_UNSETTLED_FUNDS"), "")
	require.EqualValues(t, 20, m.srv.Balance())
	requireCode(t, m.refund("R2", 30, "refund_account", "REFUND_SOURCE_RECHARGE_FUNDS"),
		"NOTENOUGH")
	row := m.query("out_refund_no", "R1")
	require.Equal(t, "REFUNDCLOSE", row["refund_status_0"])
	require.Equal(t, "REFUND_SOURCE_RECHARGE_FUNDS", row["refund_account_0"])
	requireCode(t, m.refund("R2", 30), "") // the closed refund has gone back to the balance
	require.EqualValues(t, 20, m.srv.Balance())
}

// TestRefuseConcurrent checks that a second refund of an order is refused while the first one runs.
func TestRefuseConcurrent(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{RefuseConcurrent: true})
	require.NoError(t, m.srv.AddOrder(wechattest.Order{OutTradeNo: "O2", TotalFee: 100}))
	m.srv.Inject(wechattest.Fault{}.After(func(context.Context) {
		requireCode(t, m.refund("R2", 30), "BIZERR_NEED_RETRY")
		requireCode(t, m.refund("R1", 30), "BIZERR_NEED_RETRY")
		requireCode(t, m.refund("R3", 30, "out_trade_no", "O2"), "")
		requireCode(t, m.query("out_refund_no", "R1"), "")
	}))
	requireCode(t, m.refund("R1", 30), "")
	requireCode(t, m.refund("R2", 30), "")
	require.EqualValues(t, 60, m.srv.PaidTotal("O1"))
}

// TestServiceProvider checks that requests must name the sub-merchant and that answers name it.
func TestServiceProvider(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{SubMchID: "1900000109", SubAppID: "wxsub"})
	require.Equal(t, "1900000109", m.cfg.SubMchID)
	require.Equal(t, "wxsub", m.cfg.SubAppID)
	require.Equal(t, "FAIL", m.refund("R1", 30)["return_code"])
	ans := m.refund("R1", 30, "sub_mch_id", "1900000110")
	requireCode(t, ans, "MCHID_NOT_EXIST")
	require.Equal(t, "1900000110", ans["sub_mch_id"])
	requireCode(t, m.refund("R1", 30, "sub_mch_id", "1900000109", "sub_appid", "wxother"),
		"APPID_NOT_EXIST")
	ans = m.refund("R1", 30, "sub_mch_id", "1900000109")
	requireCode(t, ans, "")
	require.Equal(t, msg{"sub_mch_id": "1900000109", "sub_appid": "wxsub"},
		fields(ans, "sub_mch_id", "sub_appid"))
	requireCode(t, m.query("out_refund_no", "R1", "sub_mch_id", "1900000109", "sub_appid", "wxsub"),
		"")
	requireCode(t, newMerchant(t, wechattest.Options{}).refund("R1", 30, "sub_mch_id",
		"1900000109"), "MCHID_NOT_EXIST")
}

func TestRefundInConsoleIsInTheLedger(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	require.NoError(t, m.srv.RefundInConsole("O1", "C1", 60))
	requireCode(t, m.refund("R1", 60), "INVALID_REQUEST")
	require.Equal(t, "C1", m.query("out_trade_no", "O1")["out_refund_no_0"])
	require.Equal(t, "C1", m.srv.Ledger()[0].OutRefundNo)
	require.ErrorContains(t, m.srv.RefundInConsole("O1", "C2", 41), "INVALID_REQUEST")
	require.Error(t, m.srv.RefundInConsole("O9", "C2", 1))
	require.Error(t, m.srv.RefundInConsole("O1", "C2", 0))
	require.Error(t, m.srv.RefundInConsole("O1", "C1", 1))
	require.Error(t, m.srv.RefundInConsole("O1", "", 1))
	require.EqualValues(t, 60, m.srv.PaidTotal("O1"))
}
