package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// recorder records the statements of a store.
type recorder struct {
	txn.Conn
	ran []recorded
}

type recorded struct {
	query string
	args  []any
}

func (r *recorder) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	r.ran = append(r.ran, recorded{query, args})
	return r.Conn.Exec(ctx, query, args...)
}

func (r *recorder) Query(ctx context.Context, query string, args ...any) (txn.Rows, error) {
	r.ran = append(r.ran, recorded{query, args})
	return r.Conn.Query(ctx, query, args...)
}

// plan is how a database executes one statement.
type plan struct {
	// reads are "table: index range" for a range of an index, "table: index" for the whole index,
	// and "table: all". The index of a key is named key.
	reads []string
	sorts bool
	// alone: only an index is read and no table. inside: conditions are compared in the index
	// before the row is read.
	alone, inside bool
	text          string // as the database says it
}

func (p *plan) read(table, index string, ranged bool) {
	// PostgreSQL numbers a table that a statement reads more than once.
	table = regexp.MustCompile(`_\d+$`).ReplaceAllString(table, "")
	what := "key"
	for _, name := range []string{"due", "list", "queue"} {
		if index == "orderfsm_refunds_"+name {
			what = name
		}
	}
	if index == "" {
		what = "all"
	} else if ranged {
		what += " range"
	}
	if r := table + ": " + what; !slices.Contains(p.reads, r) {
		p.reads = append(p.reads, r)
	}
}

// TestPlans: each statement of the store reads a range of an index, in order, before and after the
// database has statistics. SQLite never makes them by itself.
func TestPlans(t *testing.T) {
	t.Parallel()
	machine := newMachine(t)
	byKey := []string{"orderfsm_orders: key range", "orderfsm_refunds: key range"}
	after := &refund.Position{
		RequestedAt: at(10_000 * filledEvery), Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"},
	}
	requested := []order.State{order.StateRefundRequested}
	due := []string{"orderfsm_refunds: due range"}
	queue, all := []string{
		"r: queue range", "o: key range",
	}, []string{"r: list range", "o: key range"}
	alone, inside := func(p plan) bool { return p.alone }, func(p plan) bool { return p.inside }
	list := func(f refund.Filter) func(context.Context, *sqlstore.Store) error {
		return func(ctx context.Context, s *sqlstore.Store) error {
			_, err := s.ListRefunds(ctx, f)
			return err
		}
	}
	dueQuery := func(q refund.DueQuery) func(context.Context, *sqlstore.Store) error {
		return func(ctx context.Context, s *sqlstore.Store) error {
			_, err := s.Due(ctx, q)
			return err
		}
	}
	cases := []struct {
		name  string
		run   func(ctx context.Context, s *sqlstore.Store) error
		want  []string
		sorts bool
		check func(p plan) bool // if any
	}{
		{"get", func(ctx context.Context, s *sqlstore.Store) error {
			_, err := s.Get(ctx, filledID(5))
			return err
		}, byKey, false, nil},
		{"update", func(ctx context.Context, s *sqlstore.Store) error {
			return s.Update(ctx, filledID(1), func(_ context.Context, o *order.Order) error {
				_, err := machine.Fire(ctx, o, order.Trigger{
					Event: order.EventApprove, RefundNo: o.Refunds[0].No, Actor: "staff:1",
					At: at(9),
				})
				return err
			})
		}, byKey, false, nil},
		{"history", func(ctx context.Context, s *sqlstore.Store) error {
			_, err := s.History(ctx, filledID(5), 1, 10)
			return err
		}, []string{"orderfsm_transitions: key range"}, false, nil},
		{"due", dueQuery(refund.DueQuery{Now: at(1 << 30), Limit: 10}), due, false, alone},
		{"due, too far ahead", dueQuery(refund.DueQuery{
			Now: at(0), Beyond: at(1 << 20), Limit: 10,
		}), due, false, alone},
		{"due except", dueQuery(refund.DueQuery{
			Now: at(1 << 30), Beyond: at(1 << 31), Limit: 10, Except: []string{"wechat", "card"},
		}), due, false, alone},
		{"all", list(refund.Filter{}), all, false, nil},
		{"all, on", list(refund.Filter{After: after}), all, false, nil},
		{"all, a time", list(refund.Filter{From: at(3000), To: at(9000)}), all, false, nil},
		{"all, a gateway", list(refund.Filter{Gateway: "alipay"}), all, false, inside},
		{"all, a gateway, on", list(refund.Filter{
			Gateway: "alipay", After: after,
		}), all, false, inside},
		{"all, a text, a time", list(refund.Filter{
			OrderIDContains: "00", From: at(3000), To: at(9000),
		}), all, false, nil},
		{"queue", list(refund.Filter{States: requested}), queue, false, nil},
		{"queue, on", list(refund.Filter{States: requested, After: after}), queue, false, nil},
		{"queue, a time", list(refund.Filter{
			States: requested, From: at(3000), To: at(9000),
		}), queue, false, nil},
		{"queue, a gateway", list(refund.Filter{
			States: requested, Gateway: "alipay",
		}), queue, false, inside},
		{"queue, a text", list(refund.Filter{
			States: requested, OrderIDContains: "00",
		}), queue, false, nil},
		{"a state that most are in", list(refund.Filter{
			States: []order.State{order.StateRefunded},
		}), queue, false, nil},
		{"a state that most are in, on", list(refund.Filter{
			States: []order.State{order.StateRefunded}, After: after,
		}), queue, false, nil},
		{"queues", list(refund.Filter{
			States: []order.State{
				order.StateRefundRequested, order.StateFailed, order.StateAbnormal,
			},
		}), queue, true, nil},
		{"queues, on", list(refund.Filter{
			States: []order.State{order.StateRefundRequested, order.StateRefunded}, After: after,
		}), queue, true, nil},
	}
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		db := d.connect(t, dsn)
		s := d.on(t, db)
		require.NoError(t, s.Migrate(bg))
		refunds := 20_000 // enough for a choice
		if d.dialect == sqlstore.SQLite {
			refunds = 8000 // it is slow under the race detector
		}
		fill(t, d, dsn, refunds)
		for _, counted := range []bool{false, true} {
			if !counted && d.dialect == sqlstore.PostgreSQL {
				continue // it counts by itself, within a minute
			}
			if counted {
				analyze(t, d, dsn)
			}
			for _, tc := range cases {
				t.Run(fmt.Sprintf("%s, counted %v", tc.name, counted), func(t *testing.T) {
					var reads []string
					for _, p := range plans(t, d, db, s, tc.run) {
						require.Equal(t, tc.sorts, p.sorts, p.text)
						require.True(t, tc.check == nil || tc.check(p), p.text)
						reads = append(reads, p.reads...)
					}
					slices.Sort(reads)
					want := slices.Clone(tc.want)
					slices.Sort(want)
					require.Equal(t, want, slices.Compact(reads))
				})
			}
		}
	})
}

