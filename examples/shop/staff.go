package main

import (
	"encoding/base64"
	"encoding/json"
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
	// Code and Message are the provider's last words; where they are not empty, somebody has to act or wait.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func viewForStaff(orderID string, r order.Refund) staffsView {
	return staffsView{
		OrderID: orderID, RefundNo: r.No, Amount: r.Amount, State: r.State, Reason: r.Reason,
		RequestedBy: r.RequestedBy, RequestedAt: r.RequestedAt, Code: r.Code, Message: r.Message,
	}
}

// listRefunds is the review queue: oldest first, or with ?state= any other list; ?after= is the next of a page.
func (w *web) listRefunds(r *http.Request, _ string) (int, any, error) {
	f, err := filter(r)
	if err != nil {
		return 0, nil, err
	}
	f.States = []order.State{order.StateRefundRequested}
	if s := r.FormValue("state"); s != "" {
		f.States = []order.State{order.State(s)}
	}
	p, err := w.svc.List(r.Context(), f)
	return http.StatusOK, pageView(p), err
}

// listStuck is what has been approved for long and has no outcome. It goes on being asked about by itself.
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
		text, err := base64.RawURLEncoding.DecodeString(after)
		if err == nil {
			err = json.Unmarshal(text, &f.After)
		}
		if err != nil {
			return f, fmt.Errorf("%w: after is not the next of a page", errRequest)
		}
	}
	return f, nil
}

func pageView(p refund.Page) any {
	v := struct {
		Refunds []staffsView `json:"refunds"`
		Next    string       `json:"next,omitempty"`
	}{Refunds: []staffsView{}}
	for _, e := range p.Entries {
		one := viewForStaff(e.OrderID, e.Refund)
		one.Currency, one.Total = e.Currency, e.Total
		v.Refunds = append(v.Refunds, one)
	}
	if p.Next != nil {
		text, _ := json.Marshal(p.Next) // texts and a time
		v.Next = base64.RawURLEncoding.EncodeToString(text)
	}
	return v
}

type decision struct {
	Amount   int64  `json:"amount"`
	Note     string `json:"note"`
	Outcome  string `json:"outcome"`
	Evidence string `json:"evidence"`
}

// decide reads a decision and answers with the refund as it is after it.
func decide(r *http.Request, who string, do func(id, no string, by order.Actor, d decision) (order.Refund, error)) (int, any, error) {
	d, err := decode[decision](r)
	if err != nil {
		return 0, nil, err
	}
	id := r.PathValue("order_id")
	done, err := do(id, r.PathValue("refund_no"), order.Actor("staff:"+who), d)
	return http.StatusOK, viewForStaff(id, done), err
}

// approve lets the money move. The reviewer repeats the amount: an approval of a stale screen is refused. The
// poller sends the refund at once; its outcome is not known yet when this answers.
func (w *web) approve(r *http.Request, who string) (int, any, error) {
	return decide(r, who, func(id, no string, by order.Actor, d decision) (order.Refund, error) {
		return w.svc.Approve(r.Context(), refund.ApproveParams{OrderID: id, RefundNo: no, Amount: d.Amount, Note: d.Note, Actor: by})
	})
}

func (w *web) reject(r *http.Request, who string) (int, any, error) {
	return decide(r, who, func(id, no string, by order.Actor, d decision) (order.Refund, error) {
		return w.svc.Reject(r.Context(), refund.RejectParams{OrderID: id, RefundNo: no, Note: d.Note, Actor: by})
	})
}

// retry sends a failed refund again under the same number, for example once the balance is topped up.
func (w *web) retry(r *http.Request, who string) (int, any, error) {
	return decide(r, who, func(id, no string, by order.Actor, d decision) (order.Refund, error) {
		return w.svc.Retry(r.Context(), refund.RetryParams{OrderID: id, RefundNo: no, Note: d.Note, Actor: by})
	})
}

// abandon gives a failed refund up, once WeChat Pay has said again that it will not pay it.
func (w *web) abandon(r *http.Request, who string) (int, any, error) {
	return decide(r, who, func(id, no string, by order.Actor, d decision) (order.Refund, error) {
		return w.svc.Abandon(r.Context(), refund.AbandonParams{OrderID: id, RefundNo: no, Note: d.Note, Actor: by})
	})
}

// resolve records how an abnormal or stuck refund ended outside: an operator's word, with evidence.
func (w *web) resolve(r *http.Request, who string) (int, any, error) {
	return decide(r, who, func(id, no string, by order.Actor, d decision) (order.Refund, error) {
		var outcome refund.Outcome
		switch d.Outcome {
		case "succeeded":
			outcome = refund.OutcomeSucceeded
		case "closed":
			outcome = refund.OutcomeClosed
		}
		return w.svc.Resolve(r.Context(), refund.ResolveParams{OrderID: id, RefundNo: no, Outcome: outcome, Evidence: d.Evidence, Actor: by})
	})
}
