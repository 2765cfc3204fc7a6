package refundtest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/orderfsm/orderfsm/refund"
)

const opRefund, opQuery, opList = "refund", "query", "list"

// Gateway is a payment provider in memory, with a script and a ledger, and the gateway to it. Make
// it with [New]; it is safe for concurrent use.
//
// Without a script it declines a refund number that exists with another order or amount, with code
// OTHER_TERMS, and an amount of 0 or less, or of more than is left of the order's total, with code
// EXCEEDS_TOTAL.
type Gateway struct {
	mu     sync.Mutex
	usual  Step
	script []Step
	choose func(Call) Step // for a call without a step in script; may be nil
	calls  []Call
	ledger map[string]*entry // by refund number
	orders map[string][]*entry
	limits refund.Limits
	check  func(refund.Request) error
}

var (
	_ refund.RefundGateway      = (*Gateway)(nil)
	_ refund.Checker            = (*Gateway)(nil)
	_ refund.Lister             = (*Gateway)(nil)
	_ refund.Limiter            = (*Gateway)(nil)
	_ refund.NotificationReader = (*Gateway)(nil)
)

// entry is one refund at the provider.
type entry struct {
	number, orderID string
	amount          int64
	state           refund.Outcome
	whenAsked       bool // it is paid at the next query
}

func (e *entry) result() refund.Result {
	return refund.Result{
		Outcome: e.state, RefundNo: e.number, OrderID: e.orderID, Amount: e.amount,
		ProviderRefundID: "provider-" + e.number,
	}
}

// New returns a Gateway that pays every refund at once.
func New() *Gateway {
	return &Gateway{usual: Pay(), ledger: map[string]*entry{}, orders: map[string][]*entry{}}
}

// Plain returns g as a gateway without any optional interface.
func (g *Gateway) Plain() refund.RefundGateway { return struct{ refund.RefundGateway }{g} }

// ByDefault sets the step of each Refund for which the script has none. If s is [AsUsual], or
// without ByDefault, it is [Pay].
func (g *Gateway) ByDefault(s Step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.usual() {
		s = s.on(Pay())
	}
	g.usual = s
}

// Next adds steps to the script, one for each coming call of Refund or Query.
func (g *Gateway) Next(steps ...Step) { g.addSteps("", steps) }

// NextRefund adds steps to the script, one for each coming Refund.
func (g *Gateway) NextRefund(steps ...Step) { g.addSteps(opRefund, steps) }

// NextQuery adds steps to the script, one for each coming Query. [Pay], [Accept], [Close] and
// [Abnormal] change the refund just before the answer, if the provider has it and has not paid it.
func (g *Gateway) NextQuery(steps ...Step) { g.addSteps(opQuery, steps) }

// NextList adds steps to the script, one for each coming List. With [Answer], the list has one
// refund. A function of [Step.Rewrite] is called for each refund of the list. [Pay], [Accept],
// [Close] and [Abnormal] do the same as [AsUsual].
func (g *Gateway) NextList(steps ...Step) { g.addSteps(opList, steps) }

func (g *Gateway) addSteps(op string, steps []Step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range steps {
		s.op = op
		g.script = append(g.script, s)
	}
}

// Choose sets a function that chooses the step of each Refund or Query for which the script has
// none. Calls of f may be concurrent. f may call methods of g. If f is nil or returns [AsUsual],
// the call goes as usual.
func (g *Gateway) Choose(f func(Call) Step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.choose = f
}

// Unused returns how many steps of the script no call has taken. It is 0 at the end of a test that
// went as it was written.
func (g *Gateway) Unused() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.script)
}

// Refund implements [refund.RefundGateway].
func (g *Gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.callOne(ctx, opRefund, req, g.submit)
}

// Query implements [refund.RefundGateway].
func (g *Gateway) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.callOne(ctx, opQuery, req, g.find)
}

// callOne is call with one result.
func (g *Gateway) callOne(
	ctx context.Context, op string, req refund.Request,
	do func(req refund.Request, s Step, scripted bool) refund.Result,
) (refund.Result, error) {
	all, err := g.call(ctx, op, req, func(s Step, scripted bool) []refund.Result {
		return []refund.Result{do(req, s, scripted)}
	})
	if err != nil {
		return refund.Result{}, err
	}
	return all[0], nil
}

