package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// reviewed are the bugs that a review of this module itself found, or bugs like them.
func reviewed() []bug {
	return slices.Concat(doubts(), clockBugs(), denials(), []bug{
		{name: "provider's words are not cut", store: changing(nil, func(w *world, was, o *order.Order) {
			h := &w.cur.heard
			r := o.Refund(h.no)
			if r != nil && h.Outcome != refund.OutcomeUnknown && *r != *was.Refund(h.no) {
				r.ProviderRefundID, r.Code, r.Message = h.ProviderRefundID, h.Code, h.Message
			}
		})},
		{name: "hook's error is ignored", store: ignoring(errFault)},
		{name: "hook's panic is ignored", store: ignoring(refund.ErrHookPanic)},
		{name: "goroutine that ends commits half", under: halfway},
		{name: "refusal of a resent request", trustsResent: true},
		{name: "person's word is the provider's", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				if r := &o.Refunds[i]; r.State == order.StateRefunded && r.ConfirmedAt.IsZero() {
					r.ConfirmedAt = w.clock(w.cur.proc)
				}
			}
		}, nil)},
		{name: "alert that a process takes with it", store: changing(nil, confirming)},
		{name: "paid twice is reported twice", store: changing(nil, unconfirmed)},
		{name: "every payment is taken for a second one", store: changing(unconfirmedBefore, nil)},
		{name: "stale acceptance is believed", store: reviving},
		{name: "busy provider is not left alone", store: changing(nil, func(w *world, _, o *order.Order) {
			r := o.Refund(w.cur.lease.no)
			if r != nil && w.cur.busy != nil && r.State == order.StateApproved {
				r.NextAttemptAt = w.clock(w.cur.proc).Add(5 * time.Second)
			}
		})},
	})
}

// doubts are wrong ways to deal with a COMMIT whose answer is lost.
func doubts() []bug {
	// What others have committed is taken for the update's own: a lease adds nothing to the
	// history.
	newer := func(was, is, now *order.Order) bool {
		n := len(is.History)
		return now.Version > was.Version && len(now.History) >= n &&
			slices.Equal(now.History[:n], is.History)
	}
	return []bug{
		{name: "any newer version proves a COMMIT", proof: newer},
		{
			name: "any newer version proves a COMMIT, and what has ended is paid", proof: newer,
			ignore: []string{
				"left_waiting", "sent_without_lease", "late_send", "two_in_flight", "acceptance_lost",
				"alerted_twice",
			},
		},
		{name: "doubt is success", store: func(_ *world, inner refund.Store) refund.Store {
			return book{Store: inner, update: func(ctx context.Context, id string,
				fn updateFunc,
			) error {
				if err := inner.Update(ctx, id, fn); !errors.Is(err, errDoubt) {
					return err
				}
				return nil
			}}
		}},
		{name: "doubt is hidden", store: func(_ *world, inner refund.Store) refund.Store {
			return book{Store: inner, update: func(ctx context.Context, id string,
				fn updateFunc,
			) error {
				err := inner.Update(ctx, id, fn)
				if errors.Is(err, errDoubt) {
					return errors.New("rolled back")
				}
				return err
			}}
		}},
	}
}

// clockBugs accept every time in the future.
func clockBugs() []bug {
	near := func(t *time.Time, w *world, most time.Duration) {
		if now := w.clock(w.cur.proc); t.Sub(now) > most {
			*t = now.Add(lease)
		}
	}
	return []bug{
		{name: "next attempt in the future is believed", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				near(&o.Refunds[i].NextAttemptAt, w, maxWait)
			}
		}, nil)},
		{name: "lease in the future is believed", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				near(&o.Refunds[i].LeasedUntil, w, 2*lease)
			}
		}, nil)},
		{name: "approval in the future is not stuck", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				if r, now := &o.Refunds[i], w.clock(w.cur.proc); r.ApprovedAt.After(now) {
					r.ApprovedAt = now
				}
			}
		}, nil)},
		{name: "approval in the future is not listed as stuck", store: unlisting},
		{name: "refusal in the future is believed", store: refusedLater},
		{name: "due in the future is not listed", store: onlyPast},
	}
}

// unlisting leaves out what was approved in the future.
func unlisting(_ *world, inner refund.Store) refund.Store {
	return book{Store: inner, list: func(ctx context.Context, f refund.Filter) (refund.Page,
		error,
	) {
		p, err := inner.ListRefunds(ctx, f)
		p.Entries = slices.DeleteFunc(p.Entries, func(e refund.Entry) bool {
			return e.Refund.ApprovedAt.Sub(epoch()) > 24*time.Hour
		})
		return p, err
	}}
}

