package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// newControl returns the handler by which a shop's tests control the simulator.
func newControl(srv *wechattest.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", command(func(c struct {
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		TotalFee      int64  `json:"total_fee"`
	},
	) error {
		return srv.AddOrder(wechattest.Order{
			OutTradeNo: c.OutTradeNo, TransactionID: c.TransactionID, TotalFee: c.TotalFee,
		})
	}))
	mux.HandleFunc("POST /refunds", command(func(c struct {
		OutTradeNo  string `json:"out_trade_no"`
		OutRefundNo string `json:"out_refund_no"`
		RefundFee   int64  `json:"refund_fee"`
	},
	) error {
		return srv.RefundInConsole(c.OutTradeNo, c.OutRefundNo, c.RefundFee)
	}))
	mux.HandleFunc("POST /settle", command(func(c struct {
		OutRefundNo  string `json:"out_refund_no"`
		RefundStatus string `json:"refund_status"`
	},
	) error {
		return srv.Settle(c.OutRefundNo, c.RefundStatus)
	}))
	mux.HandleFunc("POST /balance", command(func(c struct {
		Fen *int64 `json:"fen"`
	},
	) error {
		if c.Fen == nil || *c.Fen < 0 {
			return errors.New("fen must not be negative")
		}
		srv.SetBalance(*c.Fen)
		return nil
	}))
	mux.HandleFunc("POST /advance", command(func(c struct {
		Seconds int64 `json:"seconds"`
	},
	) error {
		const most = 100 * 365 * 24 * 60 * 60
		if c.Seconds <= 0 || c.Seconds > most {
			return fmt.Errorf("seconds must be from 1 to %d", most)
		}
		srv.Advance(time.Duration(c.Seconds) * time.Second)
		return nil
	}))
	mux.HandleFunc("POST /faults", command(func(c breakage) error {
		f, err := c.fault()
		switch {
		case err != nil:
			return err
		case c.Path != "" && c.Path != wechattest.PathRefund && c.Path != wechattest.PathQuery:
			return fmt.Errorf("unknown path %q", c.Path)
		case c.Path != "":
			f = f.On(c.Path)
		}
		srv.Inject(f)
		return nil
	}))
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		srv.ClearInjected()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		writeLedger(w, srv.Ledger())
	})
	return mux
}

// command returns a handler that decodes a request strictly and calls do with it.
func command[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var c T
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		dec.DisallowUnknownFields()
		err := dec.Decode(&c)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// breakage describes a fault of the next call.
type breakage struct {
	Fault string `json:"fault"`
	Code  string `json:"code"`
	Text  string `json:"text"`
	Path  string `json:"path"`
}

func (b breakage) fault() (wechattest.Fault, error) {
	switch b.Fault {
	case "lose_answer":
		return wechattest.LoseAnswer(), nil
	case "fail_before":
		return wechattest.LoseAnswer().NotExecuted(), nil
	case "status_502":
		return wechattest.Status(http.StatusBadGateway), nil
	case "truncate":
		return wechattest.Truncate(), nil
	case "wrong_sign":
		return wechattest.WrongSign(), nil
	case "not_found_once":
		return wechattest.ErrCode("REFUNDNOTEXIST", "not exist", false).On(wechattest.PathQuery), nil
	case "ends_as_change":
		return wechattest.EndsAs(wechattest.StatusChange), nil
	case "ends_as_closed":
		return wechattest.EndsAs(wechattest.StatusClosed), nil
	case "err_code", "err_code_executed":
		if b.Code == "" {
			return wechattest.Fault{}, errors.New("code is missing")
		}
		return wechattest.ErrCode(b.Code, b.Text, b.Fault == "err_code_executed"), nil
	}
	return wechattest.Fault{}, fmt.Errorf("unknown fault %q", b.Fault)
}

// line is one refund of the ledger, with the names of the XML interface.
type line struct {
	OutRefundNo  string    `json:"out_refund_no"`
	RefundID     string    `json:"refund_id"`
	OutTradeNo   string    `json:"out_trade_no"`
	RefundFee    int64     `json:"refund_fee"`
	RefundStatus string    `json:"refund_status"`
	Payments     int       `json:"payments"`
	AcceptedAt   time.Time `json:"accepted_at"`
	EndedAt      time.Time `json:"ended_at"`
}

func writeLedger(w http.ResponseWriter, entries []wechattest.Entry) {
	lines := make([]line, 0, len(entries))
	for _, e := range entries {
		lines = append(lines, line{
			OutRefundNo: e.OutRefundNo, RefundID: e.RefundID, OutTradeNo: e.OutTradeNo,
			RefundFee: e.Amount, RefundStatus: e.Status, Payments: e.Payments,
			AcceptedAt: e.AcceptedAt.UTC(), EndedAt: e.EndedAt.UTC(),
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(lines) // a client that has gone needs no answer
}
