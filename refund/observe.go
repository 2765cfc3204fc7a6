package refund

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
)

// maxAsks bounds how often observe asks about one refund.
const maxAsks = 3

// errOvertaken is returned if the book changed during each question: no answer was recorded.
var errOvertaken = fmt.Errorf("the refund changed while it was asked about: %w", order.ErrConflict)

// observe asks the provider about refund seen of o, outside Process, and records the answer. It
// returns the refund as the book had it when the question was asked. The error is the store's; the
// provider's is in the answer.
func (s *Service) observe(
	ctx context.Context, op string, o *order.Order, seen *order.Refund,
) (answer, order.Refund, error) {
	for asked := 1; ; asked++ {
		ans, again, err := s.askOnce(ctx, op, o, seen)
		if err != nil || !again {
			return ans, *seen, err
		}
		if asked == maxAsks {
			ans.err = errOvertaken
			return ans, *seen, nil
		}
		if o, err = s.Order(ctx, o.ID); err != nil {
			return ans, *seen, err
		}
		if seen = o.Refund(seen.No); seen == nil {
			return ans, order.Refund{}, order.ErrRefundNotFound
		}
	}
}

// askOnce asks and records once. again reports that the answer may be older than the book.
func (s *Service) askOnce(
	ctx context.Context, op string, o *order.Order, seen *order.Refund,
) (ans answer, again bool, err error) {
	q := &question{req: newRequest(o, seen), seen: *seen}
	call, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	res, err := s.query(call, q.req)
	cancel()
	ans = answer{res: res, err: err, queried: true}
	_, again, err = s.commitAnswer(ctx, op, o.ID, q, ans)
	return ans, again, err
}

// commitAnswer records an answer in one Update, even if ctx has ended: the answer is a fact,
// whether or not the caller still waits for it. It returns the order as it is then.
func (s *Service) commitAnswer(
	ctx context.Context, op, orderID string, q *question, ans answer,
) (o *order.Order, again bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Lease)
	defer cancel()
	ref := Ref{OrderID: orderID, RefundNo: q.seen.No}
	err = s.update(ctx, op, ref, func(ctx context.Context, u *update) (err error) {
		o = u.order
		again, err = u.recordAnswer(ctx, op, q, ans)
		return err
	})
	return o, again, err
}
