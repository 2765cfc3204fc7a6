package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

const (
	notifyPath = "/wechat/refunds"
	maxBody    = 64 << 10
)

// web serves the shop's HTTP endpoints.
type web struct {
	shop *shop
	svc  *refund.Service
	log  *slog.Logger
}

func newWeb(s *shop, svc *refund.Service, log *slog.Logger) (http.Handler, error) {
	w := &web{s, svc, log}
	notify, err := svc.NotificationHandler(gateway)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for pattern, do := range map[string]endpoint{
		"POST /orders":                                       w.placeOrder,
		"GET /orders/{order_id}":                             w.own(w.showOrder),
		"POST /orders/{order_id}/refunds":                    w.own(w.requestRefund),
		"POST /orders/{order_id}/refunds/{refund_no}/cancel": w.own(w.cancelRefund),
	} {
		mux.Handle(pattern, w.as("X-Buyer", do))
	}
	for pattern, do := range map[string]endpoint{
		"GET /staff/refunds":       w.listRefunds,
		"GET /staff/refunds/stuck": w.listStuck,
		"POST /staff/orders/{order_id}/refunds/{refund_no}/{decision}": w.decide,
	} {
		mux.Handle(pattern, w.as("X-Staff", do))
	}
	mux.Handle("POST "+notifyPath, notify) // it authenticates the sender and limits the body itself
	return mux, nil
}

// endpoint carries out the request of who and returns the status and the body of the answer.
type endpoint func(r *http.Request, who string) (int, any, error)

// as trusts the header to name the sender. THIS IS WHERE YOUR AUTHENTICATION GOES: a session, a
// token, single sign-on, and for staff a check that they may decide on refunds. orderfsm only
// records who did what.
func (w *web) as(header string, do endpoint) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		who := r.Header.Get(header)
		if !isName(who) {
			w.answer(rw, r, http.StatusUnauthorized, problem{"unauthorized", header + " is missing or malformed"})
			return
		}
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
		code, body, err := do(r, who)
		if err != nil {
			w.fail(rw, r, err)
			return
		}
		w.answer(rw, r, code, body)
	})
}

// own gives buyers access to their own orders only. For other orders it answers errNoOrder.
func (w *web) own(do endpoint) endpoint {
	return func(r *http.Request, who string) (int, any, error) {
		id := r.PathValue("order_id")
		owner, err := w.shop.owner(r.Context(), id)
		if err == nil && owner != who {
			err = fmt.Errorf("order %s: %w", id, errNoOrder)
		}
		if err != nil {
			return 0, nil, err
		}
		return do(r, who)
	}
}

type problem struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// fail answers with an error. It logs the shop's own faults and does not show them to the client.
func (w *web) fail(rw http.ResponseWriter, r *http.Request, err error) {
	code, name := status(err)
	p := problem{name, err.Error()}
	var not *order.TransitionError
	if errors.As(err, &not) { // the error's text is for operators
		p.Message = fmt.Sprintf("%s is not possible: the refund is %s", not.Event, not.From)
	}
	if code >= http.StatusInternalServerError {
		w.log.ErrorContext(r.Context(), "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		p.Message = "the outcome is unknown; it is safe to repeat the request"
		rw.Header().Set("Retry-After", "1")
	}
	w.answer(rw, r, code, p)
}

func (w *web) answer(rw http.ResponseWriter, r *http.Request, code int, body any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	if err := json.NewEncoder(rw).Encode(body); err != nil {
		w.log.DebugContext(r.Context(), "answer not sent", slog.Any("error", err))
	}
}

// decode reads a JSON body. It refuses unknown fields and more than one value.
func decode[T any](r *http.Request) (T, error) {
	var v T
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF { //nolint:errorlint // Token returns it as it is
			err = fmt.Errorf("more than one value")
		}
	}
	if err != nil {
		return v, fmt.Errorf("%w: %w", errRequest, err)
	}
	return v, nil
}

// The forms of the names that clients choose. The refund number is the order number, a _ and the
// key. An order number has no _, so the first _ separates the two.
var (
	orderForm = regexp.MustCompile(`^[A-Z0-9-]{1,32}$`)
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,31}$`)
)

func isName(s string) bool { return nameForm.MatchString(s) }
