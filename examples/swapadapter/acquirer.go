// Package swapadapter shows a gateway for a provider that orderfsm does not know, [Acquirer], and
// a [Shop] whose tests run it on a WeChat Pay simulator, on Acquirer, and on a scripted fake.
package swapadapter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// Acquirer returns money through an invented card acquirer: POST /v1/refunds, with the refund
// number as Idempotency-Key, and GET /v1/refunds/{no}. It is safe for concurrent use.
type Acquirer struct {
	BaseURL string
	Token   func() string // a function: the token can change and is not logged
	Client  *http.Client  // must verify TLS; the context has the time-out
}

type slip struct { // a refund on the wire; a refusal has only a Code and a Message
	RefundNo string `json:"refund_no"`
	OrderID  string `json:"order_id"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	ID       string `json:"id,omitempty"`
	Status   string `json:"status,omitempty"`
	Code     string `json:"code,omitempty"`
	Message  string `json:"message,omitempty"`
}

// Refund implements [refund.RefundGateway]. The acquirer pays once for each Idempotency-Key.
func (a *Acquirer) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return a.call(ctx, http.MethodPost, "/v1/refunds", req)
}

// Query implements [refund.RefundGateway].
func (a *Acquirer) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	return a.call(ctx, http.MethodGet, "/v1/refunds/"+url.PathEscape(req.RefundNo), req)
}

// call makes one call. An unclear answer, or none, is an error: the refund may have been paid.
func (a *Acquirer) call(
	ctx context.Context, method, path string, r refund.Request,
) (refund.Result, error) {
	ask := slip{RefundNo: r.RefundNo, OrderID: r.OrderID, Amount: r.Amount, Currency: r.Currency}
	var body []byte
	if method == http.MethodPost {
		body, _ = json.Marshal(ask) // cannot fail: strings and a number
	}
	req, err := http.NewRequestWithContext(ctx, method, a.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return refund.Result{}, err
	}
	req.Header = http.Header{"Authorization": {"Bearer " + a.Token()}, "Idempotency-Key": {r.RefundNo}}
	client := *a.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // whoever is there is not the acquirer
	}
	answer, err := client.Do(req)
	if err != nil {
		return refund.Result{}, err
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(answer.Body, 1<<16)); err != nil {
		return refund.Result{}, fmt.Errorf("read the answer on refund %s: %w", ask.RefundNo, err)
	}
	doubt := fmt.Errorf("refund %s: the acquirer answers %s", ask.RefundNo, answer.Status)
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden: // concerns the shop, not this refund
		return refund.Result{}, &refund.SetupError{Err: doubt}
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 is the usual backoff
		wait := time.Duration(seconds) * time.Second
		return refund.Result{}, &refund.BusyError{After: wait, Account: true, Err: doubt}
	}
	var got slip
	if err := json.Unmarshal(body, &got); err != nil {
		return refund.Result{}, fmt.Errorf("%w: %w", doubt, err)
	}
	res := refund.Result{Code: got.Code, Message: got.Message, ProviderRefundID: got.ID}
	switch res.Outcome = outcomeOf(method, answer.StatusCode, got); res.Outcome {
	case refund.OutcomeUnknown:
		return refund.Result{}, fmt.Errorf("%w, status %q, code %q", doubt, got.Status, got.Code)
	case refund.OutcomeAccepted, refund.OutcomeSucceeded,
		refund.OutcomeClosed, refund.OutcomeAbnormal:
		if got.Currency != ask.Currency { // the Service compares number, order and amount only
			err := &refund.MismatchError{Field: "currency", Want: ask.Currency, Got: got.Currency}
			return refund.Result{}, err
		}
		res.RefundNo, res.OrderID, res.Amount = got.RefundNo, got.OrderID, got.Amount
	case refund.OutcomeDeclined, refund.OutcomeNotFound:
	}
	return res, nil
}

func outcomeOf(method string, status int, got slip) refund.Outcome {
	switch fmt.Sprintf("%s %d %s/%s", method, status, got.Status, got.Code) {
	case "POST 202 pending/", "POST 200 pending/", "GET 200 pending/":
		return refund.OutcomeAccepted
	case "POST 200 succeeded/", "GET 200 succeeded/":
		return refund.OutcomeSucceeded
	case "POST 200 voided/", "GET 200 voided/":
		return refund.OutcomeClosed
	case "POST 200 bounced/", "GET 200 bounced/": // the card is closed, the money did not arrive
		return refund.OutcomeAbnormal
	case "GET 404 /no_such_refund": // a 404 without it may come from a proxy
		return refund.OutcomeNotFound
	case "POST 422 /insufficient_funds", "POST 422 /exceeds_payment", "POST 422 /payment_too_old":
		return refund.OutcomeDeclined // not key_reused: that refund may have been paid
	}
	return refund.OutcomeUnknown // an answer that is not documented
}
