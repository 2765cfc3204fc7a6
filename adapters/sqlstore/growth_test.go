package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// growthVar lists the numbers of refunds for BenchmarkGrowth, each a multiple of 10000.
const growthVar = "ORDERFSM_GROWTH"

func growthSizes(b *testing.B) []int {
	b.Helper()
	if testing.Short() {
		return []int{10_000}
	}
	list := os.Getenv(growthVar)
	if list == "" {
		return []int{10_000, 100_000}
	}
	var sizes []int
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		require.NoError(b, err, growthVar)
		sizes = append(sizes, n)
	}
	return sizes
}

// BenchmarkGrowth measures stores that hold more and more refunds, with the same number of open
// ones. More history must not make a call slower. It calls the stores in turn, so that other load
// on the machine slows all of them. It reports the median and the 99th percentile of each, and the
// ratio of the last median to the first: growth if the data is in memory, and first if it was not
// read before.
//
// Without the variable the stores hold ten and a hundred thousand refunds. Ten million take some
// minutes and 13 GB on PostgreSQL, and as long and 10 GB on SQLite, in TMPDIR. A million on MariaDB
// need an innodb_buffer_pool_size of 2 GB; otherwise the benchmark measures the disk.
//
//	ORDERFSM_GROWTH=10000,1000000,10000000 go test -run '^$' -bench 'Growth/PostgreSQL' -benchtime 500x -timeout 2h ./adapters/sqlstore
//
// Get and Update of one of the ten thousand newest orders are what a shop does. GetAny and the
// pages from anywhere in the history depend on the memory.
func BenchmarkGrowth(b *testing.B) {
	for _, d := range databases() {
		b.Run(d.name, func(b *testing.B) {
			sizes := growthSizes(b)
			var ops [][]growthOp // by size
			for _, refunds := range sizes {
				dsn := d.fresh(b)
				s := d.on(b, d.connect(b, dsn))
				require.NoError(b, s.Migrate(bg))
				fill(b, d, dsn, refunds)
				analyze(b, d, dsn)
				ops = append(ops, growthOps(s, refunds))
			}
			for i, op := range ops[0] {
				b.Run(op.name, func(b *testing.B) {
					var runs []func(int) error
					for _, of := range ops {
						runs = append(runs, of[i].run)
					}
					benchPercentiles(b, sizes, runs)
				})
			}
		})
	}
}

// benchPercentiles calls each run b.N times, in turn, and does so twice. It reports the second
// time, with the data in memory, and as first the growth of the first time.
func benchPercentiles(b *testing.B, sizes []int, runs []func(i int) error) {
	b.Helper()
	took := make([][]time.Duration, len(runs))
	pass := func() {
		clear(took)
		for i := range b.N {
			for k, run := range runs {
				began := b.Elapsed()
				if err := run(i); err != nil {
					b.Fatal(err)
				}
				took[k] = append(took[k], b.Elapsed()-began)
			}
		}
		for _, t := range took {
			slices.Sort(t)
		}
	}
	micros := func(k, percent int) float64 {
		return float64(took[k][len(took[k])*percent/100].Nanoseconds()) / 1000
	}
	growth := func() float64 { return micros(len(sizes)-1, 50) / micros(0, 50) }
	b.ResetTimer()
	pass()
	first := growth()
	pass()
	b.StopTimer()
	for k, n := range sizes {
		b.ReportMetric(micros(k, 50), fmt.Sprintf("p50-µs/%d", n))
		b.ReportMetric(micros(k, 99), fmt.Sprintf("p99-µs/%d", n))
	}
	b.ReportMetric(growth(), "growth")
	b.ReportMetric(first, "first")
	b.ReportMetric(0, "ns/op") // the mean says nothing that these do not
}

type growthOp struct {
	name string
	run  func(i int) error
}

