package ownstore_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/examples/ownstore"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/storetest"
)

func open(t *testing.T, file string) ownstore.Store {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return ownstore.Store{DB: db}
}

// TestStore checks that the shop's store keeps every promise of the port.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{New: func(t *testing.T) refund.Store {
		s := open(t, filepath.Join(t.TempDir(), "shop.db"))
		_, err := s.DB.Exec(ownstore.Schema)
		require.NoError(t, err)
		return s
	}})
}

// TestLength checks that the store stays short enough to write in an afternoon.
func TestLength(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("store.go")
	require.NoError(t, err)
	_, code, found := bytes.Cut(source, []byte("type Store struct"))
	require.True(t, found)
	lines := 0
	for _, line := range bytes.Split(code, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			lines++
		}
	}
	require.Less(t, lines, 200)
}
