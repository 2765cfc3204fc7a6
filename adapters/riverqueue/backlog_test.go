package riverqueue_test

import (
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/refund"
)

// backlog inserts n orders with an approved refund each. The refunds have been due for an hour and
// have no jobs.
func (s *shop) backlog(gateway string, n int) {
	s.t.Helper()
	at := wall().Add(-time.Hour).UnixMicro()
	for _, statement := range []string{
		`INSERT INTO orderfsm_orders SELECT 'B-'||i, $1::text, '', 'CNY', 100, 0, 100, 0, 'approved', 2, 1, 0, $3::bigint, $3, $3
			FROM generate_series(1, $2::int) i`,
		`INSERT INTO orderfsm_refunds (order_id, gateway, place, no, amount, reason, state, requested_by, reviewed_by, review_note, provider_refund_id,
				code, message, attempts, retries, outstanding, next_attempt_at, requested_at, reviewed_at, approved_at, recipient, settled)
			SELECT 'B-'||i, $1::text, 0, 'RB-'||i, 100, $1::text, 'approved', 'buyer:1', 'staff:1', '', '', '', '', 0, 0, 0, $3::bigint, $3, $3, $3, '', 0
			FROM generate_series(1, $2::int) i`,
		`INSERT INTO orderfsm_transitions SELECT 'B-'||i, 1, 'request_refund', 'RB-'||i, 'paid', 'refund_requested', 'paid',
				'refund_requested', 'buyer:1', $1::text, $3::bigint FROM generate_series(1, $2::int) i`,
		`INSERT INTO orderfsm_transitions SELECT 'B-'||i, 2, 'approve', 'RB-'||i, 'refund_requested', 'approved', 'refund_requested',
				'approved', 'staff:1', $1::text, $3::bigint FROM generate_series(1, $2::int) i`,
	} {
		_, err := s.db.ExecContext(bg, statement, gateway, n, at)
		require.NoError(s.t, err)
	}
}

// jobsOf inserts the jobs of a backlog.
func (s *shop) jobsOf(queue string, n int) {
	s.t.Helper()
	for from := 1; from <= n; from += 1000 {
		var jobs []river.InsertManyParams
		for i := from; i < from+1000 && i <= n; i++ {
			jobs = append(jobs, river.InsertManyParams{
				Args: riverqueue.Args{Ref: refund.Ref{
					OrderID: fmt.Sprintf("B-%d", i), RefundNo: fmt.Sprintf("RB-%d", i),
				}},
				InsertOpts: &river.InsertOpts{Queue: queue},
			})
		}
		_, err := s.jobs.InsertManyFast(bg, jobs)
		require.NoError(s.t, err)
	}
}
