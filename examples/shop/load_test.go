package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

// TestLoad checks that the books agree after 16 concurrent clients. They repeat requests and
// compete with each other, while answers are lost, notifications are forged and refunds fail.
func TestLoad(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		orders := 12 // for each client; about 5,000 requests in all
		switch {
		case testing.Short():
			orders = 2
		case raceDetector:
			orders = 3 // SQLite in Go is ten times slower with it
		case strings.Contains(dsn, "@"):
			orders = 6
		}
		s := openShop(t, dsn)
		_, err := s.app.DB.exec(bg, `UPDATE inventory SET stock = 1000000`)
		require.NoError(t, err)
		l := &load{opened: s}
		began := time.Now()
		var clients sync.WaitGroup
		for c := range 16 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				rng := rand.New(rand.NewPCG(7, uint64(c)))
				for i := range orders {
					l.visit(rng, fmt.Sprintf("L-%d-%d", c, i))
				}
			}()
		}
		clients.Wait()
		l.finish(t)
		require.Empty(t, l.wrong, "unexpected answers; log:\n%s", s.log)
		l.compare(t, 16*orders)
		t.Logf("%d requests in %v", l.requests.Load(), time.Since(began).Round(time.Millisecond))
	})
}

type load struct {
	*opened
	requests atomic.Int64

	mu    sync.Mutex
	wrong []string
}

// want sends a request, records an answer with any other status than statuses, and returns the
// answer.
func (l *load) want(
	statuses []int, by who, path, body string, headers ...string,
) (int, map[string]any) {
	l.requests.Add(1)
	status, v, err := send(by, l.url+path, body, headers...)
	if err != nil || !slices.Contains(statuses, status) {
		l.blame("%s %s: %d %v %v, want %v", path, body, status, v, err, statuses)
	}
	return status, v
}

