package refund

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/orderfsm/orderfsm/order"
)

// MaxNotification bounds the body of a notification, in bytes.
const MaxNotification = 64 << 10

// HandleNotification uses a provider's notification as a hint. It finds the refund in the book,
// asks the provider with Query, and records that answer, never the notification's own. Duplicates,
// late and out-of-order notifications change nothing. A notification about a refund that the book
// does not have is passed to the UnknownNotification hooks and is no error.
//
// Errors: [ErrMismatch] if it contradicts the recorded order, number or amounts; [ErrInTx]; the
// gateway's, if the provider could not be asked; the store's. After an error the provider should
// deliver it again.
func (s *Service) HandleNotification(ctx context.Context, n Notification) (err error) {
	// Anybody may have written the notification.
	ref := Ref{OrderID: n.Result.OrderID, RefundNo: n.Result.RefundNo}
	clipped := Ref{
		OrderID: clip(ref.OrderID, order.MaxID), RefundNo: clip(ref.RefundNo, order.MaxRefundNo),
	}
	ctx, end := s.trace(ctx, "notification", clipped, &err)
	defer end()
	const op = "notification for"
	if err := s.refuseInTx(ctx, op, ref); err != nil {
		return err
	}
	o, err := s.store.Get(ctx, ref.OrderID)
	if err != nil && !errors.Is(err, ErrOrderNotFound) {
		return ref.wrap(op, err)
	}
	var r *order.Refund
	if err == nil {
		r = o.Refund(ref.RefundNo)
	}
	if r == nil {
		s.reportUnknown(ctx, n, clipped)
		return nil
	}
	if err := matchNotification(o, r, n); err != nil {
		s.log.WarnContext(ctx, "notification refused", slog.String("gateway", n.Gateway),
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
			slog.Any("error", err))
		return ref.wrap(op, err)
	}
	isDuplicate := n.Result.Outcome == OutcomeSucceeded &&
		r.State == order.StateRefunded && !r.ConfirmedAt.IsZero()
	if isDuplicate {
		return nil
	}
	ans, _, err := s.observe(ctx, op, o, r)
	if err != nil {
		return err
	}
	if ans.err != nil {
		return ref.wrap(op, fmt.Errorf("confirm: %w", ans.err))
	}
	return nil
}

func (s *Service) reportUnknown(ctx context.Context, n Notification, ref Ref) {
	s.log.WarnContext(ctx, "notification for an unknown refund", slog.String("gateway", n.Gateway),
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo))
	for _, h := range s.opt.Hooks {
		if h.UnknownNotification != nil {
			s.callHook(ctx, "unknown_notification", func() { h.UnknownNotification(ctx, n) })
		}
	}
}

// matchNotification returns an error if the message contradicts the book.
func matchNotification(o *order.Order, r *order.Refund, n Notification) error {
	for _, f := range []struct{ field, want, got string }{
		{"gateway", o.Gateway, n.Gateway},
		{"payment_id", o.PaymentID, n.PaymentID},
		// The book holds the clipped number.
		{"provider_refund_id", r.ProviderRefundID, clip(n.Result.ProviderRefundID, order.MaxCode)},
	} {
		if f.want != "" && f.got != "" && f.want != f.got {
			return &MismatchError{Field: f.field, Want: f.want, Got: f.got}
		}
	}
	if n.Result.Amount != r.Amount {
		return mismatchInt("amount", r.Amount, n.Result.Amount)
	}
	if n.Total != 0 && n.Total != o.Total {
		return mismatchInt("total", o.Total, n.Total)
	}
	return nil
}

func mismatchInt(field string, want, got int64) error {
	return &MismatchError{
		Field: field, Want: strconv.FormatInt(want, 10), Got: strconv.FormatInt(got, 10),
	}
}

// NotificationHandler returns the endpoint for the notifications of one gateway's provider:
//
//	mux.Handle("POST /refund/notify", handler)
//
// It bounds the body at [MaxNotification], acknowledges a notification if HandleNotification
// returns no error, and otherwise asks the provider to deliver it again. gateway must be the name
// that orders are registered with. If the Service has a single gateway, the name cannot be checked
// here: a wrong name makes every notification fail with [ErrMismatch].
//
// Errors: [ErrUnsupported] if the gateway is no [NotificationReader], [ErrUnknownGateway] if a
// [Router] has no gateway of that name.
func (s *Service) NotificationHandler(gateway string) (http.Handler, error) {
	to, err := s.routed(gateway)
	if err != nil {
		return nil, fmt.Errorf("notification handler: %w", err)
	}
	reader, ok := to.(NotificationReader)
	if !ok {
		return nil, fmt.Errorf("notification handler for gateway %q: %w", gateway, ErrUnsupported)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, MaxNotification)
		n, err := reader.ReadNotification(req)
		if err != nil {
			s.log.WarnContext(req.Context(), "notification not readable",
				slog.String("gateway", gateway), slog.Any("error", err))
		} else {
			n.Gateway = gateway
			err = s.HandleNotification(req.Context(), n)
		}
		reader.Acknowledge(w, err)
	}), nil
}