// plans runs a method in a transaction that is rolled back, and explains each statement that reads
// or updates.
func plans(
	t *testing.T, d database, db *sql.DB, s *sqlstore.Store,
	run func(context.Context, *sqlstore.Store) error,
) (all []plan) {
	t.Helper()
	tx, err := db.BeginTx(bg, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	rec := &recorder{Conn: txn.SQL(tx, nil)}
	require.NoError(t, run(txn.With(bg, rec), s))
	for _, r := range rec.ran {
		if strings.Contains(r.query, "SAVEPOINT") || strings.HasPrefix(r.query, "INSERT") {
			continue
		}
		p := explain(t, d, tx, r)
		t.Logf("%s\n%s", r.query, p.text)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

func explain(t *testing.T, d database, tx *sql.Tx, r recorded) (p plan) {
	t.Helper()
	switch d.dialect {
	case sqlstore.SQLite:
		for _, row := range table(t, tx, "EXPLAIN QUERY PLAN "+r.query, r.args...) {
			p.sqlite(row["detail"])
		}
		for _, row := range table(t, tx, "EXPLAIN "+r.query, r.args...) {
			p.inside = p.inside || row["opcode"] == "DeferredSeek"
		}
	case sqlstore.MySQL:
		for _, row := range table(t, tx, "EXPLAIN FORMAT = TRADITIONAL "+r.query, r.args...) {
			p.mysql(row)
		}
	case sqlstore.PostgreSQL:
		// As on a connection that lives long: after five executions the plan may be one for any
		// arguments.
		_, err := tx.ExecContext(bg, "PREPARE explained AS "+r.query)
		require.NoError(t, err, r.query)
		var rows []map[string]string
		for range 7 {
			rows = table(t, tx, "EXPLAIN (FORMAT JSON) EXECUTE explained"+literals(r.args))
		}
		_, err = tx.ExecContext(bg, "DEALLOCATE explained")
		require.NoError(t, err)
		var nodes []map[string]any
		p.text = rows[0]["QUERY PLAN"]
		require.NoError(t, json.Unmarshal([]byte(p.text), &nodes))
		p.postgres(nodes[0]["Plan"].(map[string]any))
	}
	return p
}

// sqlite adds a line like "SEARCH r USING INDEX orderfsm_refunds_due (state=? AND
// next_attempt_at<?)".
func (p *plan) sqlite(line string) {
	p.text += line + "\n"
	words := strings.Fields(line)
	p.sorts = p.sorts || strings.Contains(line, "TEMP B-TREE")
	p.alone = p.alone || strings.Contains(line, "COVERING INDEX")
	if words[0] != "SEARCH" && words[0] != "SCAN" ||
		len(words) > 1 && (words[1] == "CONSTANT" || words[1][0] == '(') {
		return // a step that reads no table, or what a subquery gave
	}
	index := ""
	if i := slices.Index(words, "INDEX"); i > 0 {
		index = words[i+1]
	} else if strings.Contains(line, "USING PRIMARY KEY") { // a table without row IDs is this index
		index = "PRIMARY"
	}
	p.read(words[1], index, words[0] == "SEARCH")
}

func (p *plan) mysql(row map[string]string) {
	p.text += fmt.Sprintln(row)
	derived := strings.HasPrefix(row["table"], "<")
	if row["table"] == "" {
		return // the union itself, or a row that is known not to be there
	}
	p.sorts = p.sorts || strings.Contains(row["Extra"], "filesort")
	p.inside = p.inside || strings.Contains(row["Extra"], "Using index condition")
	p.alone = p.alone || strings.HasSuffix(row["Extra"], "Using index")
	if derived {
		return
	}
	// "ref" compares for equality only: in an index that ends in a time, the state and not the
	// time.
	timed := strings.HasPrefix(row["key"], "orderfsm_refunds_")
	p.read(row["table"], row["key"], row["type"] == "range" || !timed && row["type"] != "index")
}

func (p *plan) postgres(node map[string]any) {
	text := func(key string) string { s, _ := node[key].(string); return s }
	p.sorts = p.sorts || strings.HasSuffix(text("Node Type"), "Sort")
	p.alone = p.alone || text("Node Type") == "Index Only Scan"
	p.inside = p.inside || strings.Contains(text("Index Cond"), "gateway")
	switch {
	case text("Node Type") == "Bitmap Heap Scan": // names its table, and the index is below
		for _, below := range node["Plans"].([]any) {
			below.(map[string]any)["Alias"] = text("Alias")
		}
	case text("Alias") != "" && strings.HasSuffix(text("Node Type"), "Scan") &&
		text("Node Type") != "Subquery Scan" && text("CTE Name") == "":
		p.read(text("Alias"), text("Index Name"), text("Index Cond") != "")
	}
	below, _ := node["Plans"].([]any)
	for _, n := range below {
		p.postgres(n.(map[string]any))
	}
}

// literals returns arguments as SQL, for a statement that takes none.
func literals(args []any) string {
	var words []string
	for _, a := range args {
		switch v := a.(type) {
		case string:
			words = append(words, "'"+strings.ReplaceAll(v, "'", "''")+"'")
		case nil:
			words = append(words, "NULL")
		default:
			words = append(words, fmt.Sprint(v))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "(" + strings.Join(words, ", ") + ")"
}

// table returns the rows of a statement, by the names of the columns.
func table(t *testing.T, tx *sql.Tx, query string, args ...any) (all []map[string]string) {
	t.Helper()
	rows, err := tx.QueryContext(bg, query, args...)
	require.NoError(t, err, query)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(t, rows.Scan(dest...))
		row := map[string]string{}
		for i, name := range columns {
			row[name] = values[i].String
		}
		all = append(all, row)
	}
	require.NoError(t, rows.Err())
	return all
}
