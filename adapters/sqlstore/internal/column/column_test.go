package column_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/column"
	"github.com/orderfsm/orderfsm/order"
)

type row struct {
	name      order.State
	count     int
	fen       int64
	on        bool
	at, maybe time.Time
}

var columns = column.List[row]{
	column.Text("name_state", 3, func(r *row) *order.State { return &r.name }),
	column.Number("count", func(r *row) *int { return &r.count }),
	column.Number("fen", func(r *row) *int64 { return &r.fen }),
	column.Flag("is_on", func(r *row) *bool { return &r.on }),
	column.Time("at", func(r *row) *time.Time { return &r.at }),
	column.OptionalTime("maybe", func(r *row) *time.Time { return &r.maybe }),
}

// micro is 1 µs after 1970. Columns hold no shorter time.
var micro = time.UnixMicro(1).UTC()

func TestListOfColumns(t *testing.T) {
	require.Equal(t, "r.name_state, r.count, r.fen, r.is_on, r.at, r.maybe", columns.Names("r."))
	require.Equal(t, "'', 0, 0, 0, 0, 0", columns.Blanks())
}

// TestValuesAreReadBack: what the columns hold of a row gives the same row.
func TestValuesAreReadBack(t *testing.T) {
	for name, tt := range map[string]struct {
		row    row
		values []any
	}{
		"zero": {
			row{},
			[]any{"", int64(0), int64(0), int64(0), time.Time{}.UnixMicro(), nil},
		},
		"full": {
			row{"paid", 2, 3, true, micro, micro},
			[]any{"paid", int64(2), int64(3), int64(1), int64(1), int64(1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.values, columns.Values(&tt.row))
			got := row{"x", 9, 9, !tt.row.on, micro.Add(1), micro.Add(1)}
			for i, dest := range columns.Dest(&got) {
				switch dest := dest.(type) {
				case sql.Scanner:
					require.NoError(t, dest.Scan(tt.values[i]))
				case *order.State:
					*dest = order.State(tt.values[i].(string)) //nolint:forcetypeassert // a test
				case *int:
					*dest = int(tt.values[i].(int64)) //nolint:forcetypeassert // a test
				case *int64:
					*dest = tt.values[i].(int64) //nolint:forcetypeassert // a test
				}
			}
			require.Equal(t, tt.row, got)
		})
	}
}

// TestScanOtherTypes: some drivers return numbers as text.
func TestScanOtherTypes(t *testing.T) {
	for _, number := range []any{int64(1), []byte("1"), "1"} {
		var r row
		scanned := 0
		for _, dest := range columns.Dest(&r) {
			if dest, ok := dest.(sql.Scanner); ok {
				require.NoError(t, dest.Scan(number))
				require.Error(t, dest.Scan("noon"))
				require.NoError(t, dest.Scan(number))
				scanned++
			}
		}
		require.Equal(t, 3, scanned)
		require.Equal(t, row{on: true, at: micro, maybe: micro}, r)
	}
}

// TestChangedColumns: a column is set if what it holds changes, and only then.
func TestChangedColumns(t *testing.T) {
	full := row{"paid", 2, 3, true, micro, micro}
	for name, tt := range map[string]struct {
		change func(r *row)
		want   []column.Assignment
	}{
		"nothing":          {func(*row) {}, nil},
		"text":             {func(r *row) { r.name = "" }, set("name_state", "")},
		"int":              {func(r *row) { r.count++ }, set("count", int64(3))},
		"int64":            {func(r *row) { r.fen++ }, set("fen", int64(4))},
		"flag":             {func(r *row) { r.on = false }, set("is_on", int64(0))},
		"time":             {func(r *row) { r.at = micro.Add(1e3) }, set("at", int64(2))},
		"optional time":    {func(r *row) { r.maybe = micro.Add(1e3) }, set("maybe", int64(2))},
		"no optional time": {func(r *row) { r.maybe = time.Time{} }, set("maybe", nil)},
		"less than a µs":   {func(r *row) { r.at, r.maybe = micro.Add(1), micro.Add(1) }, nil},
		"time zone":        {func(r *row) { r.maybe = micro.In(time.FixedZone("", 60)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			after := full
			tt.change(&after)
			require.Equal(t, tt.want, columns.Changed(&full, &after))
			require.Empty(t, columns.Changed(&after, &after))
		})
	}
}

func set(name string, value any) []column.Assignment {
	return []column.Assignment{column.Assign(name, value)}
}

// TestTextThatIsNotStored: an error names the field.
func TestTextThatIsNotStored(t *testing.T) {
	for text, problem := range map[order.State]string{
		"": "", "abc": "", "退款单": "",
		"abcd":  "must have at most 3 characters",
		"a\x00": "is not valid UTF-8 without NUL",
		"\xff":  "is not valid UTF-8 without NUL",
	} {
		err := columns.Check(&row{name: text})
		if problem == "" {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, &order.InvalidError{Field: "name", Problem: problem}, err)
	}
}
