package gatewaytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// slip is one refund on the wire and in the bank's ledger.
type slip struct {
	Number, Order, Code string
	Amount              int64
}

// gateway is a shop's own gateway to a bank that speaks JSON.
type gateway struct{ url string }

func (g gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.call(ctx, "/refund", slip{
		Number: req.RefundNo, Order: req.OrderID, Amount: req.Amount,
	},
		refund.OutcomeDeclined)
}

func (g gateway) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.call(ctx, "/query", slip{Number: req.RefundNo, Order: req.OrderID, Amount: req.Amount},
		refund.OutcomeNotFound)
}

// call returns refused if the bank answers with a code. If the answer is not clear, it returns an
// error.
func (g gateway) call(
	ctx context.Context, path string, ask slip, refused refund.Outcome,
) (refund.Result, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return refund.Result{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, bytes.NewReader(body))
	if err != nil {
		return refund.Result{}, err
	}
	res, err := http.DefaultClient.Do(post)
	if err != nil {
		return refund.Result{}, err
	}
	defer res.Body.Close()
	var got slip
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		return refund.Result{}, fmt.Errorf("read the bank's answer on refund %s: %w", ask.Number, err)
	}
	if got.Code != "" {
		return refund.Result{Outcome: refused, Code: got.Code}, nil
	}
	if got != ask {
		return refund.Result{}, &refund.MismatchError{
			Field: "answer", Want: fmt.Sprint(ask), Got: fmt.Sprint(got),
		}
	}
	return refund.Result{
		Outcome: refund.OutcomeSucceeded, RefundNo: got.Number, OrderID: got.Order,
		Amount: got.Amount,
	}, nil
}

// bank is the test double of the provider.
type bank struct {
	mu     sync.Mutex
	orders map[string]int64 // ID → total
	ledger map[string]slip  // by refund number
	faults []gatewaytest.Fault
}

func (b *bank) AddOrder(total int64) refund.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fmt.Sprintf("O%d", len(b.orders)+1)
	b.orders[id] = total
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "EUR"}
}

func (b *bank) Paid(number string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger[number].Amount
}

func (b *bank) PaidTotal(orderID string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sum(orderID)
}

func (b *bank) sum(orderID string) (paid int64) {
	for _, s := range b.ledger {
		if s.Order == orderID {
			paid += s.Amount
		}
	}
	return paid
}

func (b *bank) Settle(string) {} // it pays at once

func (b *bank) Next(f gatewaytest.Fault) bool {
	if f == gatewaytest.FaultAbnormal || f == gatewaytest.FaultClose {
		return false // it has no such outcomes
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, f)
	return true
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ask slip
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, answer := b.execute(r.URL.Path, ask)
	switch f {
	case gatewaytest.FaultLoseAnswer, gatewaytest.FaultFailBefore:
		panic(http.ErrAbortHandler)
	case gatewaytest.FaultHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case gatewaytest.FaultGarbage:
		_, _ = w.Write([]byte("<html>"))
	case gatewaytest.FaultOtherRefund:
		answer.Number = "another"
	case gatewaytest.FaultOtherAmount:
		answer.Amount++
	case gatewaytest.FaultDecline, gatewaytest.FaultAbnormal, gatewaytest.FaultClose:
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// execute executes one call with the next fault.
func (b *bank) execute(path string, ask slip) (f gatewaytest.Fault, answer slip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		f, b.faults = b.faults[0], b.faults[1:]
	}
	known, found := b.ledger[ask.Number]
	switch {
	case f == gatewaytest.FaultFailBefore || f == gatewaytest.FaultHang:
		return f, slip{}
	case found && path == "/refund" && known != ask:
		return f, slip{Code: "NUMBER_IS_TAKEN"}
	case found:
		return f, known
	case path == "/query":
		return f, slip{Code: "NEVER_SEEN"}
	case f == gatewaytest.FaultDecline:
		return f, slip{Code: "NO_FUNDS"}
	case b.sum(ask.Order)+ask.Amount > b.orders[ask.Order]:
		return f, slip{Code: "TOO_MUCH"}
	}
	b.ledger[ask.Number] = ask
	return f, ask
}

func newShop(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
	b := &bank{orders: map[string]int64{}, ledger: map[string]slip{}}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	return gateway{srv.URL}, b
}

// A shop has its own gateway and a test double of its bank. In the shop's code, the body of
// ExampleRun is the body of a test.
func ExampleRun() {
	testGateway := func(t *testing.T) { gatewaytest.Run(t, gatewaytest.Harness{New: newShop}) }
	_ = testGateway
}
