package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// truth is the real state of a refund, which only the provider knows.
type truth uint8

const (
	truthNone       truth = iota // never seen
	truthProcessing              // the money has left the merchant
	truthSuccess                 // the buyer has it
	truthChange                  // it could not arrive
	truthClosed                  // the merchant has it back
)

func (t truth) String() string {
	return [...]string{"none", "processing", "success", "change", "closed"}[t]
}

// payout is a refund in the provider's ledger.
type payout struct {
	no, order string
	amount    int64
	state     truth
	before    truth         // what it was before, and
	since     time.Duration // until when
	final     bool          // closed for good: it is not opened again
	outside   truth         // how a change ended that a query goes on calling a change
	console   bool          // made in the provider's own console
	paid      int64         // what left the merchant, over all times, and what came back
	back      int64
}

// gone is what the refund has cost the merchant.
func (p *payout) gone() int64 { return p.paid - p.back }

// become changes the state. Queries may go on answering with the one before, see Habits.Lag.
func (p *payout) become(s truth, now time.Duration) {
	p.before, p.state, p.since = p.state, s, now
}

// provider pays a refund number once, and never more than an order's total. It lies as an OpDeny
// says only.
type provider struct {
	w       *world
	totals  map[string]int64
	balance int64
	books   map[string]*payout
	ledger  []*payout      // in the order of acceptance
	copies  map[string]int // requests that are on their way, by number
	terms   map[string]refund.Request
	fates   map[string]*Op  // how refunds end that are not accepted yet
	console map[string]bool // orders that were refunded in the console
	denials map[string]*Op  // what is denied at the moment, by refund number
	said    uint64          // how often it has said something
}

func newProvider(w *world) *provider {
	p := &provider{
		w: w, totals: map[string]int64{}, balance: w.plan.Balance, books: map[string]*payout{},
		copies: map[string]int{}, terms: map[string]refund.Request{}, fates: map[string]*Op{},
		console: map[string]bool{},
		denials: map[string]*Op{},
	}
	for _, o := range w.plan.Orders {
		p.totals[o.ID] = o.Total
	}
	return p
}

// gone is what the merchant has paid back on an order.
func (p *provider) gone(order string) (sum int64) {
	for _, b := range p.ledger {
		if b.order == order {
			sum += b.gone()
		}
	}
	return sum
}

// execute carries out a refund request.
func (p *provider) execute(req refund.Request) refund.Result {
	res := refund.Result{
		Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, OrderID: req.OrderID,
		Amount:           req.Amount,
		ProviderRefundID: "id-" + req.RefundNo,
	}
	declined := func(code string) refund.Result {
		p.w.tracef("provider declines %s: %s", req.RefundNo, code)
		p.w.stats.Declined++
		return refund.Result{
			Outcome: refund.OutcomeDeclined, RefundNo: req.RefundNo,
			OrderID: req.OrderID, Amount: req.Amount, Code: code,
		}
	}
	p.sameTerms(req)
	b := p.books[req.RefundNo]
	switch {
	case p.denies(req.RefundNo) && p.denials[req.RefundNo].Flag:
		if t := p.w.cur; t != nil {
			t.heard.denied = true
		}
		return declined("ORDERNOTEXIST")
	case b == nil || b.state == truthClosed && !b.final:
	case p.w.plan.Provider.Grumpy && b.state != truthClosed:
		return declined("DUPLICATE")
	case p.w.plan.Provider.Echo || b.state == truthClosed:
		return p.answer(b)
	default:
		return res
	}
	if gone := p.gone(req.OrderID); gone+req.Amount > p.totals[req.OrderID] {
		if !p.console[req.OrderID] && p.w.check.calm {
			p.w.fail("over_total", "%s of %d is asked for on order %s, which has %d of %d paid back",
				req.RefundNo, req.Amount, req.OrderID, gone, p.totals[req.OrderID])
		}
		return declined("OVER_TOTAL")
	}
	if req.Amount > p.balance {
		return declined("NOTENOUGH")
	}
	p.w.check.paying(req)
	b = p.pay(b, req.RefundNo, req.OrderID, req.Amount)
	if op := p.fates[b.no]; op != nil {
		delete(p.fates, b.no)
		if op.For == 0 && op.Outcome == refund.OutcomeSucceeded {
			p.end(b, op)
			return p.answer(b)
		}
		p.w.after(op.For, func() { p.end(b, op) })
	}
	return res
}

