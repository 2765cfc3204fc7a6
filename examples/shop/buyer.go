package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// placeOrder records a paid order. The client chooses its number, which makes the request
// idempotent.
func (w *web) placeOrder(r *http.Request, who string) (int, any, error) {
	in, err := decode[struct {
		OrderID string `json:"order_id"`
		Items   []struct {
			SKU      string `json:"sku"`
			Quantity int64  `json:"quantity"`
		} `json:"items"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	var want []item
	for _, it := range in.Items {
		if !isName(it.SKU) || it.Quantity < 1 || it.Quantity > 1000 ||
			slices.ContainsFunc(want, func(w item) bool { return w.SKU == it.SKU }) {
			return 0, nil, fmt.Errorf("%w: items: each sku must appear once, with a quantity from 1 to 1000", errRequest)
		}
		want = append(want, item{SKU: it.SKU, Quantity: it.Quantity})
	}
	if !orderForm.MatchString(in.OrderID) || len(want) == 0 || len(want) > 100 {
		return 0, nil, fmt.Errorf("%w: order_id must be 1 to 32 of A-Z, 0-9 and -; items must be 1 to 100", errRequest)
	}
	if err := w.shop.place(r.Context(), who, in.OrderID, want); err != nil {
		return 0, nil, err
	}
	return w.orderView(r, http.StatusCreated, in.OrderID)
}

func (w *web) showOrder(r *http.Request, _ string) (int, any, error) {
	return w.orderView(r, http.StatusOK, r.PathValue("order_id"))
}

// requestRefund requests a refund for some items. Idempotency-Key is the client's name for the
// refund.
func (w *web) requestRefund(r *http.Request, who string) (int, any, error) {
	in, err := decode[struct {
		SKUs   []string `json:"skus"`
		Reason string   `json:"reason"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	key := r.Header.Get("Idempotency-Key")
	slices.Sort(in.SKUs)
	isRepeated := len(slices.Compact(slices.Clone(in.SKUs))) != len(in.SKUs)
	if !isName(key) || len(in.SKUs) == 0 || isRepeated {
		return 0, nil, fmt.Errorf("%w: Idempotency-Key must be 1 to 31 of A-Z, a-z, 0-9, _ and -; skus must have at least one item, each once", errRequest)
	}
	made, err := w.shop.requestRefund(r.Context(), who, r.PathValue("order_id"), key, in.SKUs, in.Reason)
	return http.StatusAccepted, viewForBuyer(made), err
}

// cancelRefund withdraws a refund that the merchant has not approved yet.
func (w *web) cancelRefund(r *http.Request, who string) (int, any, error) {
	gone, err := w.svc.Cancel(r.Context(), refund.CancelParams{
		Ref:   refund.Ref{OrderID: r.PathValue("order_id"), RefundNo: r.PathValue("refund_no")},
		Actor: order.Actor("buyer:" + who),
	})
	return http.StatusOK, viewForBuyer(gone), err
}

// buyersView is the part of a refund that a buyer may see. The provider's code and message are only
// for operators.
type buyersView struct {
	RefundNo string      `json:"refund_no"`
	Amount   int64       `json:"amount"`
	State    order.State `json:"state"`
	Reason   string      `json:"reason"`
	Note     string      `json:"note,omitempty"`
}

func viewForBuyer(r order.Refund) buyersView {
	v := buyersView{RefundNo: r.No, Amount: r.Amount, State: r.State, Reason: r.Reason}
	if r.State == order.StateRejected {
		v.Note = r.ReviewNote
	}
	return v
}

func (w *web) orderView(r *http.Request, code int, id string) (int, any, error) {
	ctx := r.Context()
	o, err := w.svc.Order(ctx, id)
	if err != nil {
		return 0, nil, err
	}
	items, err := w.shop.items(ctx, id, false)
	if err != nil {
		return 0, nil, err
	}
	messages, err := w.shop.messages(ctx, id)
	if err != nil {
		return 0, nil, err
	}
	v := struct {
		OrderID  string       `json:"order_id"`
		State    order.State  `json:"state"`
		Total    int64        `json:"total"`
		Refunded int64        `json:"refunded"`
		Items    []item       `json:"items"`
		Refunds  []buyersView `json:"refunds"`
		Messages []string     `json:"messages"`
	}{o.ID, o.State, o.Total, o.Refunded, items, []buyersView{}, messages}
	for _, ref := range o.Refunds {
		v.Refunds = append(v.Refunds, viewForBuyer(ref))
	}
	return code, v, nil
}