func growthOps(s *sqlstore.Store, refunds int) []growthOp {
	now := at(refunds * filledEvery)
	recent := func(i int) string { return filledID(refunds - 1 - i*7919%10_000) }
	anywhere := func(i int) int { return i * 15_485_863 % (refunds / 10 * 9) }
	list := func(least int, filter func(i int) refund.Filter) func(i int) error {
		return func(i int) error {
			page, err := s.ListRefunds(bg, filter(i))
			if err == nil && len(page.Entries) < least {
				return fmt.Errorf("listed %d refunds, not %d", len(page.Entries), least)
			}
			return err
		}
	}
	requested := []order.State{order.StateRefundRequested}
	return []growthOp{
		{"Get", func(i int) error { _, err := s.Get(bg, recent(i)); return err }},
		{"GetAny", func(i int) error { _, err := s.Get(bg, filledID(anywhere(i))); return err }},
		{"Update", func(i int) error {
			return s.Update(bg, recent(i), func(_ context.Context, o *order.Order) error {
				o.Refunds[0].Attempts++
				return nil
			})
		}},
		{"Due", func(int) error {
			refs, err := s.Due(bg, refund.DueQuery{Now: now, Limit: 100})
			if err == nil && len(refs) != 100 {
				return fmt.Errorf("%d are due, not 100", len(refs))
			}
			return err
		}},
		{"DueBeyond", func(int) error {
			due, err := s.Due(bg, refund.DueQuery{Now: now, Beyond: at(1 << 33), Limit: 100})
			if err == nil && len(due) != 100 {
				return fmt.Errorf("%d are due, not 100", len(due))
			}
			return err
		}},
		{"DueExcept", func(int) error {
			due, err := s.Due(bg, refund.DueQuery{Now: now, Limit: 100, Except: []string{"wechat"}})
			if err == nil && len(due) < 50 {
				return fmt.Errorf("%d are due", len(due))
			}
			return err
		}},
		{"ListRefunds/queue", list(50, func(int) refund.Filter {
			return refund.Filter{States: requested}
		})},
		{"ListRefunds/queue-deep", list(50, func(i int) refund.Filter {
			return refund.Filter{
				States: requested,
				After:  &refund.Position{RequestedAt: at(anywhere(i) * filledEvery)},
			}
		})},
		{"ListRefunds/queue-gateway", list(50, func(int) refund.Filter {
			return refund.Filter{States: requested, Gateway: "alipay"}
		})},
		{"ListRefunds/queue-rare-gateway", list(0, func(int) refund.Filter {
			return refund.Filter{States: requested, Gateway: "rare"}
		})},
		{"ListRefunds/queue-text", list(0, func(int) refund.Filter {
			return refund.Filter{States: requested, OrderIDContains: "nowhere"}
		})},
		{"ListRefunds/queues", list(50, func(int) refund.Filter {
			return refund.Filter{
				States: []order.State{
					order.StateRefundRequested, order.StateApproved, order.StateFailed,
					order.StateAbnormal,
				},
			}
		})},
		{"ListRefunds/state", list(50, func(i int) refund.Filter {
			return refund.Filter{
				States: []order.State{order.StateRefunded},
				After:  &refund.Position{RequestedAt: at(anywhere(i) * filledEvery)},
			}
		})},
		{"ListRefunds/deep", list(50, func(i int) refund.Filter {
			return refund.Filter{
				After: &refund.Position{RequestedAt: at(anywhere(i) * filledEvery)},
			}
		})},
		{"ListRefunds/gateway-deep", list(50, func(i int) refund.Filter {
			return refund.Filter{
				Gateway: "alipay",
				After:   &refund.Position{RequestedAt: at(anywhere(i) * filledEvery)},
			}
		})},
		{"ListRefunds/hours-text", list(1, func(i int) refund.Filter {
			n := anywhere(i)
			return refund.Filter{
				From: at(n * filledEvery), To: at(n*filledEvery + 3600),
				OrderIDContains: filledID(n)[4:],
			}
		})},
	}
}
