package refund_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
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

// TestEveryHookOfSeveralIsCalled: a kind of hook that is added later must be called too.
func TestEveryHookOfSeveralIsCalled(t *testing.T) {
	var calls []string
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.AlertAfter = 1
		o.Hooks = []refund.Hooks{everyHook("a", &calls), {}, everyHook("b", &calls)}
	})
	e.bank.NextRefund(refundtest.Fail(&refund.SetupError{Gateway: "bank", Err: errLost}))
	ref := e.approved("R1", 10)
	e.clock.Advance(time.Second)
	e.process(ref) // Setup, Stuck
	e.process(e.approved("R2", 4000))
	e.clock.Advance(time.Hour)
	_, err := e.svc.Resolve(bg, refund.ResolveParams{
		Ref: o1("R2"), Resolution: refund.ResolutionPaid,
		Evidence: "bank transfer 77", Actor: seller,
	})
	require.NoError(t, err)
	require.NoError(t, e.svc.HandleNotification(bg, success("R2", 4000))) // Discrepancy
	unknown := refund.Notification{
		Gateway: "bank", Result: refund.Result{OrderID: "O1", RefundNo: "R9"},
	}
	require.NoError(t, e.svc.HandleNotification(bg, unknown))
	for field := range reflect.TypeFor[refund.Hooks]().NumField() {
		name := reflect.TypeFor[refund.Hooks]().Field(field).Name
		first := slices.Index(calls, name+" a")
		require.GreaterOrEqual(t, first, 0, name)
		require.Equal(t, name+" b", calls[first+1], "in the order of Options.Hooks")
	}
}

// TestFirstRefusalOfSeveralHooksCounts: the hooks after it are not called.
func TestFirstRefusalOfSeveralHooksCounts(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	for name, hook := range map[string]func(hookStep) refund.Hooks{
		"guard": func(step hookStep) refund.Hooks { return refund.Hooks{Guard: step} },
		"in tx": func(step hookStep) refund.Hooks { return refund.Hooks{InTx: step} },
	} {
		t.Run(name, func(t *testing.T) {
			var calls []error
			refuse := func(err error) refund.Hooks {
				return hook(func(context.Context, *order.Order, order.Transition) error {
					calls = append(calls, err)
					return err
				})
			}
			e := newEnv(t, func(_ *env, o *refund.Options) {
				o.Hooks = []refund.Hooks{refuse(nil), refuse(first), refuse(second)}
			})
			e.register()
			_, err := request(10, "r").do(bg, e.svc)
			require.ErrorIs(t, err, first)
			require.Equal(t, []error{nil, first}, calls)
		})
	}
}

// TestPanicOfOneHookSkipsNoOther: it is logged, and the hooks after it are called.
func TestPanicOfOneHookSkipsNoOther(t *testing.T) {
	loud := func(what string) refund.Hooks {
		return refund.Hooks{
			After: func(context.Context, *order.Order, order.Transition) { panic(what) },
		}
	}
	var calls []string
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Logger = log.Logger()
		o.Hooks = []refund.Hooks{
			loud("one"), everyHook("a", &calls), loud("two"), everyHook("b", &calls),
		}
	})
	e.register()
	calls = nil
	_, err := request(10, "r").do(bg, e.svc)
	require.NoError(t, err)
	require.Contains(t, calls, "After a")
	require.Contains(t, calls, "After b")
	require.Equal(t, []string{"one", "two"}, log.Values("hook panicked", "panic"))
}

