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

// SetLimits sets what [Gateway.Limits] returns; at first no limit. Call it before the Service is built.
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

// SetCheck sets what [Gateway.Check] asks; at first nothing, and everything is admitted.
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

// List implements [refund.Lister]: the ledger's refunds of the order, by number. The script is not for it.
func (g *Gateway) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, Call{Op: opList, Request: asked(req)})
	var all []refund.Result
	for _, e := range g.ledger {
		if e.orderID == req.OrderID {
			all = append(all, e.result())
		}
	}
	slices.SortFunc(all, func(a, b refund.Result) int { return strings.Compare(a.RefundNo, b.RefundNo) })
	return all, nil
}

// Notify makes the provider's notification of how a refund stands with it, for the host's mux or handler, or,
// with a full URL, for an [http.Client]. It returns an error where the provider has no such refund.
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

// Forge makes a notification that says whatever n says; its Gateway is not sent.
func Forge(n refund.Notification, url string) (*http.Request, error) {
	body, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("notify of refund %s: %w", n.Result.RefundNo, err)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("notify of refund %s: %w", n.Result.RefundNo, err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// ReadNotification implements [refund.NotificationReader] for what [Gateway.Notify] and [Forge] make. It
// believes whatever it can read: what the Service books is what Query answers.
func (g *Gateway) ReadNotification(r *http.Request) (refund.Notification, error) {
	var n refund.Notification
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		return refund.Notification{}, fmt.Errorf("%w: %w", refund.ErrNotification, err)
	}
	n.Gateway = ""
	return n, nil
}

// Acknowledge implements [refund.NotificationReader]: 204 where it was taken, else 500.
func (g *Gateway) Acknowledge(w http.ResponseWriter, err error) {
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
