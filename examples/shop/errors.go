package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"net/http"
	"slices"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// errRequest is returned if a request cannot be read.
var errRequest = errors.New("bad request")

// status returns the HTTP status and the code of an error. A client may repeat every command with
// the same refund number. After a 409 it should read the order first; after a 503 it should repeat.
func status(err error) (int, string) {
	var tooLarge *http.MaxBytesError
	for _, s := range []struct {
		is     bool
		status int
		code   string
	}{
		{errors.As(err, &tooLarge), http.StatusRequestEntityTooLarge, "too_large"},
		{is(err, errRequest, order.ErrInvalid), http.StatusBadRequest, "invalid"},
		{is(err, errNoOrder, refund.ErrOrderNotFound, order.ErrRefundNotFound), http.StatusNotFound, "not_found"},
		{is(err, order.ErrTransition), http.StatusConflict, "not_allowed_now"},
		{is(err, refund.ErrUnsettled), http.StatusConflict, "may_still_pay"},
		{is(err, order.ErrVetoed), http.StatusConflict, "vetoed"},
		{is(err, order.ErrConflict, refund.ErrExists, errOrderTaken, errItemTaken), http.StatusConflict, "conflict"},
		{is(err, order.ErrAmount), http.StatusUnprocessableEntity, "amount"},
		{is(err, refund.ErrLimit), http.StatusUnprocessableEntity, "limit"},
		{is(err, errNoItem, errNoStock), http.StatusUnprocessableEntity, "item"},
		{isContention(err), http.StatusServiceUnavailable, "try_again"},
		{is(err, context.DeadlineExceeded, context.Canceled, driver.ErrBadConn, sqlstore.ErrCommit), http.StatusServiceUnavailable, "try_again"},
	} {
		if s.is {
			return s.status, s.code
		}
	}
	return http.StatusInternalServerError, "internal"
}

// isContention reports whether the error comes from other transactions. The store has already
// repeated the transaction several times.
func isContention(err error) bool {
	dialects := []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL}
	return slices.ContainsFunc(dialects, func(d sqlstore.Dialect) bool {
		return d.IsRetryable(err) || d.IsDuplicate(err)
	})
}

func is(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