// TestTraceHooksNest: each gets the ctx of the one before it, and they end in reverse order.
func TestTraceHooksNest(t *testing.T) {
	type key struct{}
	var ends []string
	trace := func(name string) refund.Hooks {
		return refund.Hooks{Trace: func(
			ctx context.Context, _ refund.Command,
		) (context.Context, func(error)) {
			before, _ := ctx.Value(key{}).(string)
			return context.WithValue(ctx, key{}, before+name), func(error) {
				ends = append(ends, before+name)
			}
		}}
	}
	odd := refund.Hooks{Trace: func(
		context.Context, refund.Command,
	) (context.Context, func(error)) {
		return nil, nil //nolint:nilnil,staticcheck // a hook that returns nothing
	}}
	loud := refund.Hooks{
		Trace: func(
			context.Context, refund.Command,
		) (context.Context, func(error)) {
			panic("loud")
		},
	}
	var inside any
	seen := refund.Hooks{InTx: func(ctx context.Context, _ *order.Order, _ order.Transition) error {
		inside = ctx.Value(key{})
		return nil
	}}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks = []refund.Hooks{trace("a"), loud, odd, trace("b"), seen}
	})
	e.register()
	ends = nil
	_, err := request(10, "r").do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, "ab", inside)
	require.Equal(t, []string{"ab", "a"}, ends)
}

// tracer is a Trace hook that records its calls, indented if inside another command.
type tracer struct{ calls []string }

func (tr *tracer) hooks() refund.Hooks {
	type depth struct{}
	return refund.Hooks{Trace: func(
		ctx context.Context, c refund.Command,
	) (context.Context, func(error)) {
		d, _ := ctx.Value(depth{}).(string)
		tr.calls = append(tr.calls, d+c.Name+" "+c.OrderID+" "+c.RefundNo)
		return context.WithValue(ctx, depth{}, d+"  "), func(err error) {
			if err != nil {
				tr.calls = append(tr.calls, d+"/"+c.Name+" failed")
				return
			}
			tr.calls = append(tr.calls, d+"/"+c.Name)
		}
	}}
}

// TestTrace: each command is traced once, however often the store runs it, with its error and
// inside its caller.
func TestTrace(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Hooks = []refund.Hooks{tr.hooks()} })
	calls := func(f func() error) ([]string, error) {
		tr.calls = nil
		err := f()
		return slices.Clone(tr.calls), err
	}
	ref := o1("R1")
	note := refund.Notification{Result: refund.Result{OrderID: "O1", RefundNo: "R1", Amount: 40}}
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"register", func() error {
			_, err := e.svc.Register(
				bg,
				refund.RegisterParams{OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 100},
			)
			return err
		}, []string{"register O1 ", "/register"}},
		{"request", func() error {
			_, err := e.svc.Request(
				bg, refund.RequestParams{Ref: o1("R1"), Amount: 40, Reason: "r", Actor: buyer},
			)
			return err
		}, []string{"request O1 R1", "/request"}},
		{"approve_and_send", func() error {
			_, err := e.svc.ApproveAndSend(
				bg, refund.ApproveParams{Ref: o1("R1"), Amount: 40, Actor: seller},
			)
			return err
		}, []string{
			"approve_and_send O1 R1", "  approve O1 R1", "  /approve", "  process O1 R1",
			"  /process", "/approve_and_send",
		}},
		{
			"process", func() error { _, err := e.svc.Process(bg, ref); return err },
			[]string{"process O1 R1", "/process"},
		},
		{
			"notification", func() error { return e.svc.HandleNotification(bg, note) },
			[]string{"notification O1 R1", "/notification"},
		},
		{
			"sync", func() error { _, err := e.svc.Sync(bg, "O1"); return err },
			[]string{"sync O1 ", "/sync"},
		},
		{"reject", func() error {
			return errOf(e.svc.Reject(
				bg, refund.RejectParams{Ref: o1("R1"), Note: "n", Actor: seller},
			))
		}, []string{"reject O1 R1", "/reject failed"}},
		{"cancel", func() error {
			return errOf(e.svc.Cancel(bg, refund.CancelParams{Ref: o1("R1"), Actor: buyer}))
		}, []string{"cancel O1 R1", "/cancel failed"}},
		{"retry", func() error {
			return errOf(e.svc.Retry(bg, refund.RetryParams{Ref: o1("R1"), Actor: seller}))
		}, []string{"retry O1 R1", "/retry failed"}},
		{"fire", func() error {
			return errOf(e.svc.Fire(bg, refund.FireParams{Ref: o1("R1"), Actor: seller}))
		}, []string{"fire O1 R1", "/fire failed"}},
		{"resolve", func() error {
			return errOf(e.svc.Resolve(bg, refund.ResolveParams{Ref: o1("R1"), Actor: seller}))
		}, []string{"resolve O1 R1", "/resolve failed"}},
		{"abandon", func() error {
			return errOf(e.svc.Abandon(bg, refund.AbandonParams{Ref: o1("R1"), Actor: seller}))
		}, []string{"abandon O1 R1", "/abandon failed"}},
	} {
		got, err := calls(c.do)
		require.Equal(t, c.want, got, "%s: %v", c.name, err)
	}
	got, err := calls(func() error { _, err := e.svc.ListRefunds(bg, refund.Filter{}); return err })
	require.NoError(t, err)
	require.Empty(t, got, "reads are not traced")
}