// onlyPast lists what is due by its time alone.
func onlyPast(_ *world, inner refund.Store) refund.Store {
	return book{Store: inner, due: func(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund,
		error,
	) {
		q.Beyond = time.Time{}
		return inner.Due(ctx, q)
	}}
}

// refusedLater accepts that a refusal was booked in the future, and waits for the quiet period
// after it.
func refusedLater(w *world, inner refund.Store) refund.Store {
	return book{Store: inner, update: func(ctx context.Context, id string, fn updateFunc) error {
		return inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
			now := w.clock(w.cur.proc).Truncate(time.Microsecond)
			later := map[string]time.Time{}
			for i := range o.Refunds {
				if r := &o.Refunds[i]; r.DeclinedAt.After(now) {
					later[r.No], r.DeclinedAt = r.DeclinedAt, now
				}
			}
			err := fn(ctx, o)
			for no, at := range later {
				if r := o.Refund(no); r.DeclinedAt.Equal(now) {
					r.DeclinedAt = at
				}
			}
			return err
		})
	}}
}

// denials are wrong ways to deal with a provider that denies what it has accepted.
func denials() []bug {
	return []bug{
		{name: "denial is believed", gate: answering(believing)},
		{name: "sent again after it was accepted", store: changing(func(_ *world, o *order.Order) {
			for i := range o.Refunds {
				o.Refunds[i].AcceptedAt = time.Time{}
			}
		}, nil)},
		{name: "nobody hears of a denial", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				if r := &o.Refunds[i]; !r.DeclinedAt.IsZero() && !r.AcceptedAt.IsZero() {
					r.DeclinedAt = w.clock(w.cur.proc)
				}
			}
		}, nil)},
		{name: "denial is reported each time", store: changing(func(_ *world, o *order.Order) {
			for i := range o.Refunds {
				if r := &o.Refunds[i]; !r.AcceptedAt.IsZero() {
					r.Message = ""
				}
			}
		}, nil)},
	}
}

// believing takes a denial for a refund that was closed.
func believing(w *world, res refund.Result, err error) (refund.Result, error) {
	if b := w.prov.books[w.cur.heard.no]; b != nil && w.cur.heard.denied && err == nil {
		res.Outcome, res.RefundNo, res.Amount = refund.OutcomeClosed, b.no, b.amount
	}
	return res, err
}

// confirming notes that an alert was given before it is.
func confirming(w *world, _, o *order.Order) {
	h := &w.cur.heard
	r := o.Refund(h.no)
	if r != nil && r.State == order.StateRefunded && h.Outcome == refund.OutcomeSucceeded {
		r.ConfirmedAt = w.clock(w.cur.proc)
	}
}

// ignoring commits an update although its hook failed with such an error.
func ignoring(target error) func(*world, refund.Store) refund.Store {
	return func(_ *world, inner refund.Store) refund.Store {
		return book{Store: inner, update: func(ctx context.Context, id string,
			fn updateFunc,
		) error {
			var failed error
			err := inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
				failed = fn(ctx, o)
				if errors.Is(failed, target) {
					return nil
				}
				return failed
			})
			return errors.Join(err, failed)
		}}
	}
}

// halfway is a store that commits what an update has done when its goroutine ends.
func halfway(w *world, inner refund.Store) refund.Store {
	return book{Store: inner, update: func(ctx context.Context, id string, fn updateFunc) error {
		var half *order.Order
		ended := false
		defer func() {
			if ended || half == nil {
				return
			}
			_ = w.mem.Update(context.Background(), id,
				func(_ context.Context, o *order.Order) error {
					*o = *half
					return nil
				})
		}()
		err := inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
			half = o
			return fn(ctx, o)
		})
		ended = true
		return err
	}}
}

// unconfirmed forgets that the provider has confirmed what a person had recorded as paid.
func unconfirmed(w *world, _, o *order.Order) {
	for i := range o.Refunds {
		if r := &o.Refunds[i]; w.check.byPerson[r.No] {
			r.ConfirmedAt = time.Time{}
		}
	}
}

// unconfirmedBefore takes all that is paid for a person's word.
func unconfirmedBefore(_ *world, o *order.Order) {
	for i := range o.Refunds {
		o.Refunds[i].ConfirmedAt = time.Time{}
	}
}

// reviving adopts what the provider has said to have accepted, however old that is.
func reviving(w *world, inner refund.Store) refund.Store {
	return book{Store: inner, update: func(ctx context.Context, id string, fn updateFunc) error {
		return inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
			err := fn(ctx, o)
			h := &w.cur.heard
			r := o.Refund(h.no)
			if err == nil || r == nil || h.Outcome != refund.OutcomeAccepted ||
				r.State == order.StateApproved || r.State == order.StateRefunded {
				return err
			}
			w.force(o, r, order.EventAdopt)
			return nil
		})
	}}
}
