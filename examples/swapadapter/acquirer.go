// Package swapadapter shows how a shop plugs in a provider that orderfsm has no adapter for:
// [Acquirer] is all of it, and its test runs gatewaytest on it and a double of the provider. And
// how a shop swaps its providers in tests: [Shop] pays through a WeChat Pay simulator, through the
// Acquirer, and through a scripted fake.
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

// Acquirer returns money through an (invented) card acquirer that speaks JSON over HTTPS: POST
// /v1/refunds, with the refund number as Idempotency-Key, and GET /v1/refunds/{no}. It is safe for
// concurrent use.
type Acquirer struct {
	BaseURL string
	Token   func() string // a function: it can be replaced, and no log of the struct shows it
	Client  *http.Client  // verifies TLS; the time-out is that of the context
}

// slip is a refund on the wire. An answer that is a no has a Code and a Message instead.
type slip struct {
	RefundNo string `json:"refund_no"`
	OrderID  string `json:"order_id"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	ID       string `json:"id,omitempty"`
	Status   string `json:"status,omitempty"`
	Code     string `json:"code,omitempty"`
	Message  string `json:"message,omitempty"`
}

// Refund implements [refund.RefundGateway]. The number is the key, the same on every call: one
// payment.
func (a *Acquirer) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	ask := slip{RefundNo: req.RefundNo, OrderID: req.OrderID, Amount: req.Amount, Currency: req.Currency}
	return a.call(ctx, http.MethodPost, "/v1/refunds", ask)
}

// Query implements [refund.RefundGateway].
func (a *Acquirer) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	ask := slip{RefundNo: req.RefundNo, OrderID: req.OrderID, Amount: req.Amount, Currency: req.Currency}
	return a.call(ctx, http.MethodGet, "/v1/refunds/"+url.PathEscape(req.RefundNo), ask)
}

// call makes one call. Whatever is not a clear answer is an error, also a time-out: it may have
// been paid.
func (a *Acquirer) call(ctx context.Context, method, path string, ask slip) (refund.Result, error) {
	var body []byte
	if method == http.MethodPost {
		body, _ = json.Marshal(ask) // of strings and a number: it cannot fail
	}
	req, err := http.NewRequestWithContext(ctx, method, a.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return refund.Result{}, err
	}
	req.Header.Set("Authorization", "Bearer "+a.Token())
	req.Header.Set("Idempotency-Key", ask.RefundNo)
	client := *a.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // to whom?
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
	case http.StatusUnauthorized, http.StatusForbidden: // about the shop, not about this refund
		return refund.Result{}, &refund.SetupError{Err: doubt}
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 if it does not say: the usual backoff
		wait := time.Duration(seconds) * time.Second
		return refund.Result{}, &refund.BusyError{After: wait, Account: true, Err: doubt}
	}
	var got slip
	if err := json.Unmarshal(body, &got); err != nil {
		return refund.Result{}, fmt.Errorf("%w: %w", doubt, err)
	}
	res := refund.Result{Outcome: outcomeOf(method, answer.StatusCode, got), Code: got.Code, Message: got.Message}
	switch res.Outcome {
	case refund.OutcomeUnknown:
		return refund.Result{}, fmt.Errorf("%w, status %q, code %q", doubt, got.Status, got.Code)
	case refund.OutcomeAccepted, refund.OutcomeSucceeded, refund.OutcomeClosed, refund.OutcomeAbnormal:
		if got.Currency != ask.Currency { // the Service compares number, order and amount; this it cannot see
			return refund.Result{}, &refund.MismatchError{Field: "currency", Want: ask.Currency, Got: got.Currency}
		}
		res.RefundNo, res.OrderID, res.Amount, res.ProviderRefundID = got.RefundNo, got.OrderID, got.Amount, got.ID
	case refund.OutcomeDeclined, refund.OutcomeNotFound:
	}
	return res, nil
}

// outcomeOf knows the answers that mean something. What it does not know is OutcomeUnknown, also
// tomorrow's.
func outcomeOf(method string, status int, got slip) refund.Outcome {
	switch fmt.Sprintf("%s %d %s/%s", method, status, got.Status, got.Code) {
	case "POST 202 pending/", "POST 200 pending/", "GET 200 pending/":
		return refund.OutcomeAccepted
	case "POST 200 succeeded/", "GET 200 succeeded/":
		return refund.OutcomeSucceeded
	case "POST 200 voided/", "GET 200 voided/":
		return refund.OutcomeClosed
	case "POST 200 bounced/", "GET 200 bounced/": // the card is closed: the money is with nobody
		return refund.OutcomeAbnormal
	case "GET 404 /no_such_refund": // a bare 404 may be a proxy's, and would have it sent again
		return refund.OutcomeNotFound
	case "POST 422 /insufficient_funds", "POST 422 /exceeds_payment", "POST 422 /payment_too_old":
		// Explicit and final. Not here: key_reused, which says that the number has paid something.
		return refund.OutcomeDeclined
	}
	return refund.OutcomeUnknown
}