func errOf(_ order.Refund, err error) error { return err }

// TestTraceEndsOnPanic: the panic goes on, and the end gets an error.
func TestTraceEndsOnPanic(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Hooks = []refund.Hooks{tr.hooks()} })
	s, err := refund.NewService(
		e.machine, panicking{e.store}, e.bank, refund.Options{Hooks: []refund.Hooks{tr.hooks()}},
	)
	require.NoError(t, err)
	require.PanicsWithValue(t, "store", func() { _, _ = s.Process(bg, o1("R1")) })
	require.Equal(t, []string{"process O1 R1", "/process failed"}, tr.calls)
}

type panicking struct{ refund.Store }

func (panicking) Update(context.Context, string, func(context.Context, *order.Order) error) error {
	panic("store")
}

// TestTraceOncePerCommand: the store runs fn again, and a command runs in the transaction of
// another.
func TestTraceOncePerCommand(t *testing.T) {
	tr := &tracer{}
	e := newEnv(t)
	e.register()
	s, err := refund.NewService(
		e.machine, twice{e.store}, e.bank, refund.Options{Hooks: []refund.Hooks{tr.hooks()}},
	)
	require.NoError(t, err)
	_, err = request(10, "r").do(bg, s)
	require.NoError(t, err)
	require.Len(t, tr.calls, 2, "%q", tr.calls)

	tr.calls = nil
	err = e.store.Update(bg, "O1", func(ctx context.Context, _ *order.Order) error {
		_, err := e.service(
			e.bank, refund.Options{Hooks: []refund.Hooks{tr.hooks()}},
		).ApproveAndSend(ctx, refund.ApproveParams{Ref: o1("R1")})
		require.ErrorIs(
			t, err, refund.ErrInTx, "the ctx that the command runs in is still the transaction's",
		)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"approve_and_send O1 R1", "/approve_and_send failed"}, tr.calls)
}

// twice is a store whose first try fails, as at a deadlock.
type twice struct{ refund.Store }

func (s twice) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	o, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	_ = fn(ctx, o)
	return s.Store.Update(ctx, id, fn)
}

// TestTracePanics: the command is carried out all the same.
func TestTracePanics(t *testing.T) {
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Logger = log.Logger()
		o.Hooks = []refund.Hooks{{Trace: func(
			_ context.Context, c refund.Command,
		) (context.Context, func(error)) {
			if c.Name == "register" {
				panic("trace")
			}
			//nolint:staticcheck // a hook that returns no context
			return nil, func(error) { panic("end") }
		}}}
	})
	e.approved("R1", 40)
	require.Equal(t, []string{"trace", "end", "end"}, log.Values("hook panicked", "panic"))
	require.Equal(t, order.StateApproved, e.refund("R1").State)
}
