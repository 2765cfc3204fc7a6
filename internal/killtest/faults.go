package killtest

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// trouble is one kind of fault and how often it occurs.
type trouble struct {
	name    string
	permill int
	fault   wechattest.Fault
	hangs   bool
	taken   atomic.Int64
}

// faults scripts random faults for the simulator. Every call takes some time, so that kills hit
// calls at every point.
type faults struct {
	srv   *wechattest.Server
	dice  *rand.Rand
	kinds []*trouble
	// unheard counts the answers that nobody received, because the worker was killed or its call
	// timed out.
	unheard atomic.Int64
}

func newFaults(srv *wechattest.Server, dice *rand.Rand) *faults {
	return &faults{srv: srv, dice: dice, kinds: []*trouble{
		{name: "answer lost", permill: 60, fault: wechattest.LoseAnswer()},
		{name: "HTTP 502, executed", permill: 25, fault: wechattest.Status(502)},
		{name: "HTTP 502", permill: 25, fault: wechattest.Status(502).NotExecuted()},
		{name: "request lost", permill: 50, fault: wechattest.LoseAnswer().NotExecuted()},
		{name: "answer broken off", permill: 50, fault: wechattest.BreakOff()},
		{name: "SYSTEMERROR, executed", permill: 40, fault: wechattest.ErrCode("SYSTEMERROR", "system error", true)},
		{name: "SYSTEMERROR", permill: 40, fault: wechattest.ErrCode("SYSTEMERROR", "system error", false)},
		{name: "hangs, executed", permill: 5, hangs: true},
		{name: "NOTENOUGH", permill: 5, fault: wechattest.ErrCode("NOTENOUGH", "not enough", false).On(wechattest.PathRefund)},
	}}
}

// run extends the script until ctx ends, so that it never runs out between two extensions.
func (f *faults) run(ctx context.Context) {
	const ahead = 512
	scripted := 0
	for {
		calls := f.srv.Calls(wechattest.PathRefund) + f.srv.Calls(wechattest.PathQuery)
		var script []wechattest.Fault
		for ; scripted < calls+ahead; scripted++ {
			script = append(script, f.throw())
		}
		f.srv.Inject(script...)
		if !pause(ctx, 5*time.Millisecond) {
			return
		}
	}
}

// throw chooses what happens to one call.
func (f *faults) throw() wechattest.Fault {
	before, after := f.someTime(), f.someTime()
	n := f.dice.IntN(1000)
	for _, k := range f.kinds {
		if n -= k.permill; n < 0 {
			return k.fault.Before(func(ctx context.Context) {
				k.taken.Add(1)
				pause(ctx, before)
			}).After(func(ctx context.Context) {
				if k.hangs {
					<-ctx.Done()
				}
				f.answer(ctx, after)
			})
		}
	}
	return wechattest.Fault{}.Before(func(ctx context.Context) { pause(ctx, before) }).
		After(func(ctx context.Context) { f.answer(ctx, after) })
}

func (f *faults) someTime() time.Duration {
	return time.Duration(f.dice.Int64N(int64(20 * time.Millisecond)))
}

func (f *faults) answer(ctx context.Context, after time.Duration) {
	if !pause(ctx, after) {
		f.unheard.Add(1)
	}
}

func (f *faults) total() (n int64) {
	for _, k := range f.kinds {
		n += k.taken.Load()
	}
	return n
}
