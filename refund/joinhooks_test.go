package refund_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// everyHook returns Hooks that note each call under name.
func everyHook(name string, calls *[]string) refund.Hooks {
	var h refund.Hooks
	v := reflect.ValueOf(&h).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		v.Field(i).Set(reflect.MakeFunc(field.Type, func([]reflect.Value) []reflect.Value {
			*calls = append(*calls, field.Name+" "+name)
			out := make([]reflect.Value, field.Type.NumOut())
			for k := range out {
				out[k] = reflect.Zero(field.Type.Out(k))
			}
			return out
		}))
	}
	return h
}

// TestJoinHooksJoinsEvery: a field that Hooks gets one day is not forgotten here.
func TestJoinHooksJoinsEvery(t *testing.T) {
	var calls []string
	joined := reflect.ValueOf(refund.JoinHooks(everyHook("a", &calls), refund.Hooks{}, everyHook("b", &calls)))
	none := reflect.ValueOf(refund.JoinHooks(refund.Hooks{}, refund.Hooks{}))
	for i := range joined.NumField() {
		name := joined.Type().Field(i).Name
		require.True(t, none.Field(i).IsNil(), "%s: nil where none is set, so that it costs nothing", name)
		calls = nil
		in := make([]reflect.Value, joined.Field(i).Type().NumIn())
		for k := range in {
			in[k] = reflect.Zero(joined.Field(i).Type().In(k))
			if in[k].Type() == reflect.TypeOf((*context.Context)(nil)).Elem() {
				in[k] = reflect.ValueOf(bg)
			}
		}
		joined.Field(i).Call(in)
		require.Equal(t, []string{name + " a", name + " b"}, calls)
	}
}

func TestJoinHooksRefusals(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	veto := func(err error, calls *[]string) refund.Hooks {
		f := func(_ context.Context, o *order.Order, _ order.Transition) error {
			*calls = append(*calls, fmt.Sprint(err, " ", o.ID))
			o.ID = "spoiled" // is a copy
			return err
		}
		return refund.Hooks{Guard: f, InTx: f}
	}
	var calls []string
	h := refund.JoinHooks(veto(nil, &calls), veto(first, &calls), veto(second, &calls))
	require.Equal(t, first, h.Guard(bg, &order.Order{ID: "O1"}, order.Transition{}))
	require.Equal(t, first, h.InTx(bg, &order.Order{ID: "O1"}, order.Transition{}))
	require.Equal(t, []string{"<nil> O1", "first O1", "<nil> O1", "first O1"}, calls)
}

// TestJoinHooksPanics: a panic keeps nobody else from being told, and reaches the log.
func TestJoinHooksPanics(t *testing.T) {
	loud := func(what string) refund.Hooks {
		return refund.Hooks{After: func(context.Context, *order.Order, order.Transition) { panic(what) }}
	}
	var calls []string
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Logger = log.Logger()
		o.Hooks = refund.JoinHooks(loud("one"), everyHook("a", &calls), loud("two"), everyHook("b", &calls))
	})
	e.register()
	calls = nil
	_, err := request(10, "r").do(bg, e.svc)
	require.NoError(t, err)
	require.Contains(t, calls, "After a")
	require.Contains(t, calls, "After b")
	require.Equal(t, []string{"2 hooks panicked: [one two]"}, log.Values("hook panicked", "panic"))
}

func TestJoinHooksStart(t *testing.T) {
	type key struct{}
	var ends []string
	start := func(name string) refund.Hooks {
		return refund.Hooks{Trace: func(ctx context.Context, _ refund.Command) (context.Context, func(error)) {
			before, _ := ctx.Value(key{}).(string)
			return context.WithValue(ctx, key{}, before+name), func(err error) { ends = append(ends, fmt.Sprint(name, " ", err)) }
		}}
	}
	odd := refund.Hooks{Trace: func(context.Context, refund.Command) (context.Context, func(error)) {
		return nil, nil //nolint:nilnil,staticcheck // a hook that does not care
	}}
	loud := refund.Hooks{Trace: func(context.Context, refund.Command) (context.Context, func(error)) { panic("loud") }}
	ctx, end := refund.JoinHooks(start("a"), loud, odd, start("b")).Trace(bg, refund.Command{})
	require.Equal(t, "ab", ctx.Value(key{}))
	require.PanicsWithValue(t, "loud", func() { end(errors.New("failed")) }, "told once the others have ended")
	require.Equal(t, []string{"b failed", "a failed"}, ends)
}

// tracer is a Start hook that keeps what it was told, and how deep in other commands it was.
type tracer struct{ told []string }

func (tr *tracer) hooks() refund.Hooks {
	type depth struct{}
	return refund.Hooks{Trace: func(ctx context.Context, c refund.Command) (context.Context, func(error)) {
		d, _ := ctx.Value(depth{}).(string)
		tr.told = append(tr.told, d+c.Name+" "+c.OrderID+" "+c.RefundNo)
		return context.WithValue(ctx, depth{}, d+"  "), func(err error) {
			if err != nil {
				tr.told = append(tr.told, d+"/"+c.Name+" failed")
				return
			}
			tr.told = append(tr.told, d+"/"+c.Name)
		}
	}}
}

