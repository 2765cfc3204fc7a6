package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestTexts: text is stored exactly, or refused with the name of its field.
func TestTexts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		for i, text := range []string{
			`'; DROP TABLE orderfsm_orders; --`, `" OR 1=1`, `\' \\ \n`, "emoji 👕🇨🇳 漢字 ñ", "%_?$1:name",
			" space at both ends ", "\ttab\r\n", "",
			strings.Repeat("长", 16000),
		} {
			id := fmt.Sprintf("O-%d", i)
			o := newOrder(id)
			request(t, o, "R-"+id, 1)
			r := &o.Refunds[0]
			r.Reason, r.ReviewNote, o.History[0].Note = text, text, text
			r.Message = text[:min(len(text), order.MaxMessage/3*3)] // of whole characters
			require.NoError(t, s.Create(bg, o))
			got, err := refund.LoadOrder(bg, s, id)
			require.NoError(t, err)
			require.Equal(t, o.Refunds, got.Refunds)
			require.Equal(t, o.History, got.History)
		}
		for _, id := range []string{`'; DROP TABLE`, "o-1 ", "O-1\\", "单号", `"`, "O-1' OR '1'='1"} {
			_, err := s.Get(bg, id)
			require.ErrorIs(t, err, refund.ErrOrderNotFound, id)
			require.NoError(t, s.Create(bg, newOrder(strings.TrimSpace(id)+"x")))
		}
		blank := newOrder("O-bad")
		request(t, blank, "R-bad", 1)
		for part, of := range []func(o *order.Order) reflect.Value{
			func(o *order.Order) reflect.Value { return reflect.ValueOf(o).Elem() },
			func(o *order.Order) reflect.Value { return reflect.ValueOf(&o.Refunds[0]).Elem() },
			func(o *order.Order) reflect.Value { return reflect.ValueOf(&o.History[0]).Elem() },
		} {
			for i := range of(blank).NumField() {
				if of(blank).Field(i).Kind() != reflect.String {
					continue
				}
				field, _, _ := strings.Cut(of(blank).Type().Field(i).Tag.Get("json"), ",")
				for _, text := range []string{"a\x00b", "\xff", strings.Repeat("x", 65536)} {
					o := blank.Clone()
					of(o).Field(i).SetString(text)
					err := s.Create(bg, o)
					require.ErrorIs(t, err, order.ErrInvalid, "%s of %d", field, part)
					require.ErrorContains(t, err, field+": ")
				}
			}
		}
		_, err := s.Get(bg, "O-bad")
		require.ErrorIs(t, err, refund.ErrOrderNotFound)
	})
}

// TestConstraints: the constraints of the tables keep the invariants, whoever writes.
func TestConstraints(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 60)
		require.NoError(t, s.Create(bg, o))
		for _, bad := range []string{
			"UPDATE orderfsm_orders SET reserved = 101",
			"UPDATE orderfsm_orders SET refunded = 41",
			"UPDATE orderfsm_orders SET refunded = -1",
			"UPDATE orderfsm_orders SET total = 0",
			"UPDATE orderfsm_refunds SET amount = 0",
			"UPDATE orderfsm_refunds SET order_id = 'O-9'",
			"UPDATE orderfsm_transitions SET seq = 0",
			"INSERT INTO orderfsm_transitions SELECT * FROM orderfsm_transitions",
			"INSERT INTO orderfsm_refunds SELECT * FROM orderfsm_refunds",
			"DELETE FROM orderfsm_orders",
		} {
			_, err := db.ExecContext(bg, bad)
			require.Error(t, err, bad)
		}
		requireLegal(t, s, "O-1")

		// What the provider paid beyond the total is stored, as excess.
		require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			o.Refunded = 70
			return nil
		}))
		var excess int64
		require.NoError(t,
			db.QueryRowContext(bg, "SELECT excess FROM orderfsm_orders").Scan(&excess))
		require.EqualValues(t, 30, excess)
	})
}

