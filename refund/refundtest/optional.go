package refundtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/orderfsm/orderfsm/refund"
)

// SetLimits sets the limits that [Gateway.Limits] returns. Without it there are none. Call it
// before NewService.
func (g *Gateway) SetLimits(l refund.Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = l
}

// Limits implements [refund.Limiter].
func (g *Gateway) Limits(string) refund.Limits {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits
}

// SetCheck sets the function that [Gateway.Check] calls. Without it, Check accepts every request.
func (g *Gateway) SetCheck(check func(refund.Request) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.check = check
}

// Check implements [refund.Checker].
func (g *Gateway) Check(req refund.Request) error {
	g.mu.Lock()
	check := g.check
	g.mu.Unlock()
	if check == nil {
		return nil
	}
	return check(req)
}

// List implements [refund.Lister]. It returns the refunds of the order in the ledger, sorted by
// number, unless [Gateway.NextList] says otherwise.
func (g *Gateway) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	return g.call(ctx, opList, req, func(Step, bool) (all []refund.Result) {
		for _, e := range g.orders[req.OrderID] {
			all = append(all, e.result())
		}
		slices.SortFunc(all,
			func(a, b refund.Result) int { return strings.Compare(a.RefundNo, b.RefundNo) })
		return all
	})
}

// Notify returns the provider's notification about the state of a refund. It is for the host's mux
// or handler, or, with a full URL, for an [http.Client]. Notify returns an error if the provider
// does not have the number.
func (g *Gateway) Notify(refundNo, url string) (*http.Request, error) {
	g.mu.Lock()
	e := g.ledger[refundNo]
	var n refund.Notification
	if e != nil {
		n.Result = e.result()
	}
	g.mu.Unlock()
	if e == nil {
		return nil, unknown("notify of", refundNo)
	}
	return Forge(n, url)
}

// Forge returns a notification with any content. The Gateway of n is not sent.
func Forge(n refund.Notification, url string) (*http.Request, error) {
	body, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("notify of refund %s: %w", n.Result.RefundNo, err)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url,
		bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("notify of refund %s: %w", n.Result.RefundNo, err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// ReadNotification implements [refund.NotificationReader] for the notifications of [Gateway.Notify]
// and [Forge]. It accepts every notification that it can read: the Service records the answer of
// Query, and not the notification.
func (g *Gateway) ReadNotification(r *http.Request) (refund.Notification, error) {
	var n refund.Notification
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		return refund.Notification{}, fmt.Errorf("%w: %w", refund.ErrNotification, err)
	}
	n.Gateway = ""
	return n, nil
}

// Acknowledge implements [refund.NotificationReader]. It writes status 204 if err is nil, and 500
// otherwise.
func (g *Gateway) Acknowledge(w http.ResponseWriter, err error) {
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