// TestStartHook: each command, once, however often the store runs it, with its error and inside its caller.
func TestStartHook(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Hooks = tr.hooks() })
	told := func(f func() error) ([]string, error) {
		tr.told = nil
		err := f()
		return slices.Clone(tr.told), err
	}
	ref := refund.Ref{OrderID: "O1", RefundNo: "R1"}
	note := refund.Notification{Result: refund.Result{OrderID: "O1", RefundNo: "R1", Amount: 40}}
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"register", func() error {
			_, err := e.svc.Register(bg, refund.RegisterParams{OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 100})
			return err
		}, []string{"register O1 ", "/register"}},
		{"request", func() error {
			_, err := e.svc.Request(bg, refund.RequestParams{OrderID: "O1", RefundNo: "R1", Amount: 40, Reason: "r", Actor: buyer})
			return err
		}, []string{"request O1 R1", "/request"}},
		{"approve_and_send", func() error {
			_, err := e.svc.ApproveAndSend(bg, refund.ApproveParams{OrderID: "O1", RefundNo: "R1", Amount: 40, Actor: seller})
			return err
		}, []string{"approve_and_send O1 R1", "  approve O1 R1", "  /approve", "  process O1 R1", "  /process", "/approve_and_send"}},
		{"process", func() error { _, err := e.svc.Process(bg, ref); return err }, []string{"process O1 R1", "/process"}},
		{"notification", func() error { return e.svc.HandleNotification(bg, note) }, []string{"notification O1 R1", "/notification"}},
		{"sync", func() error { _, err := e.svc.Sync(bg, "O1"); return err }, []string{"sync O1 ", "/sync"}},
		{"reject", func() error {
			return errOf(e.svc.Reject(bg, refund.RejectParams{OrderID: "O1", RefundNo: "R1", Note: "n", Actor: seller}))
		}, []string{"reject O1 R1", "/reject failed"}},
		{"cancel", func() error {
			return errOf(e.svc.Cancel(bg, refund.CancelParams{OrderID: "O1", RefundNo: "R1", Actor: buyer}))
		}, []string{"cancel O1 R1", "/cancel failed"}},
		{"retry", func() error {
			return errOf(e.svc.Retry(bg, refund.RetryParams{OrderID: "O1", RefundNo: "R1", Actor: seller}))
		}, []string{"retry O1 R1", "/retry failed"}},
		{"fire", func() error {
			return errOf(e.svc.Fire(bg, refund.FireParams{OrderID: "O1", RefundNo: "R1", Actor: seller}))
		}, []string{"fire O1 R1", "/fire failed"}},
		{"resolve", func() error {
			return errOf(e.svc.Resolve(bg, refund.ResolveParams{OrderID: "O1", RefundNo: "R1", Actor: seller}))
		}, []string{"resolve O1 R1", "/resolve failed"}},
		{"abandon", func() error {
			return errOf(e.svc.Abandon(bg, refund.AbandonParams{OrderID: "O1", RefundNo: "R1", Actor: seller}))
		}, []string{"abandon O1 R1", "/abandon failed"}},
	} {
		got, err := told(c.do)
		require.Equal(t, c.want, got, "%s: %v", c.name, err)
	}
	got, err := told(func() error { _, err := e.svc.ListRefunds(bg, refund.Filter{}); return err })
	require.NoError(t, err)
	require.Empty(t, got, "reads are not told of")
}

func errOf(_ order.Refund, err error) error { return err }

// TestStartHookEndsOnPanic: the panic goes on as it was, and the command does not count as done.
func TestStartHookEndsOnPanic(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Hooks = tr.hooks() })
	s, err := refund.NewService(e.machine, panicking{e.store}, e.bank, refund.Options{Hooks: tr.hooks()})
	require.NoError(t, err)
	require.PanicsWithValue(t, "store", func() { _, _ = s.Process(bg, refund.Ref{OrderID: "O1", RefundNo: "R1"}) })
	require.Equal(t, []string{"process O1 R1", "/process failed"}, tr.told)
}

type panicking struct{ refund.Store }

func (panicking) Update(context.Context, string, func(context.Context, *order.Order) error) error {
	panic("store")
}

// TestStartHookOnce: a store that runs fn again, and a command in the transaction of another.
func TestStartHookOnce(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t)
	e.register()
	s, err := refund.NewService(e.machine, twice{e.store}, e.bank, refund.Options{Hooks: tr.hooks()})
	require.NoError(t, err)
	_, err = request(10, "r").do(bg, s)
	require.NoError(t, err)
	require.Len(t, tr.told, 2, "%q", tr.told)

	tr.told = nil
	err = e.store.Update(bg, "O1", func(ctx context.Context, _ *order.Order) error {
		_, err := e.service(e.bank, refund.Options{Hooks: tr.hooks()}).ApproveAndSend(ctx, refund.ApproveParams{OrderID: "O1", RefundNo: "R1"})
		require.ErrorIs(t, err, refund.ErrInTx, "the ctx that the command runs in is still the transaction's")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"approve_and_send O1 R1", "/approve_and_send failed"}, tr.told)
}

// twice is a store whose first try fails, as at a deadlock.
type twice struct{ refund.Store }

func (s twice) Update(ctx context.Context, id string, fn func(context.Context, *order.Order) error) error {
	o, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	_ = fn(ctx, o)
	return s.Store.Update(ctx, id, fn)
}

// TestStartHookPanics: the command is done all the same.
func TestStartHookPanics(t *testing.T) {
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Logger = log.Logger()
		o.Hooks = refund.Hooks{Trace: func(_ context.Context, c refund.Command) (context.Context, func(error)) {
			if c.Name == "register" {
				panic("trace")
			}
			return nil, func(error) { panic("end") } //nolint:staticcheck // a hook that does not care
		}}
	})
	e.approved("R1", 40)
	require.Equal(t, []string{"trace", "end", "end"}, log.Values("hook panicked", "panic"))
	require.Equal(t, order.StateApproved, e.refund("R1").State)
}
