package order_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func TestRefundNumberIsValidated(t *testing.T) {
	for _, number := range []string{"1", "R-2025_03|01*@", "AZaz09", strings.Repeat("Z", 64), "-"} {
		require.NoError(t, order.ValidateRefundNo(number))
	}
	for _, number := range []string{
		"", strings.Repeat("Z", 65), "R 1", " R1", "R1 ", "R1\n", "R1\x00", "\xff", "退款1", "R1🙂", "R/1", "R.1", "R#1", "Ｒ1",
	} {
		var e *order.InvalidError
		require.ErrorAs(t, order.ValidateRefundNo(number), &e, "%q", number)
		require.Equal(t, "refund_no", e.Field)
	}
}

func TestOrderIsValidated(t *testing.T) {
	require.NoError(t, newOrder(1).Validate())
	require.NoError(t, newOrder(order.MaxAmount).Validate())
	for name, c := range map[string]struct {
		spoil func(o *order.Order)
		field string // "" is valid
	}{
		"id empty":               {func(o *order.Order) { o.ID = "" }, "id"},
		"id of 64":               {func(o *order.Order) { o.ID = strings.Repeat("x", 64) }, ""},
		"id of 65":               {func(o *order.Order) { o.ID = strings.Repeat("x", 65) }, "id"},
		"id with end space":      {func(o *order.Order) { o.ID = "O1 " }, "id"},
		"id with first space":    {func(o *order.Order) { o.ID = "\u00a0O1" }, "id"},
		"id with inner space":    {func(o *order.Order) { o.ID = "O 1" }, ""},
		"id with NUL":            {func(o *order.Order) { o.ID = "O\x001" }, "id"},
		"id with new line":       {func(o *order.Order) { o.ID = "O\n1" }, "id"},
		"id not UTF-8":           {func(o *order.Order) { o.ID = "O\xff" }, "id"},
		"id in Chinese":          {func(o *order.Order) { o.ID = "订单1" }, ""},
		"payment id empty":       {func(o *order.Order) { o.PaymentID = "" }, ""},
		"payment id of 65":       {func(o *order.Order) { o.PaymentID = strings.Repeat("4", 65) }, "payment_id"},
		"payment id with tab":    {func(o *order.Order) { o.PaymentID = "4\t2" }, "payment_id"},
		"gateway empty":          {func(o *order.Order) { o.Gateway = "" }, "gateway"},
		"gateway capital":        {func(o *order.Order) { o.Gateway = "WeChat" }, "gateway"},
		"gateway with space":     {func(o *order.Order) { o.Gateway = "we chat" }, "gateway"},
		"gateway of 33":          {func(o *order.Order) { o.Gateway = strings.Repeat("g", 33) }, "gateway"},
		"gateway of 32":          {func(o *order.Order) { o.Gateway = strings.Repeat("g", 32) }, ""},
		"gateway with its signs": {func(o *order.Order) { o.Gateway = "wechat-v2.cn_1" }, ""},
		"currency empty":         {func(o *order.Order) { o.Currency = "" }, "currency"},
		"currency small":         {func(o *order.Order) { o.Currency = "cny" }, "currency"},
		"currency with digit":    {func(o *order.Order) { o.Currency = "C1Y" }, "currency"},
		"currency too long":      {func(o *order.Order) { o.Currency = "CNYY" }, "currency"},
		"total zero":             {func(o *order.Order) { o.Total = 0 }, "total"},
		"total negative":         {func(o *order.Order) { o.Total = math.MinInt64 }, "total"},
		"total too large":        {func(o *order.Order) { o.Total = order.MaxAmount + 1 }, "total"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrder(100)
			c.spoil(o)
			err := o.Validate()
			if c.field == "" {
				require.NoError(t, err)
				return
			}
			var e *order.InvalidError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.field, e.Field)
			require.ErrorIs(t, err, order.ErrInvalid)
		})
	}
}

func actorOf(n int) order.Actor { return order.Actor(strings.Repeat("a", n)) }

