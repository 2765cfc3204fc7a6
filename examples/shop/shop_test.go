package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestKeyOfAnotherRefund checks that the key of a refund is refused for other items, even if they
// cost the same, and in every state of the refund.
func TestKeyOfAnotherRefund(t *testing.T) {
	s := openShop(t, sqliteFile(t))
	_, err := s.app.DB.exec(bg, `INSERT INTO inventory (sku, price, stock) VALUES ('mug', 1500, 9)`)
	require.NoError(t, err)
	must(t, 201, li, s.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"mug","quantity":1},{"sku":"cup","quantity":1}]}`)
	refunds := s.url + "/orders/ORD-1/refunds"
	const mug, cup = `{"skus":["mug"],"reason":"x"}`, `{"skus":["cup"],"reason":"x"}`
	must(t, 202, li, refunds, mug, "Idempotency-Key", "a")
	must(t, 409, li, refunds, cup, "Idempotency-Key", "a")
	must(t, 200, wang, s.url+"/staff/orders/ORD-1/refunds/ORD-1_a/approve", `{"amount":1500}`)
	must(t, 409, li, refunds, cup, "Idempotency-Key", "a")
	must(t, 202, li, refunds, mug, "Idempotency-Key", "a")
}

// TestRefusals checks that wrong requests are refused and change nothing.
func TestRefusals(t *testing.T) {
	s := openShop(t, sqliteFile(t))
	must(t, 201, li, s.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"tea","quantity":1},{"sku":"cup","quantity":3}]}`)
	must(t, 202, li, s.url+"/orders/ORD-1/refunds", `{"skus":["tea"],"reason":"x"}`, "Idempotency-Key", "a")
	const staff = "/staff/orders/ORD-1/refunds/ORD-1_a/"
	for _, tc := range []struct {
		name, path, body string
		by               who
		key              string
		status           int
		code             string
	}{
		{"nobody", "/orders/ORD-1", "", who{"X-Buyer", ""}, "", 401, "unauthorized"},
		{"a buyer at the staff's", staff + "approve", `{"amount":4990}`, li, "", 401, "unauthorized"},
		{"another's order", "/orders/ORD-1", "", wu, "", 404, "not_found"},
		{"another's refund", "/orders/ORD-1/refunds", `{"skus":["cup"]}`, wu, "b", 404, "not_found"},
		{"another's cancel", "/orders/ORD-1/refunds/ORD-1_a/cancel", `{}`, wu, "", 404, "not_found"},
		{"no such order", "/orders/ORD-2", "", li, "", 404, "not_found"},
		{"no such refund", "/orders/ORD-1/refunds/ORD-1_z/cancel", `{}`, li, "", 404, "not_found"},
		{"another order of that number", "/orders", `{"order_id":"ORD-1","items":[{"sku":"pot","quantity":1}]}`, li, "", 409, "conflict"},
		{"out of stock", "/orders", `{"order_id":"ORD-3","items":[{"sku":"cup","quantity":1},{"sku":"tea","quantity":1000}]}`, li, "", 422, "item"},
		{"not sold", "/orders", `{"order_id":"ORD-3","items":[{"sku":"milk","quantity":1}]}`, li, "", 422, "item"},
		{"the same twice", "/orders", `{"order_id":"ORD-3","items":[{"sku":"cup","quantity":1},{"sku":"cup","quantity":1}]}`, li, "", 400, "invalid"},
		{"bad number", "/orders", `{"order_id":"ORD_3","items":[{"sku":"cup","quantity":1}]}`, li, "", 400, "invalid"},
		{"no JSON", "/orders", `hello`, li, "", 400, "invalid"},
		{"unknown field", "/orders", `{"order":"ORD-3"}`, li, "", 400, "invalid"},
		{"two values", "/orders", `{"order_id":"ORD-3"}{}`, li, "", 400, "invalid"},
		{"a large body", "/orders", `{"order_id":"` + strings.Repeat("A", maxBody) + `"}`, li, "", 413, "too_large"},
		{"no key", "/orders/ORD-1/refunds", `{"skus":["cup"]}`, li, "", 400, "invalid"},
		{"no items", "/orders/ORD-1/refunds", `{"skus":[]}`, li, "b", 400, "invalid"},
		{"an item twice", "/orders/ORD-1/refunds", `{"skus":["cup","cup"]}`, li, "b", 400, "invalid"},
		{"not in the order", "/orders/ORD-1/refunds", `{"skus":["pot"]}`, li, "b", 422, "item"},
		{"more than is left", "/orders/ORD-1/refunds", `{"skus":["cup","tea"]}`, li, "b", 422, "amount"},
		{"in another refund", "/orders/ORD-1/refunds", `{"skus":["tea"]}`, li, "b", 422, "amount"},
		{"the key with other terms", "/orders/ORD-1/refunds", `{"skus":["cup"],"reason":"x"}`, li, "a", 409, "conflict"},
		{"a stale screen", staff + "approve", `{"amount":1}`, wang, "", 409, "conflict"},
		{"rejected without a note", staff + "reject", `{}`, wang, "", 400, "invalid"},
		{"retry in review", staff + "retry", `{}`, wang, "", 409, "not_allowed_now"},
		{"abandon in review", staff + "abandon", `{}`, wang, "", 409, "not_allowed_now"},
		{"resolve without evidence", staff + "resolve", `{"resolution":"paid"}`, wang, "", 400, "invalid"},
		{"resolve as what", staff + "resolve", `{"resolution":"lost","evidence":"x"}`, wang, "", 400, "invalid"},
		{"limit", "/staff/refunds?limit=many", "", wang, "", 400, "invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := must(t, tc.status, tc.by, s.url+tc.path, tc.body, "Idempotency-Key", tc.key)
			require.Equal(t, tc.code, v["error"], v)
		})
	}
	require.EqualValues(t, 97, s.number(t, `SELECT stock FROM inventory WHERE sku = 'cup'`))
	require.EqualValues(t, 1, s.number(t, `SELECT count(*) FROM orders`))
	o, err := s.app.Service.Order(bg, "ORD-1")
	require.NoError(t, err)
	require.Len(t, o.History, 1)
	require.EqualValues(t, 4990, o.Reserved)
}