// call does one call as its step says. do is the provider's side of it, and runs with the lock. The
// functions of the step run without the lock.
func (g *Gateway) call(
	ctx context.Context, op string, req refund.Request,
	do func(s Step, scripted bool) []refund.Result,
) ([]refund.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // the call does not reach the provider
	}
	s, scripted := g.arrive(Call{Op: op, Request: req})
	if s.ignoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	if s.before != nil {
		s.before(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	var all []refund.Result
	if s.answer != nil {
		all = []refund.Result{withRequest(*s.answer, req)}
	} else {
		g.mu.Lock()
		all = do(s, scripted)
		g.mu.Unlock()
	}
	if s.rewrite != nil {
		for i := range all {
			s.rewrite(&all[i])
		}
	}
	if s.after != nil {
		s.after(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	return all, nil
}

// withRequest fills the zero fields of an answer from the script.
func withRequest(res refund.Result, req refund.Request) refund.Result {
	if res.RefundNo == "" {
		res.RefundNo = req.RefundNo
	}
	if res.OrderID == "" {
		res.OrderID = req.OrderID
	}
	if res.Amount == 0 {
		res.Amount = req.Amount
	}
	return res
}

// arrive records a call and returns its step. scripted reports whether the step says what is done.
func (g *Gateway) arrive(c Call) (s Step, scripted bool) {
	s, found, choose, usual := g.record(c)
	if !found && choose != nil && c.Op != opList {
		s = choose(c)
	}
	scripted = !s.usual()
	if !scripted && c.Op == opRefund {
		s = s.on(usual)
	}
	return s, scripted
}

// record records a call and takes its step from the script.
func (g *Gateway) record(c Call) (s Step, found bool, choose func(Call) Step, usual Step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, c)
	i := slices.IndexFunc(g.script, func(s Step) bool {
		fits := s.op == c.Op || s.op == "" && c.Op != opList
		return fits && (s.number == "" || s.number == c.Request.RefundNo)
	})
	if i >= 0 {
		s = g.script[i]
		g.script = slices.Delete(g.script, i, i+1)
	}
	return s, i >= 0, g.choose, g.usual
}

// move changes the state of a refund as a step says. A paid refund stays paid.
func (e *entry) move(s Step) {
	if e.state != refund.OutcomeSucceeded {
		e.state, e.whenAsked = s.moves, s.whenAsked
	}
}

// submit is the provider's side of Refund. The caller holds the lock.
func (g *Gateway) submit(req refund.Request, s Step, scripted bool) refund.Result {
	e := g.ledger[req.RefundNo]
	switch {
	case e != nil && (e.orderID != req.OrderID || e.amount != req.Amount):
		return refund.Result{
			Outcome: refund.OutcomeDeclined, Code: "OTHER_TERMS",
			Message: fmt.Sprintf("the number exists with amount %d of order %s", e.amount,
				e.orderID),
		}
	case e != nil && scripted:
		e.move(s)
		return e.result()
	case e != nil:
		return e.result() // one number is one refund
	case req.Amount <= 0 || req.Amount > req.Total-g.held(req.OrderID):
		return refund.Result{
			Outcome: refund.OutcomeDeclined, Code: "EXCEEDS_TOTAL",
			Message: fmt.Sprintf("%d of the total of %d can be refunded",
				req.Total-g.held(req.OrderID), req.Total),
		}
	}
	e = &entry{number: req.RefundNo, orderID: req.OrderID, amount: req.Amount}
	e.move(s)
	g.add(e)
	return e.result()
}

// add adds a refund to the ledger. The caller holds the lock.
func (g *Gateway) add(e *entry) {
	g.ledger[e.number] = e
	g.orders[e.orderID] = append(g.orders[e.orderID], e)
}

// held returns the part of an order's total that its refunds use.
func (g *Gateway) held(orderID string) (sum int64) {
	for _, e := range g.orders[orderID] {
		if e.state != refund.OutcomeClosed {
			sum += e.amount
		}
	}
	return sum
}

// find is the provider's side of Query. The caller holds the lock.
func (g *Gateway) find(req refund.Request, s Step, scripted bool) refund.Result {
	e := g.ledger[req.RefundNo]
	switch {
	case e == nil:
		return refund.Result{Outcome: refund.OutcomeNotFound, RefundNo: req.RefundNo}
	case scripted:
		e.move(s)
	case e.whenAsked:
		e.end(refund.OutcomeSucceeded)
	}
	return e.result()
}

func (e *entry) end(o refund.Outcome) { e.state, e.whenAsked = o, false }
