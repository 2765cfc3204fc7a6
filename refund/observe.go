package refund

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
)

// maxAsks bounds how often observe asks again because the book has moved on.
const maxAsks = 3

// errOvertaken is returned if the book moved on every time that the provider was asked, so that no
// answer was taken in.
var errOvertaken = fmt.Errorf("the refund changed while it was asked about: %w", ErrConflict)

// observe asks the provider about refund seen of o, outside Process, and records the answer. It returns the refund as
// the book had it when the question was asked. The error is the store's; the provider's is in the answer.
func (s *Service) observe(ctx context.Context, op string, o *order.Order, seen *order.Refund) (answer, order.Refund, error) {
	for look := 1; ; look++ {
		ans, again, err := s.askOnce(ctx, op, o, seen)
		if err != nil || !again {
			return ans, *seen, err
		}
		if look == maxAsks {
			ans.err = errOvertaken
			return ans, *seen, nil
		}
		if o, err = s.Order(ctx, o.ID); err != nil {
			return ans, *seen, err
		}
		if seen = o.Refund(seen.No); seen == nil {
			return ans, order.Refund{}, ErrRefundNotFound
		}
	}
}

// askOnce asks once.
func (s *Service) askOnce(ctx context.Context, op string, o *order.Order, seen *order.Refund) (ans answer, again bool, err error) {
	q := &question{req: newRequest(o, seen), seen: *seen}
	call, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	res, err := s.query(call, q.req)
	cancel()
	ans = answer{res: res, err: err, queried: true}
	// What the provider said is a fact, whether or not the caller still waits for it.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.opt.Lease)
	defer cancel()
	err = s.update(ctx, op, Ref{OrderID: o.ID, RefundNo: seen.No}, func(ctx context.Context, u *update) error {
		_, err := u.refund(op, seen.No)
		if err != nil {
			return err
		}
		again, err = u.recordAnswer(ctx, seen.No, q, ans)
		return err
	})
	return ans, again, err
}