func TestTriggerIsValidated(t *testing.T) {
	m := newMachine(t)
	for name, c := range map[string]struct {
		spoil func(in *order.Trigger)
		field string // "" is valid
	}{
		"refund number empty": {func(in *order.Trigger) { in.RefundNo = "" }, "refund_no"},
		"actor empty":         {func(in *order.Trigger) { in.Actor = "" }, "actor"},
		"actor of 128":        {func(in *order.Trigger) { in.Actor = actorOf(128) }, ""},
		"actor of 129":        {func(in *order.Trigger) { in.Actor = actorOf(129) }, "actor"},
		"actor blank":         {func(in *order.Trigger) { in.Actor = " " }, "actor"},
		"actor with new line": {func(in *order.Trigger) { in.Actor = "a\nb" }, "actor"},
		"actor not UTF-8":     {func(in *order.Trigger) { in.Actor = "\xc3" }, "actor"},
		"actor in Chinese":    {func(in *order.Trigger) { in.Actor = "客服 7" }, ""},
		"note of 4096":        {func(in *order.Trigger) { in.Note = strings.Repeat("n", 4096) }, ""},
		"note of 4097":        {func(in *order.Trigger) { in.Note = strings.Repeat("n", 4097) }, "note"},
		"note with NUL":       {func(in *order.Trigger) { in.Note = "a\x00" }, "note"},
		"note with escape":    {func(in *order.Trigger) { in.Note = "\x1b[31m" }, "note"},
		"note not UTF-8":      {func(in *order.Trigger) { in.Note = "\xed\xa0\x80" }, "note"},
		"note with lines":     {func(in *order.Trigger) { in.Note = "one\r\n\ttwo " }, ""},
		"note empty":          {func(in *order.Trigger) { in.Note = "" }, ""},
		"reason with emoji":   {func(in *order.Trigger) { in.Reason = "太小了 😢👨‍👩‍👧" }, ""},
		"reason of 4097":      {func(in *order.Trigger) { in.Reason = strings.Repeat("é", 2048) + "x" }, "reason"},
		"reason with DEL":     {func(in *order.Trigger) { in.Reason = "\x7f" }, "reason"},
		"reason not UTF-8":    {func(in *order.Trigger) { in.Reason = "\xf0\x9f\x98" }, "reason"},
		"year 1":              {func(in *order.Trigger) { in.At = time.Time{}.Add(1) }, ""},
		"year 9999": {func(in *order.Trigger) {
			in.At = time.Date(9999, 12, 31, 23, 0,
				0, 0, time.UTC)
		}, ""},
		"time not set": {func(in *order.Trigger) { in.At = time.Time{} }, "at"},
		"year 10000 in UTC": {func(in *order.Trigger) {
			in.At = time.Date(9999, 12, 31, 23, 0,
				0, 0, time.FixedZone("west", -3600))
		}, "at"},
		"year 0":                {func(in *order.Trigger) { in.At = time.Time{}.Add(-1) }, "at"},
		"zero time, other zone": {func(in *order.Trigger) { in.At = time.Time{}.In(time.FixedZone("east", 8*3600)) }, "at"},
	} {
		t.Run(name, func(t *testing.T) {
			o, in := newOrder(100), trigger(order.EventRequestRefund, "R1", 60)
			c.spoil(&in)
			if c.field == "" {
				_, err := m.Fire(context.Background(), o, in)
				require.NoError(t, err)
				return
			}
			var e *order.InvalidError
			require.ErrorAs(t, refuse(t, m, o, in), &e)
			require.Equal(t, c.field, e.Field)
		})
	}
}

func FuzzValidateRefundNo(f *testing.F) {
	for _, s := range []string{"R1", "", "a b", "\x00", "退", strings.Repeat("x", 65)} {
		f.Add(s)
	}
	const signs = "_-|*@0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	f.Fuzz(func(t *testing.T, number string) {
		ok := len(number) >= 1 && len(number) <= 64 && strings.Trim(number, signs) == "" &&
			!strings.ContainsFunc(number,
				func(r rune) bool { return !strings.ContainsRune(signs, r) })
		require.Equal(t, ok, order.ValidateRefundNo(number) == nil)
	})
}

// FuzzFire throws anything at an order in any state: no panic, nothing changed on an error, sound
// on success.
func FuzzFire(f *testing.F) {
	f.Add(uint8(0), "request_refund", "R2", int64(40), "why", "buyer:1", "note", int64(1))
	f.Add(uint8(1), "reject", "R1", int64(0), "", "staff:7", " ", int64(1))
	f.Add(uint8(8), "adopt", "R1", int64(math.MaxInt64), "\xff", "", "", int64(math.MaxInt64))
	f.Add(uint8(0), "request_refund", "R2", int64(40), "", "buyer:1", "", int64(1<<60))
	m, err := order.NewMachine(order.Options{Rows: reviewRows()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, state uint8, ev, number string, amount int64, reason, actor,
		note string, at int64,
	) {
		o := inState(t, m, coreStates()[int(state)%len(coreStates())])
		before := o.Clone()
		_, err := m.Fire(context.Background(), o, order.Trigger{
			Event: order.Event(ev), RefundNo: number, Amount: amount, Reason: reason,
			Actor: order.Actor(actor), Note: note,
			At: time.Unix(at, 0),
		})
		if err != nil {
			require.Equal(t, before, o)
			return
		}
		require.NoError(t, m.Verify(o))
		toJSON(t, o)
	})
}
