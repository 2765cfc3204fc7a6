package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// client is the gateway to the bank. It has the bug of the bank.
type client struct {
	*bank
	mu    sync.Mutex
	calls int
	last  refund.Request
}

func (c *client) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	m := message{number: req.RefundNo, orderID: req.OrderID, amount: req.Amount}
	switch c.bug {
	case "ignores contexts":
		ctx = context.Background()
	case "accepts without sending":
		return accepted(req), nil
	case "a new number for each call":
		c.mu.Lock()
		c.calls++
		m.number += fmt.Sprintf("-%d", c.calls)
		c.mu.Unlock()
	case "one request for all":
		c.mu.Lock()
		c.last = req
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		req = c.last
		c.mu.Unlock()
		m = message{number: req.RefundNo, orderID: req.OrderID, amount: req.Amount}
	}
	a, err := c.call(ctx, m, c.refund)
	if c.bug == "a new number for each call" && a.number == m.number {
		a.number = req.RefundNo
	}
	if err != nil {
		return c.failed(req, err)
	}
	if a.code != "" {
		return c.refused(req, a)
	}
	res, err := c.read(req, a)
	if err == nil && c.is("accepted is success") && res.Outcome == refund.OutcomeAccepted {
		res.Outcome = refund.OutcomeSucceeded
	}
	return res, err
}

func accepted(req refund.Request) refund.Result {
	return refund.Result{
		Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, Amount: req.Amount,
	}
}

// refused returns the result of a refusal.
func (c *client) refused(req refund.Request, a message) (refund.Result, error) {
	switch {
	case c.is("a refusal is an error"):
		return refund.Result{}, errors.New(a.code)
	case c.is("a refusal without its code"):
		a.code = ""
	case c.is("a refusal is not-found"):
		return refund.Result{Outcome: refund.OutcomeNotFound, Code: a.code}, nil
	case c.is("too much is accepted") && a.code == "TOO_MUCH",
		c.is("other terms are accepted") && a.code == "OTHER_TERMS":
		return accepted(req), nil
	}
	return refund.Result{Outcome: refund.OutcomeDeclined, Code: a.code}, nil
}

// failed returns the result of a call that failed.
func (c *client) failed(req refund.Request, err error) (refund.Result, error) {
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case c.is("a lost answer is a refusal"), c.is("a time-out is a refusal") && late:
		return refund.Result{Outcome: refund.OutcomeDeclined, Code: err.Error()}, nil
	case c.is("a lost answer is accepted"):
		return accepted(req), nil
	case c.is("a lost answer is not sent"):
		return refund.Result{}, fmt.Errorf("%w: %w", refund.ErrNotSent, err)
	case c.is("a lost answer is nothing"):
		return refund.Result{}, nil
	case c.is("hides the cause"):
		return refund.Result{}, errors.New(err.Error())
	}
	return refund.Result{}, err
}

func (c *client) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	if c.is("ignores contexts") {
		ctx = context.Background()
	}
	a, err := c.call(ctx, message{number: req.RefundNo}, c.find)
	switch {
	case err != nil && c.is("a lost query is not-found"),
		a.status == "<html>" && c.is("a garbled query is not-found"):
		return refund.Result{Outcome: refund.OutcomeNotFound}, nil
	case err != nil && c.is("a late query is closed") && errors.Is(err, context.DeadlineExceeded):
		res := accepted(req)
		res.Outcome = refund.OutcomeClosed
		return res, nil
	case err != nil:
		return refund.Result{}, err
	case a.code != "" && c.is("not-found is an error"):
		return refund.Result{}, errors.New(a.code)
	case a.code != "" && c.is("not-found is a refusal"):
		return refund.Result{Outcome: refund.OutcomeDeclined, Code: a.code}, nil
	case a.code != "":
		return refund.Result{Outcome: refund.OutcomeNotFound, Code: a.code}, nil
	}
	return c.read(req, a)
}

// read returns the result of an answer that is not a refusal.
func (c *client) read(req refund.Request, a message) (refund.Result, error) {
	outcome, ok := map[string]refund.Outcome{
		"processing": refund.OutcomeAccepted, "paid": refund.OutcomeSucceeded,
		"abnormal": refund.OutcomeAbnormal, "closed": refund.OutcomeClosed,
	}[a.status]
	if !ok {
		switch c.bug {
		case "garbage is a refusal":
			return refund.Result{Outcome: refund.OutcomeDeclined, Code: "GARBAGE"}, nil
		case "garbage is accepted":
			return accepted(req), nil
		}
		return refund.Result{}, fmt.Errorf("unknown status of refund %s", req.RefundNo)
	}
	if a.number != req.RefundNo && !c.is("believes any number") {
		return refund.Result{}, &refund.MismatchError{
			Field: "refund_no", Want: req.RefundNo, Got: a.number,
		}
	}
	if a.amount != req.Amount && !c.is("believes any amount") {
		return refund.Result{}, &refund.MismatchError{
			Field: "amount", Want: fmt.Sprint(req.Amount), Got: fmt.Sprint(a.amount),
		}
	}
	switch {
	case c.is("abnormal is success") && outcome == refund.OutcomeAbnormal,
		c.is("closed is success") && outcome == refund.OutcomeClosed:
		outcome = refund.OutcomeSucceeded
	case c.is("abnormal is closed") && outcome == refund.OutcomeAbnormal:
		outcome = refund.OutcomeClosed
	}
	res := refund.Result{
		Outcome: outcome, RefundNo: req.RefundNo, OrderID: a.orderID, Amount: req.Amount,
		ProviderRefundID: a.id,
	}
	switch {
	case c.is("forgets the amount"):
		res.Amount = 0
	case c.is("names the order by its own number"):
		res.OrderID = "bank-" + a.orderID
	case outcome == refund.OutcomeSucceeded && c.is("local times"):
		res.RefundedAt = time.Date(2026, 1, 2, 11, 0, 0, 0, time.FixedZone("UTC+8", 8*60*60))
	case outcome == refund.OutcomeSucceeded:
		res.RefundedAt = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	case c.is("a number that is too long"):
		res.ProviderRefundID = strings.Repeat("7", order.MaxCode+1)
	case c.is("a new number each time"):
		c.mu.Lock()
		c.calls++
		res.ProviderRefundID = fmt.Sprint(c.calls)
		c.mu.Unlock()
	}
	return res, nil
}

// list is the client with refund.Lister.
type list struct{ *client }

func (l list) List(_ context.Context, req refund.Request) ([]refund.Result, error) {
	l.bank.mu.Lock()
	defer l.bank.mu.Unlock()
	var all []refund.Result
	for _, s := range l.slips {
		if s.orderID != req.OrderID && !l.is("lists every order") || s.status != "paid" &&
			l.is("lists only what was paid") {
			continue
		}
		one := req
		one.RefundNo, one.Amount = s.number, s.amount
		res, err := l.read(one, s.message())
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}