func (l *load) blame(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// atOnce calls functions concurrently.
func atOnce(things ...func()) {
	var all sync.WaitGroup
	for _, do := range things {
		all.Add(1)
		go func() { defer all.Done(); do() }()
	}
	all.Wait()
}

// visit places one order, requests refunds of it, and decides on them.
func (l *load) visit(rng *rand.Rand, id string) {
	place := func() {
		l.want([]int{201}, li, "/orders", `{"order_id":"`+id+`","items":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1},{"sku":"pot","quantity":1}]}`)
	}
	atOnce(place, place)
	l.want([]int{404}, wu, "/orders/"+id, "")
	l.want([]int{409}, wu, "/orders", `{"order_id":"`+id+`","items":[{"sku":"tea","quantity":2}]}`)

	ask := func(key, skus string, statuses ...int) int {
		status, v := l.want(statuses, li, "/orders/"+id+"/refunds", `{"skus":[`+skus+`],"reason":"no"}`, "Idempotency-Key", key)
		if number := id + "_" + key; status == 202 && v["refund_no"] != number {
			l.blame("%s: refund %v", number, v)
		}
		return status
	}
	again := func() { ask("a", `"tea"`, 202) }
	atOnce(again, again, again)
	// Of two refunds for one item, only one gets it.
	var got [2]int
	atOnce(func() { got[0] = ask("b", `"cup"`, 202, 409) }, func() { got[1] = ask("c", `"cup"`, 202, 409) })
	if got[0] == got[1] {
		l.blame("%s: the cup: %v", id, got)
	}
	ask("d", `"pot","tea"`, 409, 422)
	ask("a", `"pot"`, 409)
	ask("e", `"pot"`, 202)
	l.want([]int{404}, wang, "/staff/orders/"+id+"/refunds/"+id+"_x/approve", `{"amount":1}`)
	l.want([]int{409}, wang, "/staff/orders/"+id+"/refunds/"+id+"_a/approve", `{"amount":1}`)
	l.queue(rng)

	cup := "b"
	if got[1] == 202 {
		cup = "c"
	}
	for key, amount := range map[string]int{"a": 9980, cup: 1500, "e": 12800} {
		l.fault(rng)
		l.decide(rng, "/orders/"+id+"/refunds/"+id+"_"+key, amount)
		l.forge(rng, id+"_"+key)
	}
	l.want([]int{200}, li, "/orders/"+id, "")
}

// decide makes a decision twice, or two contrary decisions at the same time. One of two contrary
// decisions must win.
func (l *load) decide(rng *rand.Rand, path string, amount int) {
	var won [2]int
	approve := func(i int) func() {
		return func() {
			won[i], _ = l.want([]int{200, 409}, wang, "/staff"+path+"/approve", fmt.Sprintf(`{"amount":%d}`, amount))
		}
	}
	reject := func(i int) func() {
		return func() { won[i], _ = l.want([]int{200, 409}, wang, "/staff"+path+"/reject", `{"note":"worn"}`) }
	}
	cancel := func(i int) func() {
		return func() { won[i], _ = l.want([]int{200, 409}, li, path+"/cancel", `{}`) }
	}
	want := [2]int{200, 409}
	switch rng.IntN(8) {
	case 0:
		atOnce(approve(0), reject(1))
	case 1:
		atOnce(approve(0), cancel(1))
	case 2:
		atOnce(reject(0), cancel(1))
	case 3:
		want[1] = 200
		atOnce(reject(0), reject(1))
	case 4:
		want[1] = 200
		atOnce(cancel(0), cancel(1))
	default:
		want[1] = 200
		atOnce(approve(0), approve(1))
	}
	if slices.Sort(won[:]); won != want {
		l.blame("%s: decisions %v, want %v", path, won, want)
	}
}

// queue reads two pages of the review queue and the list of stuck refunds.
func (l *load) queue(rng *rand.Rand) {
	if rng.IntN(4) != 0 {
		return
	}
	_, page := l.want([]int{200}, wang, "/staff/refunds?limit=3", "")
	if next, _ := page["next"].(string); next != "" {
		l.want([]int{200}, wang, "/staff/refunds?limit=3&after="+next, "")
	}
	l.want([]int{200}, wang, "/staff/refunds/stuck", "")
	l.want([]int{400}, wang, "/staff/refunds?after=nonsense", "")
	l.want([]int{401}, li, "/staff/refunds", "")
}

// fault sometimes injects a fault into WeChat Pay.
func (l *load) fault(rng *rand.Rand) {
	faults := []wechattest.Fault{
		wechattest.LoseAnswer(), wechattest.LoseAnswer().NotExecuted(),
		wechattest.Status(http.StatusBadGateway), wechattest.Truncate(), wechattest.WrongSign(),
		wechattest.ErrCode("REFUNDNOTEXIST", "not exist", false).On(wechattest.PathQuery),
		wechattest.EndsAs(wechattest.StatusChange),
		wechattest.EndsAs(wechattest.StatusClosed),
		wechattest.ErrCode("SYSTEMERROR", "", true).On(wechattest.PathRefund),
		wechattest.ErrCode("NOTENOUGH", "", false).On(wechattest.PathRefund),
	}
	notices := []wechattest.NoticeFault{
		wechattest.LoseNotice(), wechattest.TwiceAtOnce(), wechattest.TwiceAtOnce(),
		wechattest.ContentField("refund_fee", "1"),
		wechattest.WrongKey("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"), wechattest.ContentField("refund_status", "SUCCESS"),
	}
	if i := rng.IntN(3 * len(faults)); i < len(faults) {
		l.sim.Inject(faults[i])
	}
	if i := rng.IntN(2 * len(notices)); i < len(notices) {
		l.sim.InjectNotice(notices[i])
	}
}

// forge sends a repeated, a spliced and a meaningless notification. If one has an effect, the books
// differ.
func (l *load) forge(rng *rand.Rand, refundNo string) {
	nobody := who{"X-Nobody", ""}
	if body, err := l.sim.Notification(refundNo); err == nil {
		l.want([]int{200}, nobody, notifyPath, string(body))
		half := len(body) / 2
		l.want([]int{200, 400}, nobody, notifyPath, string(body[:half])+"AAAAAAAAAAAAAAAA"+string(body[half:]))
	}
	if rng.IntN(3) == 0 {
		l.want([]int{200, 400}, nobody, notifyPath, "<xml><return_code>SUCCESS</return_code><req_info>c3VjY2Vzcw==</req_info></xml>")
	}
}

// finish acts as an operator until no refund is open. It retries a failed refund once and then
// abandons it, and resolves abnormal refunds.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.sim.ClearInjected()
	tried := map[any]bool{}
	require.Eventually(t, func() bool {
		open := 0
		for _, state := range []order.State{
			order.StateApproved, order.StateFailed, order.StateAbnormal, order.StateRefundRequested,
		} {
			_, page := l.want([]int{200}, wang, "/staff/refunds?limit=500&state="+string(state), "")
			refunds, _ := page["refunds"].([]any)
			open += len(refunds)
			for _, entry := range refunds {
				r, _ := entry.(map[string]any)
				path := fmt.Sprintf("/staff/orders/%v/refunds/%v/", r["order_id"], r["refund_no"])
				switch number := r["refund_no"]; {
				case state == order.StateAbnormal:
					l.want([]int{200, 409}, wang, path+"resolve", `{"resolution":"paid","evidence":"bank receipt 8812"}`)
				case state == order.StateFailed && !tried[number]:
					tried[number] = true
					l.want([]int{200}, wang, path+"retry", `{"note":"topped up"}`)
				case state == order.StateFailed:
					l.want([]int{200, 409}, wang, path+"abandon", `{"note":"closed"}`)
				}
			}
		}
		return open == 0 && l.number(t, `SELECT count(*) FROM messages WHERE sent_at = 0`) == 0
	}, patience, 50*time.Millisecond, "log:\n%s", l.log)
}

