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

// HandleNotification takes a provider's notification as a hint: it matches it to a known refund, asks the
// provider with Query, and records that answer, never the notification's own. Duplicates, late and
// out-of-order ones change nothing. One about a refund that the book does not have changes nothing, is
// told to the UnknownNotification hook, and is no error.
//
// Errors: [ErrMismatch] where it contradicts the recorded order, number or amounts; [ErrInTx]; the gateway's,
// where the provider could not be asked; the store's. After an error the provider should deliver it again.
func (s *Service) HandleNotification(ctx context.Context, n Notification) (err error) {
	ref := Ref{n.Result.OrderID, n.Result.RefundNo} // anybody's words
	ctx, end := s.trace(ctx, Command{"notification", clip(ref.OrderID, order.MaxID), clip(ref.RefundNo, order.MaxRefundNo)}, &err)
	defer end()
	if err := s.outsideTx(ctx, "notification for", ref); err != nil {
		return err
	}
	o, err := s.store.Get(ctx, ref.OrderID)
	if err != nil && !errors.Is(err, ErrOrderNotFound) {
		return fmt.Errorf("notification for refund %s of order %s: %w", ref.RefundNo, ref.OrderID, err)
	}
	var r *order.Refund
	if err == nil {
		r = o.Refund(ref.RefundNo)
	}
	if r == nil {
		s.log.WarnContext(ctx, "notification for an unknown refund", slog.String("gateway", n.Gateway),
			slog.String("order_id", clip(ref.OrderID, order.MaxID)), slog.String("refund_no", clip(ref.RefundNo, order.MaxRefundNo)))
		if s.opt.Hooks.UnknownNotification != nil {
			s.notify(ctx, "unknown_notification", func() { s.opt.Hooks.UnknownNotification(ctx, n) })
		}
		return nil
	}
	if err := matchNotification(o, r, n); err != nil {
		s.log.WarnContext(ctx, "notification refused", slog.String("gateway", n.Gateway),
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo), slog.Any("error", err))
		return fmt.Errorf("notification for refund %s of order %s: %w", ref.RefundNo, ref.OrderID, err)
	}
	if r.State == order.StateRefunded && !r.ConfirmedAt.IsZero() && n.Result.Outcome == OutcomeSucceeded {
		return nil // a duplicate: nothing to ask about
	}
	ans, _, err := s.observe(ctx, "notification for", o, r)
	if err != nil {
		return err
	}
	if ans.err != nil {
		return fmt.Errorf("notification for refund %s of order %s: confirm: %w", ref.RefundNo, ref.OrderID, ans.err)
	}
	return nil
}

// matchNotification compares what the message names with the book.
func matchNotification(o *order.Order, r *order.Refund, n Notification) error {
	for _, f := range []struct{ field, want, got string }{
		{"gateway", o.Gateway, n.Gateway},
		{"payment_id", o.PaymentID, n.PaymentID},
		{"refund_id", r.ProviderRefundID, clip(n.Result.ProviderRefundID, order.MaxCode)}, // as it is kept
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
	return &MismatchError{Field: field, Want: strconv.FormatInt(want, 10), Got: strconv.FormatInt(got, 10)}
}

// NotificationHandler returns the endpoint to which the provider of one gateway sends its notifications:
//
//	mux.Handle("POST /refund/notify", handler)
//
// It bounds the body at [MaxNotification], acknowledges what HandleNotification took, and asks for
// redelivery otherwise. gateway is the name that the orders are registered with. It returns [ErrUnsupported] if
// the gateway is no [NotificationReader], and [ErrUnknownGateway] if a [Router] has none of that name. Where
// the Service has a single gateway any name will do here, and one that the orders do not have refuses their
// notifications, which the log tells.
func (s *Service) NotificationHandler(gateway string) (http.Handler, error) {
	g := s.gateway
	if to, ok := g.(Router); ok {
		var err error
		if g, err = to.Route(gateway); err != nil {
			return nil, fmt.Errorf("notification handler: %w", err)
		}
	}
	reader, ok := g.(NotificationReader)
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