// sameTerms makes sure that a number always stands for the same refund.
func (p *provider) sameTerms(req refund.Request) {
	req.ProviderRefundID, req.Retries = "", 0 // these two may change
	if p.w.check.restored {
		req.Reason = "" // it may be lost
	}
	known, ok := p.terms[req.RefundNo]
	if ok && known != req {
		p.w.fail("other_terms", "number %s was sent as %+v and now as %+v", req.RefundNo, known, req)
	}
	p.terms[req.RefundNo] = req
}

// isTaken reports whether a number may have been sent with another amount.
func (p *provider) isTaken(op *Op) bool {
	known, ok := p.terms[op.Refund]
	return p.copies[op.Refund] > 0 || ok && known.Amount != op.Amount
}

// pay takes the money from the merchant.
func (p *provider) pay(b *payout, no, order string, amount int64) *payout {
	if b == nil {
		b = &payout{no: no, order: order, amount: amount}
		p.books[no] = b
		p.ledger = append(p.ledger, b)
	}
	b.become(truthProcessing, p.w.now)
	b.paid += amount
	p.balance -= amount
	p.w.tracef("provider pays %s: %d of order %s", no, amount, order)
	p.w.stats.Payments++
	if b.gone() > b.amount {
		p.w.fail("paid_twice", "number %s is paid %d times", no, b.gone()/b.amount)
	}
	return b
}

// returned gives the money back to the merchant.
func (p *provider) returned(b *payout) {
	b.back += b.amount
	p.balance += b.amount
}

// answer returns the state of a refund.
func (p *provider) answer(b *payout) refund.Result { return p.describe(b, b.state) }

// describe is the answer about a refund in that state.
func (p *provider) describe(b *payout, s truth) refund.Result {
	res := refund.Result{
		RefundNo: b.no, OrderID: b.order, Amount: b.amount,
		ProviderRefundID: "id-" + b.no,
	}
	switch s {
	case truthProcessing:
		res.Outcome = refund.OutcomeAccepted
	case truthSuccess:
		res.Outcome, res.RefundedAt = refund.OutcomeSucceeded, epoch().Add(p.w.now)
	case truthChange:
		res.Outcome, res.Code = refund.OutcomeAbnormal, "CHANGE"
	case truthClosed:
		res.Outcome, res.Code = refund.OutcomeClosed, "REFUNDCLOSE"
	case truthNone:
		return notFound(b.no)
	}
	return res
}

func notFound(no string) refund.Result {
	return refund.Result{Outcome: refund.OutcomeNotFound, RefundNo: no}
}

// query answers what became of a number.
func (p *provider) query(no string) refund.Result {
	b := p.books[no]
	switch {
	case b == nil:
		return notFound(no)
	case p.denies(no):
		p.w.tracef("provider denies %s", no)
		p.w.cur.heard.denied = true
		return notFound(no)
	case !p.w.honest && p.w.now < b.since+p.w.plan.Provider.Lag:
		return p.describe(b, b.before)
	}
	return p.answer(b)
}

// denies reports whether the provider denies a refund now: one that it has accepted, as the book
// knows. A provider that denies a refund before it has confirmed it looks like one that never had
// it.
func (p *provider) denies(no string) bool {
	return p.denials[no] != nil && p.w.check.accepted[no]
}

// deny begins to deny a refund.
func (p *provider) deny(op *Op) {
	p.denials[op.Refund] = op
	if op.For == 0 {
		return
	}
	p.w.after(op.For, func() {
		if p.denials[op.Refund] == op {
			delete(p.denials, op.Refund)
		}
	})
}

