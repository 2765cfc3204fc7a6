package swapadapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/examples/swapadapter"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// slip is a refund on the wire and in the double's ledger.
type slip struct {
	RefundNo string `json:"refund_no,omitempty"`
	OrderID  string `json:"order_id,omitempty"`
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
	ID       string `json:"id,omitempty"`
	Status   string `json:"status,omitempty"`
	Code     string `json:"code,omitempty"`
}

// acquirer is a test double of the provider. It answers as the provider's documentation says. It
// accepts a refund, and ends it at the first query.
type acquirer struct {
	mu     sync.Mutex
	orders map[string]int64 // ID → total
	ledger map[string]*slip // by refund number
	ends   map[string]string
	faults []gatewaytest.Fault
}

func newAcquirer(t *testing.T) (*swapadapter.Acquirer, *acquirer) {
	t.Helper()
	a := &acquirer{
		orders: map[string]int64{}, ledger: map[string]*slip{}, ends: map[string]string{},
	}
	return serve(t, a), a
}

func serve(t *testing.T, h http.Handler) *swapadapter.Acquirer {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)

	return &swapadapter.Acquirer{
		BaseURL: srv.URL, Token: func() string { return "sesame" }, Client: srv.Client(),
	}
}

func (a *acquirer) AddOrder(total int64) refund.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := fmt.Sprintf("O%d", len(a.orders)+1)
	a.orders[id] = total
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "EUR"}
}

func (a *acquirer) Paid(no string) int64 {
	return a.sum(func(s *slip) bool { return s.RefundNo == no && s.Status == "succeeded" })
}

func (a *acquirer) PaidTotal(orderID string) int64 {
	return a.sum(func(s *slip) bool { return s.OrderID == orderID && s.Status == "succeeded" })
}

func (a *acquirer) sum(counts func(*slip) bool) (sum int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.ledger {
		if counts(s) {
			sum += s.Amount
		}
	}
	return sum
}

func (a *acquirer) Settle(number string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.ledger[number]; s != nil && s.Status == "pending" {
		s.Status = a.ends[number]
	}
}

func (a *acquirer) Next(f gatewaytest.Fault) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, f)
	return true
}

