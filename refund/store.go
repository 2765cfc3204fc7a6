package refund

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
)

// Store keeps orders. A host implements it over its tables and tests it with storetest.Run.
//
// Methods must be safe for concurrent use and honour ctx. Their results must share no memory with
// what is stored. Refund numbers are unique among all orders.
type Store interface {
	// Update loads the order with all its refunds and an empty History, calls fn and commits the
	// changed order. It appends o.History to the stored transitions; see [CheckHistory]. If fn
	// panics or returns an error, Update must commit nothing; it returns that error, wrapped or
	// not. Two Updates of one order must never interleave.
	//
	// Update may call fn more than once (deadlock, serialization failure), each time with a fresh
	// copy. fn has no effect but through o and its ctx. That ctx carries the store's transaction,
	// so that hooks can write the host's own rows with it. An Update of the same order with that
	// ctx must return an error and never deadlock.
	//
	// Errors: [ErrOrderNotFound]; [order.ErrConflict] if another order has a refund number of o;
	// [order.ErrInvalid] if o.History does not continue the stored one.
	Update(
		ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error,
	) error
	// Get returns the order with all its refunds and an empty History, or [ErrOrderNotFound].
	Get(ctx context.Context, orderID string) (*order.Order, error)
	// History returns at most limit (> 0) transitions of the order with a Seq above after, by Seq,
	// or [ErrOrderNotFound]. With the ctx of an Update it may omit what that Update has not
	// written.
	History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error)
	// Create stores a new order, with its refunds and history, as Version 1.
	//
	// Errors: [ErrExists] if the ID is taken; [order.ErrConflict] if a refund number is taken;
	// [order.ErrInvalid] if the history does not begin with 1, has gaps or does not end with o.Seq.
	Create(ctx context.Context, o *order.Order) error
	// Due lists the approved refunds that q selects; see [DueQuery].
	Due(ctx context.Context, q DueQuery) ([]DueRefund, error)
	// ListRefunds pages through refunds by RequestedAt, then order ID, then refund number.
	ListRefunds(ctx context.Context, f Filter) (Page, error)
}

// CheckHistory returns nil if o.History is numbered from seq + 1 to o.Seq without gaps. seq is the
// newest stored transition of the order; 0 in Create. Otherwise the error wraps [order.ErrInvalid].
// A Store calls it before it appends o.History.
func CheckHistory(o *order.Order, seq int64) error {
	problem := func(format string, args ...any) error {
		return invalid("history", fmt.Sprintf(format, args...))
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

// LoadOrder returns an order of s with its refunds and its whole history. It reads the history page
// by page, and omits what is committed in the meantime: order and history are of one moment.
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
			const missing = "get the history of order %s: the store has no transition %d of %d"
			return nil, fmt.Errorf(missing, orderID, last+1, o.Seq)
		}
		o.History = append(o.History, page...)
	}
	return o, nil
}

// Joiner is an optional interface of a [Store] that can work in a transaction which is already
// open: the host's, or the one that Update passes to its fn.
type Joiner interface {
	// Joined reports whether ctx carries a transaction of this store.
	Joined(ctx context.Context) bool
	// AfterCommit calls f once the transaction that ctx carries has committed, and never if it is
	// rolled back. It returns false, and does not call f, if the store cannot learn of the commit.
	AfterCommit(ctx context.Context, f func(ctx context.Context)) bool
}

// Ref names one refund.
type Ref struct {
	OrderID  string `json:"order_id"`
	RefundNo string `json:"refund_no"`
}

// wrap returns err with the command and the refund in its text.
func (r Ref) wrap(op string, err error) error {
	return fmt.Errorf("%s refund %s of order %s: %w", op, r.RefundNo, r.OrderID, err)
}

// Filter selects refunds. The zero value of a field selects everything.
type Filter struct {
	// States selects refunds in any of these states.
	States []order.State
	// Gateway of the order.
	Gateway string
	// OrderIDContains selects the orders whose ID contains this text, case-sensitive.
	OrderIDContains string
	// From and To bound RequestedAt: From ≤ RequestedAt < To.
	From, To time.Time
	// After is the Next of the page before. If nil, the first page.
	After *Position
	// Limit is the largest number of refunds to return. If zero, 50. At most [MaxLimit].
	Limit int
}

// MaxLimit is the largest number of refunds, or of transitions, on one page.
const MaxLimit = 500

// PageSize returns Limit with its default and its bound applied.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return 50
	}
	return min(f.Limit, MaxLimit)
}

// Position is a place in the sequence of ListRefunds. Its text form, which JSON uses too, is an
// opaque cursor of letters, digits, - and _ that a host may give to its clients.
type Position struct {
	// RequestedAt and Ref are those of the last refund before it.
	RequestedAt time.Time
	Ref
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) {
	micros := strconv.FormatInt(p.RequestedAt.UnixMicro(), 10)
	fields := strings.Join([]string{micros, p.OrderID, p.RefundNo}, "\x00")
	return []byte(base64.RawURLEncoding.EncodeToString([]byte(fields))), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It returns [order.ErrInvalid] for other
// text.
func (p *Position) UnmarshalText(text []byte) error {
	fields, err := base64.RawURLEncoding.DecodeString(string(text))
	parts := strings.Split(string(fields), "\x00")
	if err == nil && len(parts) == 3 && utf8.Valid(fields) { // databases refuse other text
		var micros int64
		if micros, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
			*p = Position{
				RequestedAt: time.UnixMicro(micros).UTC(),
				Ref:         Ref{OrderID: parts[1], RefundNo: parts[2]},
			}
			return nil
		}
	}
	return invalid("after", "is not a cursor")
}

// Page is one page of ListRefunds.
type Page struct {
	// Entries are the refunds, oldest first.
	Entries []Entry `json:"entries"`
	// Next is Filter.After for the next page; nil if there is none.
	Next *Position `json:"next"`
}

// Entry is a refund and what a review queue shows of its order.
type Entry struct {
	// OrderID, Gateway, Currency, Total and Refunded are the order's; amounts are in minor units.
	OrderID  string       `json:"order_id"`
	Gateway  string       `json:"gateway"`
	Currency string       `json:"currency"`
	Total    int64        `json:"total"`
	Refunded int64        `json:"refunded"`
	Refund   order.Refund `json:"refund"`
}

// Position returns the entry's place in the sequence of ListRefunds.
func (e Entry) Position() Position {
	return Position{
		RequestedAt: e.Refund.RequestedAt, Ref: Ref{OrderID: e.OrderID, RefundNo: e.Refund.No},
	}
}

// Compare compares two positions in the sequence of ListRefunds: it returns a negative number if p
// is before q, and 0 if they are equal.
func (p Position) Compare(q Position) int {
	return cmp.Or(
		p.RequestedAt.Compare(q.RequestedAt),
		strings.Compare(p.OrderID, q.OrderID),
		strings.Compare(p.RefundNo, q.RefundNo),
	)
}

// Scheduler inserts a job for each refund that becomes due into a job queue of the host. The
// Service calls it inside the Update that makes the refund due. Otherwise engines ask
// [Service.Due].
type Scheduler interface {
	// Schedule notes that ref is due at the given time. ctx carries the transaction, so that a
	// queue in the same database inserts the job with it. An error rolls the command back.
	Schedule(ctx context.Context, ref Ref, at time.Time) error
}
