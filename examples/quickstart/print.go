package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

// yuan formats fen as yuan. It does not use floating point.
func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

func printTimeline(out io.Writer, o *order.Order) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    TIME (UTC)\tEVENT\tREFUND\tFROM → TO\tYUAN\tBY\tNOTE")
	for _, t := range o.History {
		r := o.Refund(t.RefundNo)
		note := t.Note
		if t.Event == order.EventRequestRefund {
			note = r.Reason
		}
		fmt.Fprintf(w, "    %s\t%s\t%s\t%s → %s\t%s\t%s\t%s\n", t.At.Format("01-02 15:04:05"), t.Event, t.RefundNo,
			t.From, t.To, yuan(r.Amount), t.Actor, note)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "    order %s: %s, refunded %s of %s yuan\n", o.ID, o.State, yuan(o.Refunded), yuan(o.Total))
}

// compare prints what WeChat Pay paid and what is booked. It returns an error if they differ.
func (s *shop) compare(ctx context.Context, ids []string) error {
	fmt.Fprintln(s.out, "\nWhat WeChat Pay's ledger says against what is booked:")
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    ORDER\tPAID OUT\tBOOKED\tPAYMENTS PER REFUND")
	var errs []error
	for _, id := range ids {
		o, err := s.svc.Order(ctx, id)
		if err != nil {
			return err
		}
		paid, times := s.sim.PaidTotal(id), ""
		for _, e := range s.sim.Ledger() {
			if e.OutTradeNo == id {
				times += fmt.Sprintf("%s: %d  ", e.OutRefundNo, e.Payments)
				errs = append(errs, once(e))
			}
		}
		fmt.Fprintf(w, "    %s\t%s\t%s\t%s\n", id, yuan(paid), yuan(o.Refunded), times)
		if paid != o.Refunded {
			errs = append(errs, fmt.Errorf("order %s: paid %s yuan, booked %s", id, yuan(paid), yuan(o.Refunded)))
		}
	}
	_ = w.Flush()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "Ledger and book agree: every refund was paid once.")
	return nil
}

func once(e wechattest.Entry) error {
	if e.Payments != 1 {
		return fmt.Errorf("refund %s was paid %d times", e.OutRefundNo, e.Payments)
	}
	return nil
}