func (a *acquirer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer sesame" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body) // first, or the server does not notice that the caller hangs up
	if err != nil {
		return
	}
	a.mu.Lock()
	var f gatewaytest.Fault
	if len(a.faults) > 0 {
		f, a.faults = a.faults[0], a.faults[1:]
	}
	a.mu.Unlock()
	if f == gatewaytest.FaultFailBefore {
		breakOff(w)
	}
	if f == gatewaytest.FaultHang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	var status int
	var answer slip
	if no, found := strings.CutPrefix(r.URL.Path, "/v1/refunds/"); found && r.Method == http.MethodGet {
		status, answer = a.find(no)
	} else {
		var ask slip
		if err := json.Unmarshal(body, &ask); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		ask.RefundNo = r.Header.Get("Idempotency-Key")
		status, answer = a.take(ask, f)
	}
	switch f { //nolint:exhaustive // the others are about the refund
	case gatewaytest.FaultLoseAnswer:
		breakOff(w)
	case gatewaytest.FaultGarbage:
		w.WriteHeader(status)
		fmt.Fprint(w, "<html>")
		return
	case gatewaytest.FaultOtherRefund:
		answer.RefundNo += "x"
	case gatewaytest.FaultOtherAmount:
		answer.Amount += 7
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// breakOff ends the answer after its header. Without a header, net/http would repeat a call that
// has an Idempotency-Key. That is safe, but the suite expects the broken call to return an error.
func breakOff(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// take handles POST /v1/refunds. It checks the key before the money.
func (a *acquirer) take(ask slip, f gatewaytest.Fault) (int, slip) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.ledger[ask.RefundNo]; known != nil {
		if known.OrderID != ask.OrderID || known.Amount != ask.Amount {
			return http.StatusConflict, slip{Code: "key_reused"}
		}
		return http.StatusOK, *known
	}
	held := ask.Amount
	for _, s := range a.ledger {
		if s.OrderID == ask.OrderID && s.Status != "voided" {
			held += s.Amount
		}
	}
	if held > a.orders[ask.OrderID] {
		return http.StatusUnprocessableEntity, slip{Code: "exceeds_payment"}
	}
	end := "succeeded"
	switch f { //nolint:exhaustive // the others are about the answer
	case gatewaytest.FaultDecline:
		return http.StatusUnprocessableEntity, slip{Code: "insufficient_funds"}
	case gatewaytest.FaultAbnormal:
		end = "bounced"
	case gatewaytest.FaultClose:
		end = "voided"
	}
	ask.ID, ask.Status = fmt.Sprintf("re_%d", len(a.ledger)+1), "pending"
	a.ledger[ask.RefundNo], a.ends[ask.RefundNo] = &ask, end
	return http.StatusAccepted, ask
}

// find handles GET /v1/refunds/{no}.
func (a *acquirer) find(number string) (int, slip) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.ledger[number]; s != nil {
		return http.StatusOK, *s
	}
	return http.StatusNotFound, slip{Code: "no_such_refund"}
}

// TestConformance checks that the gateway keeps every promise of the port. Only the list is not
// checked, because the gateway has none.
func TestConformance(t *testing.T) {
	t.Parallel()
	gatewaytest.Run(t, gatewaytest.Harness{New: func(
		t *testing.T,
	) (refund.RefundGateway, gatewaytest.Provider) {
		return newAcquirer(t)
	}})
}

// TestAnswers checks the outcome of each documented answer, and that any other answer is an error.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const body = `{"refund_no":"R1","order_id":"O1","amount":30,"currency":"EUR","id":"re_1","status":%q}`
	for name, c := range map[string]struct {
		status        int
		body          string
		retryAfter    string
		refund, query refund.Outcome // OutcomeUnknown: an error
		code          string
		is            error
		later         time.Duration
	}{
		"pending":                {status: 200, body: fmt.Sprintf(body, "pending"), refund: refund.OutcomeAccepted, query: refund.OutcomeAccepted},
		"accepted":               {status: 202, body: fmt.Sprintf(body, "pending"), refund: refund.OutcomeAccepted},
		"succeeded":              {status: 200, body: fmt.Sprintf(body, "succeeded"), refund: refund.OutcomeSucceeded, query: refund.OutcomeSucceeded},
		"voided":                 {status: 200, body: fmt.Sprintf(body, "voided"), refund: refund.OutcomeClosed, query: refund.OutcomeClosed},
		"bounced":                {status: 200, body: fmt.Sprintf(body, "bounced"), refund: refund.OutcomeAbnormal, query: refund.OutcomeAbnormal},
		"tomorrow's status":      {status: 200, body: fmt.Sprintf(body, "failed_softly")},
		"succeeded, but 202":     {status: 202, body: fmt.Sprintf(body, "succeeded")},
		"succeeded, but 500":     {status: 500, body: fmt.Sprintf(body, "succeeded")},
		"a code named succeeded": {status: 200, body: `{"code":"succeeded"}`},
		"no status":              {status: 200, body: `{}`},
		"not JSON":               {status: 200, body: `<html>`},
		"cut short":              {status: 200, body: `{"refund_no":"R1","status":"succee`},
		"two answers":            {status: 200, body: `{"status":"succeeded"}{"status":"succeeded"}`},
		"endless":                {status: 200, body: strings.Repeat(" ", 1<<16) + fmt.Sprintf(body, "succeeded")},
		"other currency":         {status: 200, body: strings.Replace(fmt.Sprintf(body, "succeeded"), "EUR", "USD", 1), is: refund.ErrMismatch},
		"no funds":               {status: 422, body: `{"code":"insufficient_funds"}`, refund: refund.OutcomeDeclined, code: "insufficient_funds"},
		"exceeds":                {status: 422, body: `{"code":"exceeds_payment"}`, refund: refund.OutcomeDeclined, code: "exceeds_payment"},
		"too old":                {status: 422, body: `{"code":"payment_too_old"}`, refund: refund.OutcomeDeclined, code: "payment_too_old"},
		"tomorrow's code":        {status: 422, body: `{"code":"computer_says_no"}`},
		"a no without code":      {status: 422, body: `{}`},
		"a no with another 4xx":  {status: 400, body: `{"code":"insufficient_funds"}`},
		"a no from behind a 502": {status: 502, body: `{"code":"insufficient_funds"}`},
		"key reused":             {status: 409, body: `{"code":"key_reused"}`},
		"never seen":             {status: 404, body: `{"code":"no_such_refund"}`, query: refund.OutcomeNotFound, code: "no_such_refund"},
		"a proxy's 404":          {status: 404, body: `<html>`},
		"a bare 404":             {status: 404, body: `{}`},
		"gone":                   {status: 410, body: `{"code":"no_such_refund"}`},
		"wrong token":            {status: 401, body: `{}`, is: refund.ErrSetup},
		"no permission":          {status: 403, body: `<html>`, is: refund.ErrSetup},
		"too many":               {status: 429, retryAfter: "90", is: refund.ErrBusy, later: 90 * time.Second},
		"too many, until a date": {status: 429, retryAfter: "Fri, 02 Jan 2026 03:04:05 GMT", is: refund.ErrBusy},
		"server error":           {status: 500},
		"gateway time-out":       {status: 504, body: `<html>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Idempotency-Key") != "R1" {
					t.Errorf("%s without its key", r.Method)
				}
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			check := func(want refund.Outcome, res refund.Result, err error) {
				if want == refund.OutcomeUnknown {
					require.Error(t, err)
					require.Equal(t, refund.Result{}, res)
					if c.is != nil {
						require.ErrorIs(t, err, c.is)
					}
					if later := (*refund.BusyError)(nil); errors.As(err, &later) {
						require.Equal(t, c.later, later.After)
						require.True(t, later.Account)
					}
					require.NotContains(t, err.Error(), "sesame", "errors are logged and stored")
					return
				}
				require.NoError(t, err)
				require.Equal(t, want, res.Outcome)
				require.Equal(t, c.code, res.Code)
			}
			req := refund.Request{
				OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "EUR",
			}
			res, err := gw.Refund(context.Background(), req)
			check(c.refund, res, err)
			res, err = gw.Query(context.Background(), req)
			check(c.query, res, err)
		})
	}
}

// TestRedirect checks that redirects are not followed: the target is not the acquirer.
func TestRedirect(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"refund_no":"R1","order_id":"O1","amount":5,"currency":"EUR","status":"succeeded"}`)
	}))
	t.Cleanup(other.Close)
	a := serve(t, http.RedirectHandler(other.URL, http.StatusFound))
	req := refund.Request{RefundNo: "R1", OrderID: "O1", Amount: 5, Total: 5, Currency: "EUR"}
	_, err := a.Refund(context.Background(), req)
	require.ErrorContains(t, err, "302 Found")
	_, err = a.Query(context.Background(), refund.Request{
		RefundNo: "R1", OrderID: "O1", Amount: 5, Total: 5, Currency: "EUR",
	})
	require.ErrorContains(t, err, "302 Found")
}

// TestBadSetUp checks that a wrong certificate, a wrong URL and an expired token return errors, and
// that printing the gateway does not show the token.
func TestBadSetUp(t *testing.T) {
	t.Parallel()
	gw, _ := newAcquirer(t)
	q := refund.Request{OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "EUR"}
	require.NotContains(t, fmt.Sprintf("%+v", gw), "sesame")

	strict := *gw
	strict.Client = &http.Client{} // does not know the double's certificate
	_, err := strict.Query(context.Background(), q)
	require.ErrorContains(t, err, "certificate")

	nowhere := *gw
	nowhere.BaseURL = ":"
	_, err = nowhere.Query(context.Background(), q)
	require.Error(t, err)

	stale := *gw
	stale.Token = func() string { return "expired" }
	_, err = stale.Query(context.Background(), q)
	require.ErrorIs(t, err, refund.ErrSetup)
}

// TestLength: it is an evening's work.
func TestLength(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("acquirer.go")
	require.NoError(t, err)
	require.Less(t, bytes.Count(source, []byte("\n")), 120, "with its comments")
}
