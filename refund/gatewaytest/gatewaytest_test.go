package gatewaytest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
)

func TestConformance(t *testing.T) {
	Run(t, Harness{New: func(t *testing.T) (refund.RefundGateway, Provider) {
		b := newBank("")
		t.Cleanup(func() { close(b.closed) })
		return list{&client{bank: b}}, b
	}})
}

// recorder is a tb that records whether the check failed or was skipped.
type recorder struct {
	mu      sync.Mutex
	failed  bool
	skipped string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(string, ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) FailNow() {
	r.Errorf("")
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// try runs a check on a gateway. A panic that reaches the check is a failure too.
func try(c check, g refund.RefundGateway, b *bank) *recorder {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				r.Errorf("")
			}
		}()
		patience := time.Second
		if b.bug == "" {
			patience = time.Minute // the machine may be busy
		}
		c.run(r, &env{gateway: g, provider: b, proves: c.proves, patience: patience})
	}()
	<-done
	return r
}

// bugs maps each bug to the checks that are meant to catch it.
var bugs = map[string][]string{
	"accepts without sending":           {"RefundThenQuery"},
	"accepted is success":               {"RefundThenQuery"},
	"forgets the amount":                {"RefundThenQuery"},
	"names the order by its own number": {"RefundThenQuery"},
	"local times":                       {"RefundThenQuery"},
	"never ends":                        {"RefundThenQuery"},
	"pays every time":                   {"RepeatedRefundPaysOnce", "ConcurrentRefundPaysOnce", "LostAnswerIsUnknown"},
	"a new number for each call":        {"RepeatedRefundPaysOnce", "ConcurrentRefundPaysOnce", "LostAnswerIsUnknown"},
	"a new number each time":            {"RepeatedRefundPaysOnce"},
	"a number that is too long":         {"RefundThenQuery"},
	"looks before it locks":             {"ConcurrentRefundPaysOnce"},
	"one request for all":               {"ConcurrentCallsDoNotMix"},
	"one refund an order":               {"PartialRefundsAddUp"},
	"no total":                          {"OverRefundPaysNothing"},
	"too much is accepted":              {"OverRefundPaysNothing"},
	"pays the difference":               {"OtherAmountPaysNothing"},
	"other terms are accepted":          {"OtherAmountPaysNothing"},
	"a refusal is an error":             {"DeclinedIsAResult"},
	"a refusal without its code":        {"DeclinedIsAResult"},
	"a refusal is not-found":            {"DeclinedIsAResult", "OverRefundPaysNothing"},
	"a refusal pays":                    {"DeclinedIsAResult"},
	"a refusal uses the number up":      {"DeclinedIsAResult"},
	"a lost answer is a refusal":        {"LostAnswerIsUnknown", "LostConnectionIsUnknown", "DeadlineIsKept", "ContextEndedBefore"},
	"a lost answer is accepted":         {"LostAnswerIsUnknown", "LostConnectionIsUnknown", "DeadlineIsKept"},
	"a lost answer is not sent":         {"LostAnswerIsUnknown"},
	"a lost answer is nothing":          {"LostAnswerIsUnknown", "LostConnectionIsUnknown"},
	"a time-out is a refusal":           {"DeadlineIsKept"},
	"hides the cause":                   {"DeadlineIsKept", "ContextEndedBefore"},
	"garbage is a refusal":              {"GarbageIsUnknown", "QueryGarbageIsUnknown"},
	"garbage is accepted":               {"GarbageIsUnknown", "QueryGarbageIsUnknown"},
	"believes any number":               {"AnswerAboutAnotherRefund", "QueryAboutAnotherRefund"},
	"believes any amount":               {"AnswerWithAnotherAmount", "QueryWithAnotherAmount"},
	"abnormal is success":               {"AbnormalIsReported"},
	"abnormal is closed":                {"AbnormalIsReported"},
	"closed is success":                 {"ClosedIsReported"},
	"closes and pays":                   {"ClosedIsReported"},
	"not-found is an error":             {"NeverSeenIsNotFound", "LostConnectionIsUnknown"},
	"not-found is a refusal":            {"NeverSeenIsNotFound", "LostConnectionIsUnknown"},
	"a lost query is not-found":         {"QueryLostIsUnknown", "QueryBrokenOffIsUnknown", "QueryDeadlineIsKept"},
	"a garbled query is not-found":      {"QueryGarbageIsUnknown"},
	"a late query is closed":            {"QueryDeadlineIsKept"},
	"ignores contexts":                  {"ContextEndedBefore", "DeadlineIsKept", "QueryDeadlineIsKept"},
	"lists every order":                 {"ListIsComplete"},
	"lists only what was paid":          {"ListIsComplete"},
}

// TestSuiteCanFail: every broken gateway fails the checks that are meant to catch it, and every
// check is meant to catch one.
func TestSuiteCanFail(t *testing.T) {
	named := map[string]bool{}
	for bug, meant := range bugs {
		for _, name := range meant {
			named[name] = true
		}
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			for _, c := range checks() {
				if slices.Contains(meant, c.name) {
					require.True(t, catches(t, c, bug), c.name)
				}
			}
		})
	}
	for _, c := range checks() {
		require.True(t, named[c.name], "check %s is meant to catch nothing", c.name)
	}
	require.Subset(t, names(), keys(named), "every named check exists")
}

// catches reports whether a check fails on a broken gateway. The gateway may win a race by luck, so
// the check runs until it fails.
func catches(t *testing.T, c check, bug string) bool {
	t.Helper()
	for range 100 {
		b := newBank(bug)
		r := try(c, list{&client{bank: b}}, b)
		close(b.closed)
		if r.failed {
			return true
		}
	}
	return false
}

func names() (all []string) {
	for _, c := range checks() {
		all = append(all, c.name)
	}
	return all
}

func keys(m map[string]bool) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}

// TestSkipSaysWhatStaysUnproven: a check is skipped if the provider cannot do its fault.
func TestSkipSaysWhatStaysUnproven(t *testing.T) {
	for _, f := range []Fault{
		FaultDecline, FaultLoseAnswer, FaultFailBefore, FaultGarbage, FaultOtherRefund,
		FaultOtherAmount, FaultHang, FaultAbnormal, FaultClose,
	} {
		skipped := 0
		for _, c := range checks() {
			b := newBank("")
			b.cannot = map[Fault]bool{f: true}
			r := try(c, list{&client{bank: b}}, b)
			close(b.closed)
			require.False(t, r.failed, c.name)
			if r.skipped != "" {
				require.Equal(t, "the provider cannot "+string(f)+": unproven that "+c.proves,
					r.skipped)
				skipped++
			}
		}
		require.Positive(t, skipped, "no check needs a provider that can %s", f)
	}
	for _, c := range checks() {
		b := newBank("")
		r := try(c, &client{bank: b}, b)
		close(b.closed)
		require.Equal(t, c.name == "ListIsComplete", r.skipped != "",
			"only a list needs a refund.Lister")
	}
}