// compare compares the shop's rows, orderfsm's rows and WeChat Pay's ledger.
func (l *load) compare(t *testing.T, orders int) {
	t.Helper()
	machine, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	ids, err := each(bg, l.app.DB, func(id *string) []any { return []any{id} }, `SELECT id FROM orders`)
	require.NoError(t, err)
	require.Len(t, ids, orders)
	gone := map[string]int64{} // from stock
	ends := map[order.State]int{}
	for _, id := range ids {
		o, err := l.app.Service.Order(bg, id)
		require.NoError(t, err)
		require.NoError(t, machine.Verify(o))
		require.Zero(t, o.Reserved)
		require.LessOrEqual(t, o.Refunded, o.Total)
		require.Equal(t, l.sim.PaidTotal(id), o.Refunded, "order %s: paid and booked", id)
		items, err := l.app.Shop.items(bg, id, false)
		require.NoError(t, err)
		amounts := map[string]int64{}
		for _, it := range items {
			amounts[it.RefundNo] += it.Price * it.Quantity
			if it.RefundNo == "" {
				gone[it.SKU] += it.Quantity
			}
		}
		for _, r := range o.Refunds {
			ends[r.State]++
			messages := l.number(t, `SELECT count(*) FROM messages WHERE refund_no = ?`, r.No)
			switch r.State {
			case order.StateRefunded:
				require.Equal(t, r.Amount, amounts[r.No], "lines of refund %s", r.No)
				require.EqualValues(t, 1, messages, r.No)
			case order.StateRejected, order.StateAbandoned:
				require.Zero(t, amounts[r.No], r.No)
				require.EqualValues(t, 1, messages, r.No)
			default:
				require.Equal(t, order.StateCancelled, r.State)
				require.Zero(t, amounts[r.No], r.No)
				require.Zero(t, messages, r.No)
			}
		}
	}
	for _, e := range l.sim.Ledger() {
		require.Equal(t, 1, e.Payments, e.OutRefundNo)
	}
	for sku, n := range gone {
		require.Equal(t, 1000000-n, l.number(t, `SELECT stock FROM inventory WHERE sku = ?`, sku), "stock of %s", sku)
	}
	require.Positive(t, ends[order.StateRefunded])
	t.Logf("%d orders; refunds by final state: %v", orders, ends)
}
