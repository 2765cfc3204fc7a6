package storetest

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recorder is a tb that records whether the check failed.
type recorder struct {
	mu     sync.Mutex
	failed bool
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

// fails reports whether a check fails on a store. A panic that reaches the check is a failure too.
func fails(c check, s *broken) bool {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				r.Errorf("")
			}
		}()
		e := &env{store: s, second: s.reopen(), begin: s.begin, patience: 500 * time.Millisecond}
		if s.bug == "" {
			e.patience = time.Minute // the machine may be busy
		}
		c.run(r, e)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// TestSuiteCanFail: every check catches a store that breaks its promise, every broken store is
// caught, and the store without a bug passes everything.
func TestSuiteCanFail(t *testing.T) {
	bugs := map[string][]string{ // bug → the checks that are meant to catch it
		"":                                    nil,
		"forgets fields":                      {"CreateAndGet"},
		"times lose their fractions":          {"CreateAndGet"},
		"version starts at 0":                 {"CreateAndGet", "VersionCountsCommits"},
		"create overwrites":                   {"CreateTwice"},
		"get swallows not-found":              {"NotFound", "RefundNoIsUnique", "ContextEndedBefore"},
		"update makes missing orders":         {"NotFound"},
		"update ignores schedules":            {"UpdateCommits"},
		"update forgets the gateway":          {"ListFilters"},
		"update commits nothing":              {"UpdateCommits", "NoLostUpdate", "OrdersDoNotMix", "TwoHandles"},
		"commits on error":                    {"UpdateRollsBackOnError"},
		"swallows fn's error":                 {"UpdateRollsBackOnError"},
		"commits on panic":                    {"UpdateRollsBackOnPanic"},
		"panic leaves the lock":               {"UpdateRollsBackOnPanic"},
		"swallows panics":                     {"UpdateRollsBackOnPanic"},
		"version stands still":                {"VersionCountsCommits"},
		"history of the last update":          {"HistoryStaysWhole"},
		"refunds newest first":                {"HistoryStaysWhole"},
		"get brings the history":              {"HistoryIsNotLoaded"},
		"update loads the history":            {"HistoryIsNotLoaded"},
		"history from the beginning":          {"HistoryPages"},
		"history without limit":               {"HistoryPages"},
		"history newest first":                {"HistoryPages"},
		"history is shared":                   {"HistoryPages"},
		"history has gaps":                    {"HistoryContinues"},
		"numbers are not unique":              {"RefundNoIsUnique", "RefundNoIsUniqueAtOnce"},
		"numbers are checked too early":       {"RefundNoIsUniqueAtOnce"},
		"keeps what it was given":             {"CopiesIn"},
		"gives what it keeps":                 {"CopiesOut"},
		"reads without a lock":                {"NoLostUpdate", "TwoHandles"},
		"one order for all":                   {"OrdersDoNotMix"},
		"second handle has its own data":      {"TwoHandles"},
		"ignores contexts":                    {"ContextEndedBefore", "ContextEndsInside"},
		"ignores a context at commit":         {"ContextEndsInside"},
		"waits without the context":           {"ContextEndsWaiting"},
		"nested update runs":                  {"NestedUpdateIsAnError"},
		"due in any state":                    {"DueIsApprovedAndDue"},
		"due is exclusive":                    {"DueIsApprovedAndDue"},
		"due before its time":                 {"DueIsApprovedAndDue"},
		"due by order":                        {"DueOrderAndLimit"},
		"due without ties":                    {"DueOrderAndLimit"},
		"due without limit":                   {"DueOrderAndLimit"},
		"due of every gateway":                {"DueExcept"},
		"leaves gateways out after the limit": {"DueExcept"},
		"due forgets since when":              {"DueExcept"},
		"too far ahead is never due":          {"DueBeyond"},
		"too far ahead is inclusive":          {"DueBeyond"},
		"all is too far ahead":                {"DueBeyond", "DueIsApprovedAndDue"},
		"too far ahead in any state":          {"DueBeyond"},
		"too far ahead of every gateway":      {"DueExcept"},
		"what is due hides the rest":          {"DueBeyond"},
		"the rest hides what is due":          {"DueBeyond"},
		"texts are cut":                       {"Texts"},
		"codes are short":                     {"Texts"},
		"list ignores states":                 {"ListFilters"},
		"list ignores gateway":                {"ListFilters"},
		"list takes text as a pattern":        {"ListFilters"},
		"list's to is inclusive":              {"ListFilters"},
		"list ignores from":                   {"ListFilters"},
		"list forgets the order":              {"ListFilters"},
		"list forgets the refunded sum":       {"ListFilters"},
		"pages repeat":                        {"ListPages"},
		"limits before it filters":            {"ListPages"},
		"pages skip ties":                     {"ListPages"},
		"next on the last page":               {"ListPages", "ListFilters"},
		"list without limit":                  {"ListLimits"},
		"never joined":                        {"Joined"},
		"joined everywhere":                   {"Joined"},
		"after commit at once":                {"AfterCommit"},
		"after commit also on rollback":       {"AfterCommit"},
		"after commit never":                  {"AfterCommit"},
		"joined writes show at once":          {"JoinedCommits"},
		"joined writes are lost":              {"JoinedCommits", "JoinedSeesItsChanges"},
		"joined writes stay":                  {"JoinedRollsBack"},
		"joined is not seen":                  {"JoinedCommits"},
		"joined sees what was":                {"JoinedSeesItsChanges"},
		"joined failure stays":                {"JoinedFailureChangesNothing"},
		"joined failure is the end":           {"JoinedFailureChangesNothing"},
		"joined nested update runs":           {"JoinedNestedIsAnError"},
		"joined takes no lock":                {"JoinedLocks"},
		"joined after commit at once":         {"JoinedAfterCommit"},
		"joined after roll-back":              {"JoinedAfterCommit"},
	}
	caught := map[string]bool{}
	for bug, meant := range bugs {
		t.Run(bug, func(t *testing.T) {
			var failing []string
			for _, c := range checks() {
				// A broken store may win a race by luck. The check runs until it fails.
				for try := 0; try < 1 || try < 50 && slices.Contains(meant, c.name); try++ {
					if fails(c, newBroken(bug)) {
						failing = append(failing, c.name)
						break
					}
				}
			}
			require.Subset(t, failing, meant, "each check that is meant to catch it")
			if bug == "" {
				require.Empty(t, failing, "a store without a bug passes")
			}
			for _, name := range meant {
				caught[name] = true
			}
		})
	}
	for _, c := range checks() {
		require.True(t, caught[c.name], "check %s catches no broken store", c.name)
	}
}