// list answers with all refunds of an order.
func (p *provider) list(order string) (all []refund.Result) {
	for _, b := range p.ledger {
		if b.order == order && !p.denies(b.no) {
			all = append(all, p.say(p.answer(b)))
		}
	}
	return all
}

// end ends a refund that is being paid, as op says, and notifies.
func (p *provider) end(b *payout, op *Op) {
	if b.state != truthProcessing {
		return
	}
	if op.Outcome == refund.OutcomeClosed && p.copies[b.no] > 0 {
		// No provider closes a refund while a copy of its request is still on the line: the copy
		// would open it again, which no client can know.
		p.w.after(time.Minute, func() { p.end(b, op) })
		return
	}
	switch op.Outcome { //nolint:exhaustive // a refund ends in no other way
	case refund.OutcomeAbnormal:
		b.become(truthChange, p.w.now)
	case refund.OutcomeClosed:
		b.become(truthClosed, p.w.now)
		b.final = op.Flag
		p.returned(b)
	default:
		b.become(truthSuccess, p.w.now)
	}
	p.w.tracef("provider ends %s: %s", b.no, b.state)
	p.notify(b, op)
}

// fix ends a change: the buyer gets the money in another way, or the merchant has it back.
func (p *provider) fix(b *payout, op *Op) {
	if b == nil || b.state != truthChange || b.outside != truthNone {
		return
	}
	end := truthClosed
	if op.Outcome == refund.OutcomeSucceeded {
		end = truthSuccess
	} else {
		p.returned(b)
	}
	b.final = true
	if op.Flag {
		b.outside = end
	} else {
		b.become(end, p.w.now)
	}
	p.w.tracef("provider fixes %s: %s, shown as %s", b.no, end, b.state)
	p.notify(b, op)
}

// notify sends the notification of what the ledger says now, as often as op says.
func (p *provider) notify(b *payout, op *Op) {
	n := refund.Notification{
		Gateway: gatewayName, Result: p.say(p.answer(b)), Total: p.totals[b.order],
	}
	for i, d := range op.Deliver {
		p.w.deliver(op, n, d, i, 0)
	}
}

// refundInConsole is a refund that the book does not know of.
func (p *provider) refundInConsole(op *Op) {
	if p.gone(op.Order)+op.Amount > p.totals[op.Order] || op.Amount > p.balance ||
		p.books[op.Refund] != nil {
		return
	}
	p.console[op.Order] = true
	p.pay(nil, op.Refund, op.Order, op.Amount).console = true
}

// odd reports whether each Sync finds a discrepancy: a change that has ended and that a
// query goes on calling a change, a refund of the console's that never paid, which the book does
// not take, and one that was paid by bank transfer and not by the provider.
func (p *provider) odd(d refund.Discrepancy) bool {
	b := p.books[d.RefundNo]
	if p.w.check.byHand[d.RefundNo] && (b == nil || b.state != truthSuccess) {
		return true
	}
	known := !b.console && !p.w.check.restored // or else the book never had it, or no longer
	return b != nil && (b.outside != truthNone || !known && b.gone() == 0 &&
		d.Book == order.StatePaid)
}

// settle ends whatever is still being paid: all is well in the end, but for what a change is
// waiting for.
func (p *provider) settle() {
	for _, b := range p.ledger {
		if b.state == truthProcessing && p.copies[b.no] == 0 {
			p.end(b, &Op{Outcome: refund.OutcomeSucceeded, Deliver: nil})
		}
	}
}

// numbers lists what the ledger holds of an order.
func (p *provider) numbers(order string) (all []string) {
	for _, b := range p.ledger {
		if b.order == order {
			all = append(all, fmt.Sprintf("%s=%d %s", b.no, b.amount, b.state))
		}
	}
	slices.Sort(all)
	return all
}
