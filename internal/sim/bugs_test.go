package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// bugs are deliberate ones: what the systems that this module learned from do wrong, put between
// the Service and its store or gateway. Each must break a rule.
func bugs() []bug {
	return []bug{
		{name: "lease not taken", store: changing(nil, func(w *world, was, o *order.Order) {
			for i := range o.Refunds {
				if r := &o.Refunds[i]; leasedNow(was, r) {
					r.LeasedUntil, r.NextAttemptAt = time.Time{}, r.SubmittedAt
				}
			}
		})},
		{name: "two refunds in flight per order", store: changing(func(w *world, o *order.Order) {
			for i := range o.Refunds {
				o.Refunds[i].LeasedUntil = time.Time{}
			}
		}, nil)},
		{name: "new number on retry", ignore: []string{"sent_without_lease"}, gate: renumbering},
		{name: "other amount on retry", gate: func(_ *world, inner refund.RefundGateway) refund.RefundGateway {
			sent := map[string]bool{}
			return gate{
				RefundGateway: inner,
				refund: func(ctx context.Context, req refund.Request) (refund.Result, error) {
					if sent[req.RefundNo] {
						req.Amount--
					}
					sent[req.RefundNo] = true
					res, err := inner.Refund(ctx, req)
					if res.Amount != 0 && sent[req.RefundNo] {
						res.Amount = req.Amount
					}
					return res, err
				},
			}
		}},
		{name: "error is failure", gate: answering(func(_ *world, res refund.Result,
			err error,
		) (refund.Result, error) {
			if err != nil && !errors.Is(err, refund.ErrSetup) {
				return refund.Result{Outcome: refund.OutcomeDeclined, Code: "ERROR"}, nil
			}
			return res, err
		})},
		{name: "any error is called not sent", gate: answering(func(_ *world, res refund.Result,
			err error,
		) (refund.Result, error) {
			if err != nil {
				err = fmt.Errorf("%w: %w", refund.ErrNotSent, err)
			}
			return res, err
		})},
		{name: "not found is failure", gate: answering(func(_ *world, res refund.Result,
			err error,
		) (refund.Result, error) {
			if err == nil && res.Outcome == refund.OutcomeNotFound {
				res.Outcome = refund.OutcomeDeclined
			}
			return res, err
		})},
		{name: "accepted is success", gate: answering(func(_ *world, res refund.Result,
			err error,
		) (refund.Result, error) {
			if err == nil && res.Outcome == refund.OutcomeAccepted {
				res.Outcome = refund.OutcomeSucceeded
			}
			return res, err
		})},
		{name: "change is failure", gate: answering(func(_ *world, res refund.Result,
			err error,
		) (refund.Result, error) {
			if err == nil && res.Outcome == refund.OutcomeAbnormal {
				res.Outcome = refund.OutcomeClosed
			}
			return res, err
		})},
		{name: "notification trusted", gate: func(w *world, inner refund.RefundGateway) refund.RefundGateway {
			return gate{
				RefundGateway: inner,
				query: func(ctx context.Context, req refund.Request) (refund.Result, error) {
					if n := w.cur.claim; n != nil {
						return n.Result, nil
					}
					return inner.Query(ctx, req)
				},
			}
		}},
		{name: "reservation released early", store: changing(nil, func(_ *world, was, o *order.Order) {
			for i := range o.Refunds {
				if r := &o.Refunds[i]; leasedNow(was, r) {
					o.Reserved -= r.Amount
				}
			}
		})},
		{name: "cancelled while it is sent", store: changing(func(w *world, o *order.Order) {
			if r := o.Refund(w.cur.op.Refund); r != nil && w.cur.op.Kind == OpCancel {
				r.Outstanding, r.SubmittedAt, r.Retries = false, time.Time{}, 0
			}
		}, nil)},
		{name: "no quiet period after a no", store: changing(nil, func(w *world, was, o *order.Order) {
			for i := range o.Refunds {
				r := &o.Refunds[i]
				if b := was.Refund(r.No); b != nil && b.DeclinedAt.IsZero() &&
					!r.DeclinedAt.IsZero() {
					w.force(o, r, order.EventFail)
				}
			}
		})},
		{name: "failed by age", store: changing(nil, func(w *world, was, o *order.Order) {
			for i := range o.Refunds {
				r := &o.Refunds[i]
				if r.State == order.StateApproved &&
					epoch().Add(w.now).Sub(r.ApprovedAt) > 10*time.Minute {
					w.force(o, r, order.EventFail)
				}
			}
		})},
		{name: "record without re-reading state", store: remembering},
		{name: "update that is not atomic", ignore: []string{"fact_dropped"}, store: func(
			_ *world, inner refund.Store,
		) refund.Store {
			return book{Store: inner, update: func(ctx context.Context, id string,
				fn updateFunc,
			) error {
				o, err := inner.Get(ctx, id)
				if err != nil {
					return err
				}
				if err := fn(ctx, o); err != nil {
					return err
				}
				return inner.Update(ctx, id,
					func(_ context.Context, now *order.Order) error { over(now, o); return nil })
			}}
		}},
		{name: "commit that is lost", store: func(w *world, inner refund.Store) refund.Store {
			n := 0
			return book{Store: inner, update: func(ctx context.Context, id string,
				fn updateFunc,
			) error {
				n++
				err := inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
					if err := fn(ctx, o); err != nil {
						return err
					}
					if n%50 == 0 {
						return errDropped
					}
					return nil
				})
				if errors.Is(err, errDropped) {
					return nil
				}
				return err
			}}
		}},
		{name: "refund forgotten", store: func(_ *world, inner refund.Store) refund.Store {
			return book{Store: inner, due: func(ctx context.Context,
				q refund.DueQuery,
			) ([]refund.DueRefund, error) {
				refs, err := inner.Due(ctx, q)
				for i, ref := range refs { // the worker that had it died, and so did its queue
					o, err := inner.Get(ctx, ref.OrderID)
					if err == nil && o.Refund(ref.RefundNo).Attempts == 2 {
						return append(refs[:i:i], refs[i+1:]...), nil
					}
				}
				return refs, err
			}}
		}},
	}
}

