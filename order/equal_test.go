package order_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// TestEqualComparesEveryFieldButVersion changes every field of an order, one at a time: only
// Version does not matter.
func TestEqualComparesEveryFieldButVersion(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	make := func() *order.Order {
		return &order.Order{
			ID: "O-1", PaidAt: at, Refunds: []order.Refund{{No: "R-1"}},
			History: []order.Transition{{Seq: 1, At: at}},
		}
	}
	require.True(t, make().Equal(make()))
	elsewhere := make()
	local := at.In(time.FixedZone("UTC+8", 8*60*60))
	elsewhere.PaidAt, elsewhere.History[0].At = local, local
	require.True(t, make().Equal(elsewhere), "the same moment")
	changed := 0
	try := func(name string, field func(o *order.Order) reflect.Value) {
		o := make()
		v := field(o)
		switch old := v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(old.Add(time.Hour)))
		case int:
			v.SetInt(77)
		case int64:
			v.SetInt(77)
		case bool:
			v.SetBool(!old)
		default:
			if v.Kind() == reflect.Slice {
				v.SetLen(0)
			} else {
				v.SetString("other")
			}
		}
		changed++
		require.Equal(t, name == "Version", make().Equal(o), name)
		require.Equal(t, name == "Version", o.Equal(make()), name)
	}
	each := func(of reflect.Type, value func(o *order.Order) reflect.Value) {
		for i := range of.NumField() {
			try(of.Field(i).Name, func(o *order.Order) reflect.Value { return value(o).Field(i) })
		}
	}
	first := func(o *order.Order, list string) reflect.Value {
		return reflect.ValueOf(o).Elem().FieldByName(list).Index(0)
	}
	each(reflect.TypeOf(order.Order{}), func(o *order.Order) reflect.Value {
		return reflect.ValueOf(o).Elem()
	})
	each(reflect.TypeOf(order.Refund{}), func(o *order.Order) reflect.Value {
		return first(o, "Refunds")
	})
	each(reflect.TypeOf(order.Transition{}), func(o *order.Order) reflect.Value {
		return first(o, "History")
	})
	require.Greater(t, changed, 40)
}
