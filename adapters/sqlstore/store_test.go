package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		storetest.Run(t, storetest.Harness{
			New: func(t *testing.T) refund.Store {
				dsn := d.fresh(t)
				s := d.on(t, d.connect(t, dsn))
				require.NoError(t, s.Migrate(bg))
				return second{s, dsn}
			},
			Begin: func(t *testing.T, s refund.Store) (context.Context, func(bool) error) {
				tx, err := d.connect(t, s.(second).dsn).BeginTx(bg, nil)
				require.NoError(t, err)
				return sqlstore.WithTx(bg, tx), func(commit bool) error {
					if commit {
						return tx.Commit()
					}
					return tx.Rollback()
				}
			},
			Reopen: func(t *testing.T, s refund.Store) refund.Store {
				return d.on(t, d.connect(t, s.(second).dsn))
			},
		})
	})
}

// second is a store that can be opened again.
type second struct {
	*sqlstore.Store
	dsn string
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for field, make := range map[string]func() (*sqlstore.Store, error){
		"db": func() (*sqlstore.Store, error) {
			return sqlstore.New(nil, sqlstore.SQLite, sqlstore.Options{})
		},
		"dialect": func() (*sqlstore.Store, error) {
			return sqlstore.New(&sql.DB{}, "oracle", sqlstore.Options{})
		},
		"prefix": func() (*sqlstore.Store, error) {
			return sqlstore.New(&sql.DB{}, sqlstore.SQLite, sqlstore.Options{Prefix: "x; --"})
		},
	} {
		_, err := make()
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, d := range databases() {
		b.Run(d.name, func(b *testing.B) {
			storetest.Benchmark(b, func(b *testing.B) refund.Store {
				s, _ := d.store(b)
				return s
			})
		})
	}
}