var errDropped = errors.New("dropped")

type updateFunc = func(ctx context.Context, o *order.Order) error

// leasedNow reports whether r was leased by the change that came after was.
func leasedNow(was *order.Order, r *order.Refund) bool {
	b := was.Refund(r.No)
	return b != nil && r.State == order.StateApproved && r.Attempts > b.Attempts
}

// force fires an event that nobody decided.
func (w *world) force(o *order.Order, r *order.Refund, ev order.Event) {
	_, _ = w.machine.Fire(context.Background(), o, order.Trigger{
		Event: ev, RefundNo: r.No, Actor: order.ActorProvider, At: epoch().Add(w.now),
	})
}

// book is a Store of which some methods have a bug.
type book struct {
	refund.Store
	update func(ctx context.Context, id string, fn updateFunc) error
	due    func(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error)
	list   func(ctx context.Context, f refund.Filter) (refund.Page, error)
}

func (b book) Update(
	ctx context.Context, id string, fn func(ctx context.Context, o *order.Order) error,
) error {
	if b.update != nil {
		return b.update(ctx, id, fn)
	}
	return b.Store.Update(ctx, id, fn)
}

func (b book) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if b.due != nil {
		return b.due(ctx, q)
	}
	return b.Store.Due(ctx, q)
}

func (b book) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if b.list != nil {
		return b.list(ctx, f)
	}
	return b.Store.ListRefunds(ctx, f)
}

// changing makes Update change the order before or after the Service does.
func changing(
	before func(w *world, o *order.Order), after func(w *world, was, o *order.Order),
) func(*world, refund.Store) refund.Store {
	return func(w *world, inner refund.Store) refund.Store {
		return book{Store: inner, update: func(ctx context.Context, id string,
			fn updateFunc,
		) error {
			return inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
				if before != nil {
					before(w, o)
				}
				was := o.Clone()
				if err := fn(ctx, o); err != nil {
					return err
				}
				if after != nil {
					after(w, was, o)
				}
				return nil
			})
		}}
	}
}

// over writes o over the order that is stored now, in a history that goes on all the same.
func over(now, o *order.Order) {
	seq := now.Seq
	*now = *o
	for i := range now.History {
		seq++
		now.History[i].Seq = seq
	}
	now.Seq = seq
}

// remembering makes each task continue with the order as it left it.
func remembering(w *world, inner refund.Store) refund.Store {
	known := map[*task]*order.Order{}
	return book{Store: inner, update: func(ctx context.Context, id string, fn updateFunc) error {
		return inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
			if mine := known[w.cur]; mine != nil && mine.ID == id {
				was := mine.Clone()
				was.History = nil
				over(o, was)
			}
			err := fn(ctx, o)
			known[w.cur] = o.Clone()
			return err
		})
	}}
}

// gate is a gateway of which some methods have a bug.
type gate struct {
	refund.RefundGateway
	refund func(ctx context.Context, req refund.Request) (refund.Result, error)
	query  func(ctx context.Context, req refund.Request) (refund.Result, error)
}

func (g gate) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	if g.refund != nil {
		return g.refund(ctx, req)
	}
	return g.RefundGateway.Refund(ctx, req)
}

func (g gate) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	if g.query != nil {
		return g.query(ctx, req)
	}
	return g.RefundGateway.Query(ctx, req)
}

func (g gate) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	return g.RefundGateway.(refund.Lister).List(ctx, req)
}

// answering misreads the provider's answers.
func answering(
	read func(w *world, res refund.Result, err error) (refund.Result, error),
) func(*world, refund.RefundGateway) refund.RefundGateway {
	return func(w *world, inner refund.RefundGateway) refund.RefundGateway {
		return gate{
			RefundGateway: inner,
			refund: func(ctx context.Context, req refund.Request) (refund.Result, error) {
				res, err := inner.Refund(ctx, req)
				return read(w, res, err)
			},
			query: func(ctx context.Context, req refund.Request) (refund.Result, error) {
				res, err := inner.Query(ctx, req)
				return read(w, res, err)
			},
		}
	}
}

// renumbering sends a refund under another number each time, and asks about the newest.
func renumbering(_ *world, inner refund.RefundGateway) refund.RefundGateway {
	sent := map[string]int{}
	alias := func(no string) string {
		if n := sent[no]; n > 1 {
			return no + "-" + string(rune('0'+n%10))
		}
		return no
	}
	back := func(no string, res refund.Result, err error) (refund.Result, error) {
		if res.RefundNo == alias(no) {
			res.RefundNo = no
		}
		return res, err
	}
	return gate{
		RefundGateway: inner,
		refund: func(ctx context.Context, req refund.Request) (refund.Result, error) {
			no := req.RefundNo
			sent[no]++
			req.RefundNo = alias(no)
			res, err := inner.Refund(ctx, req)
			return back(no, res, err)
		},
		query: func(ctx context.Context, req refund.Request) (refund.Result, error) {
			no := req.RefundNo
			req.RefundNo = alias(no)
			res, err := inner.Query(ctx, req)
			return back(no, res, err)
		},
	}
}
