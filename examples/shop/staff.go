package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// staffsView is a refund with what its reviewer has to see.
type staffsView struct {
	OrderID     string      `json:"order_id"`
	RefundNo    string      `json:"refund_no"`
	Amount      int64       `json:"amount"`
	Currency    string      `json:"currency,omitempty"`
	Total       int64       `json:"total,omitempty"`
	State       order.State `json:"state"`
	Reason      string      `json:"reason"`
	RequestedBy order.Actor `json:"requested_by"`
	RequestedAt time.Time   `json:"requested_at"`
	// Code and Message are the provider's last words; where they are not empty, somebody has to act
	// or wait.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func viewForStaff(orderID string, r order.Refund) staffsView {
	return staffsView{
		OrderID: orderID, RefundNo: r.No, Amount: r.Amount, State: r.State, Reason: r.Reason,
		RequestedBy: r.RequestedBy, RequestedAt: r.RequestedAt, Code: r.Code, Message: r.Message,
	}
}

// listRefunds is the review queue: oldest first, or with ?state= any other list; ?after= is the
// next of a page.
func (w *web) listRefunds(r *http.Request, _ string) (int, any, error) {
	f, err := filter(r)
	if err != nil {
		return 0, nil, err
	}
	f.States = []order.State{order.StateRefundRequested}
	if s := r.FormValue("state"); s != "" {
		f.States = []order.State{order.State(s)}
	}
	p, err := w.svc.ListRefunds(r.Context(), f)
	return http.StatusOK, pageView(p), err
}

// listStuck is what has been approved for long and has no outcome. It goes on being asked about by
// itself.
func (w *web) listStuck(r *http.Request, _ string) (int, any, error) {
	f, err := filter(r)
	if err != nil {
		return 0, nil, err
	}
	p, err := w.svc.Stuck(r.Context(), f)
	return http.StatusOK, pageView(p), err
}

func filter(r *http.Request) (refund.Filter, error) {
	var f refund.Filter
	var err error
	if n := r.FormValue("limit"); n != "" {
		if f.Limit, err = strconv.Atoi(n); err != nil {
			return f, fmt.Errorf("%w: limit is not a number", errRequest)
		}
	}
	if after := r.FormValue("after"); after != "" {
		f.After = &refund.Position{}
		if err := f.After.UnmarshalText([]byte(after)); err != nil {
			return f, err
		}
	}
	return f, nil
}

func pageView(p refund.Page) any {
	v := struct {
		Refunds []staffsView     `json:"refunds"`
		Next    *refund.Position `json:"next,omitempty"`
	}{Refunds: []staffsView{}, Next: p.Next}
	for _, e := range p.Entries {
		one := viewForStaff(e.OrderID, e.Refund)
		one.Currency, one.Total = e.Currency, e.Total
		v.Refunds = append(v.Refunds, one)
	}
	return v
}

// decide carries out a decision on a refund and answers with the refund as it is after it.
func (w *web) decide(r *http.Request, who string) (int, any, error) {
	in, err := decode[struct {
		Amount     int64             `json:"amount"`
		Note       string            `json:"note"`
		Resolution refund.Resolution `json:"resolution"`
		Evidence   string            `json:"evidence"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	ctx, id, no, by := r.Context(), r.PathValue("order_id"), r.PathValue("refund_no"), order.Actor("staff:"+who)
	var done order.Refund
	switch r.PathValue("decision") {
	case "approve":
		// From here on the money may move. The reviewer repeats the amount: a stale screen is
		// refused. The poller sends the refund at once; its outcome is not known yet when this
		// answers.
		done, err = w.svc.Approve(ctx, refund.ApproveParams{Ref: refund.Ref{OrderID: id, RefundNo: no}, Amount: in.Amount, Note: in.Note, Actor: by})
	case "reject":
		done, err = w.svc.Reject(ctx, refund.RejectParams{Ref: refund.Ref{OrderID: id, RefundNo: no}, Note: in.Note, Actor: by})
	case "retry":
		// A failed refund is sent again under its number, for example once the balance is topped
		// up.
		done, err = w.svc.Retry(ctx, refund.RetryParams{Ref: refund.Ref{OrderID: id, RefundNo: no}, Note: in.Note, Actor: by})
	case "abandon":
		// Given up, once WeChat Pay has said again that it will not pay it.
		done, err = w.svc.Abandon(ctx, refund.AbandonParams{Ref: refund.Ref{OrderID: id, RefundNo: no}, Note: in.Note, Actor: by})
	case "resolve":
		// How an abnormal or stuck refund ended outside: an operator's word, with evidence.
		done, err = w.svc.Resolve(ctx, refund.ResolveParams{Ref: refund.Ref{OrderID: id, RefundNo: no}, Resolution: in.Resolution, Evidence: in.Evidence, Actor: by})
	default:
		err = fmt.Errorf("%w: approve, reject, retry, abandon or resolve", errRequest)
	}
	return http.StatusOK, viewForStaff(id, done), err
}
