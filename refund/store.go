package refund

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
)

// Store keeps orders. A host implements it over its own tables; storetest.Run checks an implementation.
//
// Methods must be safe for concurrent use and honour ctx. What they return must share no memory with what
// is stored. Refund numbers are unique among all orders.
type Store interface {
	// Update loads the order with all its refunds and an empty History, calls fn on it and commits what fn left. It
	// appends the transitions that fn left in o.History to those that are stored, and refuses them if they do not
	// continue these: see [CheckHistory]. It must commit nothing if fn returns an error (which it returns, wrapped or
	// not) or panics. Two Updates of one order must never interleave.
	//
	// fn may run more than once (deadlock, serialization failure), each time on a fresh copy; it has no
	// effect but through o and its ctx. That ctx carries the store's transaction, so that hooks can write
	// the host's own rows with it. An Update of the same order with that ctx must be an error, never a
	// deadlock.
	//
	// Errors: [ErrOrderNotFound]; [ErrConflict] if o carries a refund number that another order has; [ErrInvalid] if
	// o.History does not continue what is stored.
	Update(ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error) error
	// Get returns the order with all its refunds and an empty History, or [ErrOrderNotFound].
	Get(ctx context.Context, orderID string) (*order.Order, error)
	// History returns the order's transitions whose Seq is above after, by Seq, at most limit of them (> 0), or
	// [ErrOrderNotFound]. With the ctx of an Update it need not return what that has not written yet.
	History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error)
	// Create stores a new order, with the refunds and the history that it has, as Version 1.
	//
	// Errors: [ErrExists] if its ID is already there; [ErrConflict] if a refund number of it is; [ErrInvalid] if its
	// history does not begin with 1, has gaps or does not end with o.Seq.
	Create(ctx context.Context, o *order.Order) error
	// Due lists the approved refunds that q selects; see [DueQuery].
	Due(ctx context.Context, q DueQuery) ([]DueRefund, error)
	// ListRefunds pages through refunds, for review queues: by RequestedAt, then order ID, then refund number, oldest first.
	ListRefunds(ctx context.Context, f Filter) (Page, error)
}

// CheckHistory returns nil if o.History continues an order whose newest transition is seq: if it is numbered from
// seq + 1 to o.Seq without gaps. Otherwise its error wraps [ErrInvalid]. A Store calls it before it appends o.History;
// in Create seq is 0.
func CheckHistory(o *order.Order, seq int64) error {
	problem := func(format string, args ...any) error {
		return &order.InvalidError{Field: "history", Problem: fmt.Sprintf(format, args...)}
	}
	for i := range o.History {
		if seq++; o.History[i].Seq != seq {
			return problem("has transition %d in place of %d", o.History[i].Seq, seq)
		}
	}
	if o.Seq != seq {
		return problem("ends with transition %d, but the order's seq is %d", seq, o.Seq)
	}
	return nil
}

// LoadOrder returns an order of s with its refunds and its whole history, as [Service.Order] does. It reads the history
// page by page. What is committed meanwhile it leaves out, so that order and history are of one moment.
func LoadOrder(ctx context.Context, s Store, orderID string) (*order.Order, error) {
	o, err := s.Get(ctx, orderID)
	if err != nil {
		return nil, fmt.Errorf("get order %s: %w", orderID, err)
	}
	for last := int64(0); last < o.Seq; last = int64(len(o.History)) {
		page, err := s.History(ctx, orderID, last, int(min(o.Seq-last, MaxLimit)))
		if err != nil {
			return nil, fmt.Errorf("get the history of order %s: %w", orderID, err)
		}
		if len(page) == 0 || page[0].Seq != last+1 {
			return nil, fmt.Errorf("get the history of order %s: the store has no transition %d of %d", orderID, last+1, o.Seq)
		}
		o.History = append(o.History, page...)
	}
	return o, nil
}

// Joiner is an optional interface of a [Store] that can work in a transaction which is already open:
// the host's own, or the one that Update hands to its fn.
type Joiner interface {
	// Joined reports whether ctx carries a transaction of this store.
	Joined(ctx context.Context) bool
	// AfterCommit has f called once the transaction that ctx carries has committed, and never if it does
	// not. It reports false if nobody will tell the store of the commit; f is not called then.
	AfterCommit(ctx context.Context, f func(ctx context.Context)) bool
}