// TestOnlyAdded: refunds are only added.
func TestOnlyAdded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		request(t, o, "R-2", 10)
		require.NoError(t, s.Create(bg, o))
		before := requireLegal(t, s, "O-1")
		for name, change := range map[string]func(o *order.Order){
			"refund removed": func(o *order.Order) { o.Refunds = o.Refunds[:1] },
			"refunds swapped": func(o *order.Order) {
				o.Refunds[0], o.Refunds[1] = o.Refunds[1], o.Refunds[0]
			},
			"another ID": func(o *order.Order) { o.ID = "O-2" },
		} {
			err := s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
				change(o)
				return nil
			})
			require.ErrorIs(t, err, order.ErrInvalid, name)
			require.Equal(t, before, requireLegal(t, s, "O-1"))
		}
	})
}

// TestReadOnly: a command on a read-only database returns a clear error, and reads work.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		s := d.on(t, d.connect(t, dsn))
		require.NoError(t, s.Migrate(bg))
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		var db *sql.DB
		switch d.dialect {
		case sqlstore.SQLite:
			db = d.connect(t, with(dsn, "_pragma=query_only(1)"))
		case sqlstore.PostgreSQL:
			db = d.connect(t, with(dsn, "default_transaction_read_only=on"))
		case sqlstore.MySQL: // whose variable has another name in MariaDB
			db = d.connect(t, dsn)
			keep(db, 1)
			_, err := db.ExecContext(bg, "SET SESSION TRANSACTION READ ONLY")
			require.NoError(t, err)
		}
		ro := d.on(t, db)
		require.NoError(t, ro.Migrate(bg), "it changes nothing")
		err := ask(bg, service(t, ro, refund.Options{}), "O-1", "R-1", 60)
		require.Error(t, err)
		// readonly, READ ONLY
		require.Contains(t, strings.ToLower(strings.ReplaceAll(err.Error(), "-", "")), "read")
		requireLegal(t, ro, "O-1")
		_, err = ro.Due(bg, refund.DueQuery{Now: at(9), Beyond: at(10), Limit: 10})
		require.NoError(t, err, "what only reads works on")
		_, err = ro.Due(bg, refund.DueQuery{Now: at(9), Limit: 10, Except: []string{"other"}})
		require.NoError(t, err)
		_, err = ro.ListRefunds(bg, refund.Filter{
			States: []order.State{order.StateRefundRequested, order.StateFailed},
		})
		require.NoError(t, err)
		require.Empty(t, requireLegal(t, s, "O-1").Refunds)
	})
}

// TestDiskFull: a full disk leaves nothing half written.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := databases()[0]
	dsn := d.fresh(t)
	s := d.on(t, d.connect(t, dsn))
	require.NoError(t, s.Migrate(bg))
	full := d.on(t, d.connect(t, with(dsn, "_pragma=max_page_count(60)")))
	svc := service(t, full, refund.Options{})
	register(t, svc, "O-1")
	taken := 0
	for i := range 100 {
		_, err := svc.Request(bg, refund.RequestParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: fmt.Sprintf("R-%d", i)}, Amount: 1, Actor: "buyer:1",
			Reason: strings.Repeat("r", 4000),
		})
		if err != nil {
			require.ErrorContains(t, err, "full")
			break
		}
		taken++
	}
	require.Positive(t, taken)
	require.Less(t, taken, 100)
	require.Len(t, requireLegal(t, s, "O-1").Refunds, taken)
	require.NoError(t, ask(bg, service(t, s, refund.Options{}), "O-1", "R-more", 1),
		"with room again it works on")
}

// TestTimeZones: the time zone of a session changes nothing.
func TestTimeZones(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		s := d.on(t, d.connect(t, dsn))
		require.NoError(t, s.Migrate(bg))
		o := newOrder("O-1")
		request(t, o, "R-1", 60)
		require.NoError(t, s.Create(bg, o))
		param := map[sqlstore.Dialect]string{
			sqlstore.SQLite:     "_time_format=sqlite",
			sqlstore.PostgreSQL: "timezone=" + url.QueryEscape("Asia/Shanghai"),
			sqlstore.MySQL:      "parseTime=true&loc=Local&time_zone=" + url.QueryEscape("'+08:00'"),
		}[d.dialect]
		far := d.on(t, d.connect(t, with(dsn, param)))
		got, err := refund.LoadOrder(bg, far, "O-1")
		require.NoError(t, err)
		want, err := refund.LoadOrder(bg, s, "O-1")
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, at(1), got.History[0].At)
		require.NoError(t, far.Create(bg, newOrder("O-2")))
		two, err := s.Get(bg, "O-2")
		require.NoError(t, err)
		require.Equal(t, at(0), two.CreatedAt)
	})
}

