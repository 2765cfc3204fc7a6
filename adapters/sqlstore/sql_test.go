package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestSQL: the statements of each dialect are those of testdata, so that a change of any is seen
// even if its database is not installed. TestPlans runs them.
func TestSQL(t *testing.T) {
	for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
		t.Run(string(d), func(t *testing.T) {
			got := dump(t, d)
			file := "testdata/" + string(d) + ".sql.golden"
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got, "UPDATE=1 go test -run TestSQL ./adapters/sqlstore")
		})
	}
}

func dump(t *testing.T, d Dialect) string {
	t.Helper()
	var b strings.Builder
	show := func(name string, args int, query string) {
		fmt.Fprintf(&b, "%s (%d)\n    %s\n", name, args, query)
	}
	s := &Store{d: d, opts: Options{Prefix: "p_"}, sql: newStatements(d, "p_")}
	fields := reflect.ValueOf(s.sql)
	for i := range fields.NumField() {
		if f := fields.Field(i); f.Kind() == reflect.String {
			show(fields.Type().Field(i).Name, strings.Count(f.String(), "?"), f.String())
		}
	}
	show("loads", s.sql.loadArgs, "")
	show("locks", s.sql.lockArgs, "")
	show("now", 0, d.now())

	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, f := range []struct {
		name string
		refund.Filter
	}{
		{"list all", refund.Filter{}},
		{"list one state", refund.Filter{States: []order.State{order.StateApproved}, From: at, To: at}},
		{"list states", refund.Filter{
			States:  []order.State{order.StateFailed, order.StateAbnormal, order.StateFailed},
			Gateway: "g", OrderIDContains: "x", Limit: 7,
			After: &refund.Position{RequestedAt: at, Ref: refund.Ref{OrderID: "O", RefundNo: "R"}},
		}},
	} {
		query, args := s.listQuery(f.Filter)
		show(f.name, len(args), query)
	}

	c := &sent{}
	for _, changed := range []int{1, 2, 3} {
		before := &order.Order{
			ID: "O", Gateway: "g", Currency: "CNY", Total: 9, State: order.StatePaid, Version: 1,
			Refunds: []order.Refund{{No: "A"}, {No: "B"}},
		}
		after := before.Clone()
		after.UpdatedAt = at
		for i := range changed - 1 {
			after.Refunds[i].Attempts++
		}
		_, _ = s.write(context.Background(), c, before, after)
		show(fmt.Sprintf("update of %d rows", changed), c.args, strings.Join(c.queries, "\n    "))
		*c = sent{}
	}
	return b.String()
}

// sent is a Conn that notes what is sent. It changes one row with each statement.
type sent struct {
	queries []string
	args    int
}

func (c *sent) Exec(_ context.Context, query string, args ...any) (int64, error) {
	c.queries, c.args = append(c.queries, query), c.args+len(args)
	return 2, nil
}

func (c *sent) Query(_ context.Context, query string, args ...any) (txn.Rows, error) {
	c.queries, c.args = append(c.queries, query), c.args+len(args)
	return nil, sql.ErrConnDone
}

func (*sent) Raw() any { return nil }