// Ref names one refund.
type Ref struct {
	OrderID  string `json:"order_id"`
	RefundNo string `json:"refund_no"`
}

// name is how errors call the refund.
func (r Ref) name() string { return "refund " + r.RefundNo + " of order " + r.OrderID }

// Filter selects refunds. The zero value of a field selects everything.
type Filter struct {
	// States that the refund is in, any of them.
	States []order.State
	// Gateway of the order.
	Gateway string
	// OrderIDContains selects the orders whose ID contains this text, case-sensitive.
	OrderIDContains string
	// From and To bound RequestedAt: From ≤ RequestedAt < To.
	From, To time.Time
	// After continues behind a page: its Next.
	After *Position
	// Limit is the most refunds to return; 0 means 50, at most 500.
	Limit int
}

// Limits of a page; see Filter.Limit.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// PageSize is the number of refunds that a page for f may hold: Limit with its default and bound applied.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return DefaultLimit
	}
	return min(f.Limit, MaxLimit)
}

// Position is a place in the order of ListRefunds. Its text form, which JSON uses too, is an opaque cursor of letters, digits,
// - and _ that a host may hand to its clients.
type Position struct {
	// RequestedAt, OrderID and RefundNo are those of the last refund seen.
	RequestedAt time.Time
	OrderID     string
	RefundNo    string
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) {
	fields := strconv.FormatInt(p.RequestedAt.UnixMicro(), 10) + "\x00" + p.OrderID + "\x00" + p.RefundNo
	return []byte(base64.RawURLEncoding.EncodeToString([]byte(fields))), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. What is no cursor is [ErrInvalid].
func (p *Position) UnmarshalText(text []byte) error {
	fields, err := base64.RawURLEncoding.DecodeString(string(text))
	parts := strings.Split(string(fields), "\x00")
	if err == nil && len(parts) == 3 && utf8.Valid(fields) { // what is not, databases refuse
		var micros int64
		if micros, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
			*p = Position{RequestedAt: time.UnixMicro(micros).UTC(), OrderID: parts[1], RefundNo: parts[2]}
			return nil
		}
	}
	return &order.InvalidError{Field: "after", Problem: "is not a cursor"}
}

// Page is one page of ListRefunds.
type Page struct {
	// Entries are the refunds, oldest first.
	Entries []Entry `json:"entries"`
	// Next is Filter.After for the following page; nil when there is none.
	Next *Position `json:"next"`
}

// Entry is a refund with what a review queue shows of its order.
type Entry struct {
	// OrderID, Gateway, Currency, Total and Refunded are the order's; amounts are in minor units.
	OrderID  string       `json:"order_id"`
	Gateway  string       `json:"gateway"`
	Currency string       `json:"currency"`
	Total    int64        `json:"total"`
	Refunded int64        `json:"refunded"`
	Refund   order.Refund `json:"refund"` // the refund itself
}

// Position returns the entry's place in the order of ListRefunds.
func (e Entry) Position() Position {
	return Position{RequestedAt: e.Refund.RequestedAt, OrderID: e.OrderID, RefundNo: e.Refund.No}
}

// Compare orders positions as ListRefunds does: negative when p comes before q, 0 when they are equal.
func (p Position) Compare(q Position) int {
	return compareKeys(p.RequestedAt, q.RequestedAt, p.OrderID, q.OrderID, p.RefundNo, q.RefundNo)
}

func compareKeys(at, bt time.Time, aID, bID, aNo, bNo string) int {
	if c := at.Compare(bt); c != 0 {
		return c
	}
	if aID != bID {
		if aID < bID {
			return -1
		}
		return 1
	}
	switch {
	case aNo < bNo:
		return -1
	case aNo > bNo:
		return 1
	}
	return 0
}

// Scheduler is told, inside the Update that approves or retries a refund, when it is due, so that a job
// queue on the same database can insert its job in the same transaction (ctx carries it). An error rolls the
// command back. Without a Scheduler the store's Due is the queue.
type Scheduler interface {
	// Schedule notes that ref is due at at. ctx carries the transaction.
	Schedule(ctx context.Context, ref Ref, at time.Time) error
}
