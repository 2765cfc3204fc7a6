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
	// Code and Message are from the provider's last answer. If they are not empty, a person must
	// act or wait.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func viewForStaff(orderID string, r order.Refund) staffsView {
	return staffsView{
		OrderID: orderID, RefundNo: r.No, Amount: r.Amount, State: r.State, Reason: r.Reason,
		RequestedBy: r.RequestedBy, RequestedAt: r.RequestedAt, Code: r.Code, Message: r.Message,
	}
}

// listRefunds lists the refunds in review, oldest first. ?state= selects another state, and ?after=
// takes the next of a page.
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

// listStuck lists the refunds that were approved long ago and have no outcome. The poller goes on
// asking about them.
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

// decide carries out a decision on a refund and returns the refund after it.
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
	ctx, id, number, by := r.Context(), r.PathValue("order_id"), r.PathValue("refund_no"), order.Actor("staff:"+who)
	var done order.Refund
	switch r.PathValue("decision") {
	case "approve":
		// From here on the money may move. The reviewer repeats the amount, so that Approve can
		// refuse a stale screen. The poller sends the refund at once. Its outcome is not known yet
		// in this answer.
		done, err = w.svc.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: in.Amount, Note: in.Note,
			Actor: by,
		})
	case "reject":
		done, err = w.svc.Reject(ctx, refund.RejectParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Note: in.Note, Actor: by,
		})
	case "retry":
		// A failed refund is sent again under its number, for example after the merchant has topped
		// up the balance.
		done, err = w.svc.Retry(ctx, refund.RetryParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Note: in.Note, Actor: by,
		})
	case "abandon":
		// The shop gives the refund up after WeChat Pay has confirmed that it will not pay.
		done, err = w.svc.Abandon(ctx, refund.AbandonParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Note: in.Note, Actor: by,
		})
	case "resolve":
		// An operator reports, with evidence, how an abnormal or stuck refund ended elsewhere.
		done, err = w.svc.Resolve(ctx, refund.ResolveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Resolution: in.Resolution,
			Evidence: in.Evidence, Actor: by,
		})
	default:
		err = fmt.Errorf("%w: the decision must be approve, reject, retry, abandon or resolve", errRequest)
	}
	return http.StatusOK, viewForStaff(id, done), err
}