// TestTimeout: if the database stops waiting for a lock or for a slow statement, the error is
// clear, and nothing is changed.
func TestTimeout(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		db := d.connect(t, dsn)
		s := d.on(t, db)
		require.NoError(t, s.Migrate(bg))
		params := map[sqlstore.Dialect][]string{
			sqlstore.SQLite:     {"_pragma=busy_timeout(1)"}, // the last one counts
			sqlstore.PostgreSQL: {"statement_timeout=100", "lock_timeout=100"},
			sqlstore.MySQL:      {"innodb_lock_wait_timeout=1", "max_statement_time=0.1"},
		}[d.dialect]
		for i, param := range params {
			if strings.HasPrefix(param, "max_statement_time") && !isMariaDB(t, db) {
				t.Log("MySQL has no time-out for statements that write: that one is unproven")
				continue
			}
			id := fmt.Sprintf("O-%d", i)
			require.NoError(t, s.Create(bg, newOrder(id)))
			hasty, err := sqlstore.New(d.connect(t, with(dsn, param)), d.dialect, sqlstore.Options{
				Retries: -1,
			})
			require.NoError(t, err)
			require.NoError(t, s.Update(bg, id, func(_ context.Context, o *order.Order) error {
				err := hasty.Update(bg, id, func(context.Context, *order.Order) error {
					t.Error("it got the lock")
					return nil
				})
				require.ErrorContains(t, err, "update order "+id)
				require.Regexp(t, "time|locked", err)
				request(t, o, "R-"+id, 60)
				return nil
			}), param)
			require.Len(t, requireLegal(t, s, id).Refunds, 1)
			require.NoError(t, ask(bg, service(t, hasty, refund.Options{}), id, "R-"+id+"-2", 40))
		}
	})
}

func isMariaDB(t *testing.T, db *sql.DB) bool {
	t.Helper()
	var version string
	require.NoError(t, db.QueryRowContext(bg, "SELECT VERSION()").Scan(&version))
	return strings.Contains(version, "MariaDB")
}

// TestInjection: arguments of callers are never SQL.
func TestInjection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		evil := `x' OR '1'='1"; DROP TABLE orderfsm_orders; -- \`
		for i, gateway := range []string{"bank", evil[:32]} {
			o := newOrder([]string{"O-1", evil}[i])
			o.Gateway = gateway
			number := fmt.Sprintf("R-%d", i)
			request(t, o, number, 60)
			_, err := newMachine(t).Fire(bg, o, order.Trigger{
				Event: order.EventApprove, RefundNo: number, Actor: "staff:1", At: at(2),
			})
			require.NoError(t, err)
			require.NoError(t, s.Create(bg, o))
			require.NoError(t, s.Update(bg, o.ID, func(_ context.Context, o *order.Order) error {
				o.Refunds[0].Code = evil
				return nil
			}))
			got, err := s.Get(bg, o.ID)
			require.NoError(t, err)
			require.Equal(t, evil, got.Refund(number).Code)
		}
		due, err := s.Due(bg, refund.DueQuery{
			Now: at(1 << 30), Limit: 10, Except: []string{evil[:32]},
		})
		require.NoError(t, err)
		require.Len(t, due, 1)
		for found, f := range map[int]refund.Filter{
			0: {States: []order.State{order.State(evil)}},
			1: {OrderIDContains: `' OR '1'='1`},
			2: {},
		} {
			page, err := s.ListRefunds(bg, f)
			require.NoError(t, err)
			require.Len(t, page.Entries, found)
		}
		page, err := s.ListRefunds(bg, refund.Filter{
			Gateway: evil[:32],
			After: &refund.Position{
				RequestedAt: at(0), Ref: refund.Ref{OrderID: evil, RefundNo: evil},
			},
		})
		require.NoError(t, err)
		require.Equal(t, evil, page.Entries[0].OrderID)
	})
}
