package wechatv2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

var _ refund.NotificationReader = (*Gateway)(nil)

// Notification is a refund notification, decrypted and checked for its form. It is a hint, never proof:
// nothing in it is signed, its encryption lets blocks be swapped and replayed, and the envelope around it can
// be anybody's. Ask with Query before money is booked, as [refund.Service] does.
type Notification struct {
	// OutTradeNo and TransactionID name the order, OutRefundNo and RefundID the refund.
	OutTradeNo    string
	TransactionID string
	OutRefundNo   string
	RefundID      string
	// TotalFee is the order's, RefundFee the refund's amount; the settlement ones are without coupons that
	// nobody paid for, and 0 where they are not named. In fen.
	TotalFee            int64
	SettlementTotalFee  int64
	RefundFee           int64
	SettlementRefundFee int64
	// RefundStatus is SUCCESS, CHANGE, REFUNDCLOSE, or what WeChat Pay may add.
	RefundStatus string
	// SuccessTime is when the money was returned, UTC, to the second; zero where it was not.
	SuccessTime time.Time
	// RefundRecvAccount is where the money went, as text for people (refund_recv_accout).
	RefundRecvAccount string
	// RefundAccount is the funds that the refund was paid from.
	RefundAccount RefundAccount
	// RefundRequestSource is API, or VENDOR_PLATFORM for refunds made in the merchant platform.
	RefundRequestSource string
	// Fields are all decrypted elements by their names on the wire, those above included.
	Fields map[string]string
}

// ReadNotification implements [refund.NotificationReader]: OpenNotification in the terms of package refund.
// A status that no document names is [refund.OutcomeUnknown]: still a hint. Give the server a ReadTimeout.
func (g *Gateway) ReadNotification(r *http.Request) (refund.Notification, error) {
	n, err := g.OpenNotification(r)
	if err != nil {
		return refund.Notification{}, err
	}
	res := refund.Result{
		OrderID: n.OutTradeNo, RefundNo: n.OutRefundNo, Amount: n.RefundFee,
		ProviderRefundID: n.RefundID, RefundedAt: n.SuccessTime,
	}
	switch n.RefundStatus {
	case success:
		res.Outcome = refund.OutcomeSucceeded
	case "CHANGE":
		res.Outcome = refund.OutcomeAbnormal
	case "REFUNDCLOSE":
		res.Outcome = refund.OutcomeClosed
	}
	return refund.Notification{Result: res, PaymentID: n.TransactionID, Total: n.TotalFee}, nil
}

// OpenNotification reads, decrypts and checks a refund notification (official document 4011989265): POST, at
// most [refund.MaxNotification] bytes, strict XML for this Gateway's merchant, and inside req_info strict
// XML that names one refund. It reads no further once r's context has ended.
//
// Errors match [refund.ErrNotification], and [refund.ErrMismatch] where it is for another merchant. They
// hold nothing that was encrypted.
func (g *Gateway) OpenNotification(r *http.Request) (Notification, error) {
	n, err := g.openNotification(r)
	if err != nil {
		return Notification{}, fmt.Errorf("%w: %w", refund.ErrNotification, err)
	}
	return n, nil
}

func (g *Gateway) openNotification(r *http.Request) (Notification, error) {
	if r.Method != http.MethodPost {
		return Notification{}, errors.New("not a POST")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return Notification{}, errors.New("body with a content encoding")
	}
	body, err := readNotification(r)
	if err != nil {
		return Notification{}, err
	}
	f, err := decode(body)
	if err != nil {
		return Notification{}, err
	}
	if f["return_code"] != success {
		return Notification{}, errors.New("return_code is not SUCCESS")
	}
	if err := g.matchMerchant(f); err != nil {
		return Notification{}, err
	}
	text, err := decryptInfo(f["req_info"], g.info())
	if err != nil {
		return Notification{}, err
	}
	inner, err := decodeRoot(text, "root")
	if err != nil {
		return Notification{}, fmt.Errorf("req_info: %w", err)
	}
	return newNotification(inner)
}

func readNotification(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, errors.New("no body")
	}
	var b bytes.Buffer
	b.Grow(2 << 10) // the usual one fits
	n, err := b.ReadFrom(io.LimitReader(ctxReader{r.Context(), r.Body}, refund.MaxNotification+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if n > refund.MaxNotification {
		return nil, fmt.Errorf("body of more than %d bytes", refund.MaxNotification)
	}
	return b.Bytes(), nil
}

// ctxReader ends a body that comes in drops.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r ctxReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func newNotification(f fields) (Notification, error) {
	n := Notification{
		OutTradeNo: f["out_trade_no"], TransactionID: f["transaction_id"],
		OutRefundNo: f["out_refund_no"], RefundID: f["refund_id"],
		RefundStatus: f["refund_status"], RefundRecvAccount: f["refund_recv_accout"],
		RefundAccount: RefundAccount(f["refund_account"]), RefundRequestSource: f["refund_request_source"],
		Fields: f,
	}
	for _, a := range []struct {
		name string
		to   *int64
	}{
		{"total_fee", &n.TotalFee},
		{"settlement_total_fee", &n.SettlementTotalFee},
		{"refund_fee", &n.RefundFee},
		{"settlement_refund_fee", &n.SettlementRefundFee},
	} {
		if f[a.name] == "" {
			continue
		}
		fen, err := strconv.ParseUint(f[a.name], 10, 63)
		if err != nil {
			return Notification{}, fmt.Errorf("%s is not an amount", a.name)
		}
		*a.to = int64(fen)
	}
	if n.RefundFee == 0 || n.RefundFee > n.TotalFee {
		return Notification{}, errors.New("refund_fee is not above 0 and up to total_fee")
	}
	if checkSubject(n.OutRefundNo, n.OutTradeNo, "") != nil || len(n.TransactionID) > 32 || !plain(n.TransactionID, "") {
		return Notification{}, errors.New("out_refund_no, out_trade_no or transaction_id is missing or malformed")
	}
	if n.RefundStatus == success {
		n.SuccessTime = beijing(f["success_time"])
	}
	return n, nil
}

// The acknowledgements. WeChat Pay takes anything but the first for a failure, and delivers again.
const (
	ackTaken = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
	ackAgain = "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[not taken]]></return_msg></xml>"
)

// Acknowledge implements [refund.NotificationReader]. With an error WeChat Pay delivers again, up to 15
// times in 24 hours; the error itself is not told.
func (*Gateway) Acknowledge(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	ack := ackTaken
	if err != nil {
		ack = ackAgain
	}
	_, _ = io.WriteString(w, ack)
}