// TestNothingInPart checks that a refusal by the shop leaves nothing in orderfsm's tables, and that
// a refusal by orderfsm leaves nothing in the shop's.
func TestNothingInPart(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := openShop(t, dsn)
		must(t, 201, li, s.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"tea","quantity":1},{"sku":"pot","quantity":1}]}`)
		must(t, 202, li, s.url+"/orders/ORD-1/refunds", `{"skus":["tea"]}`, "Idempotency-Key", "a")
		// The amount would fit, but another refund has the tea.
		v := must(t, 409, li, s.url+"/orders/ORD-1/refunds", `{"skus":["tea"]}`, "Idempotency-Key", "b")
		require.Equal(t, "conflict", v["error"])
		o, err := s.app.Service.Order(bg, "ORD-1")
		require.NoError(t, err)
		require.Len(t, o.Refunds, 1)
		// orderfsm refuses the number and the long reason, and no item is claimed.
		_, err = s.app.Shop.requestRefund(bg, "li", "ORD-1", "a*", []string{"pot"}, strings.Repeat("x", 5000))
		require.ErrorIs(t, err, order.ErrInvalid)
		require.Zero(t, s.number(t, `SELECT count(*) FROM order_items WHERE sku = 'pot' AND refund_no <> ''`))
		// After the rejection the tea is free, and the old key still means the old refund.
		must(t, 200, wang, s.url+"/staff/orders/ORD-1/refunds/ORD-1_a/reject", `{"note":"opened"}`)
		v = must(t, 202, li, s.url+"/orders/ORD-1/refunds", `{"skus":["tea"]}`, "Idempotency-Key", "a")
		require.Equal(t, []any{string(order.StateRejected), "opened"}, []any{v["state"], v["note"]})
		must(t, 202, li, s.url+"/orders/ORD-1/refunds", `{"skus":["tea"]}`, "Idempotency-Key", "b")
		must(t, 202, li, s.url+"/orders/ORD-1/refunds", `{"skus":["pot"]}`, "Idempotency-Key", "B") // another number than b
		must(t, 200, wang, s.url+"/staff/orders/ORD-1/refunds/ORD-1_b/approve", `{"amount":4990}`)
		require.Eventually(t, func() bool {
			return must(t, 200, li, s.url+"/orders/ORD-1", "")["refunded"] == float64(4990)
		}, patience, 20*time.Millisecond)
		require.EqualValues(t, 100, s.number(t, `SELECT stock FROM inventory WHERE sku = 'tea'`))
		require.EqualValues(t, 99, s.number(t, `SELECT stock FROM inventory WHERE sku = 'pot'`))
		note := strings.Repeat("有划痕", 400) // almost the longest note
		must(t, 200, wang, s.url+"/staff/orders/ORD-1/refunds/ORD-1_B/reject", `{"note":"`+note+`"}`)
		v = must(t, 200, li, s.url+"/orders/ORD-1", "")
		require.Contains(t, v["messages"], "Your refund of 128.00 yuan was refused: "+note)
	})
}

func TestStatus(t *testing.T) {
	for err, want := range map[error]int{
		refund.ErrUnsettled:    409,
		order.ErrVetoed:        409,
		refund.ErrLimit:        422,
		sqlstore.ErrCommit:     503,
		errors.New("the disk"): 500,
	} {
		got, _ := status(fmt.Errorf("wrapped: %w", err))
		require.Equal(t, want, got, err)
	}
}

func TestParse(t *testing.T) {
	full := map[string]string{
		"WECHAT_APPID": "wx1", "WECHAT_MCH_ID": "1", "WECHAT_API_KEY": "0123456789ABCDEFGHIJKLMNOPQRSTUV", "WECHAT_P12_FILE": "x.p12",
	}
	bad := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(bad, []byte("no certificate"), 0o600))
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		real bool
		want []string // in the error
	}{
		{"nothing: the simulator", nil, nil, false, nil},
		{"an account", nil, full, true, nil},
		{"half an account", []string{"-appid", "wx1"}, nil, false, []string{"-mch-id", "WECHAT_API_KEY", "-p12-file"}},
		{"only an address", []string{"-notify-url", "https://shop.example/"}, nil, false, []string{"-appid"}},
		{"no certificate", []string{"-ca-file", bad}, full, true, []string{"holds no certificate"}},
		{"stray argument", []string{"now"}, nil, false, []string{`"now"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			cfg, err := parse(tc.args, func(name string) string { return tc.env[name] }, &out)
			if len(tc.want) == 0 {
				require.NoError(t, err)
				require.Equal(t, tc.real, cfg.real())
				require.Contains(t, cfg.provider(), "REAL MONEY")
			}
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	var out bytes.Buffer
	secret := map[string]string{"WECHAT_API_KEY": "secret", "SHOP_DSN": "postgres://shop:secret@127.0.0.1/shop"}
	cfg, err := parse([]string{"-h"}, func(name string) string { return secret[name] }, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, out.String(), "WECHAT_P12_FILE")
	require.NotContains(t, out.String(), "secret")
	require.NotContains(t, fmt.Sprintf("%+v", cfg.Account), "secret")
}
