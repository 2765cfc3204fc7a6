package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
)

var bg = context.Background()

// patience is how long a test waits for a result. It is long because the machine may be slow and
// busy.
const patience = 3 * time.Minute

// quick returns options with short times.
func quick(lease time.Duration) refund.Options {
	return refund.Options{
		CallTimeout: lease / 2, Lease: lease, QuietPeriod: 200 * time.Millisecond,
		Backoff: refund.ExponentialBackoff(20*time.Millisecond, 200*time.Millisecond),
		MaxWait: time.Second,
	}
}

// opened is a shop in this process, with its simulator.
type opened struct {
	url string
	app *app
	sim *simulator
	log *syncBuffer
}

// openShop opens a shop on a database. When the test ends the shop must stop without an error.
func openShop(t *testing.T, dsn string) *opened {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &opened{url: "http://" + ln.Addr().String(), log: &syncBuffer{}}
	cfg := config{DSN: dsn, Refunds: quick(20 * time.Second)}
	s.sim, err = simulate(&cfg, s.url+notifyPath)
	require.NoError(t, err)
	t.Cleanup(s.sim.Close)
	// WeChat Pay's limits require a minute between two refunds of an order.
	cfg.Account.Limits = &refund.Limits{}
	cfg.Account.RefundRate, cfg.Account.QueryRate = -1, -1
	handler := slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn})
	s.app, err = open(bg, cfg, slog.New(handler))
	require.NoError(t, err)
	t.Cleanup(func() { s.app.DB.Close() })
	t.Cleanup(s.sim.notify())
	ctx, stop := context.WithCancel(bg)
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, s.app, ln) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return s
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// who is the sender of a request: a header and the name in it.
type who struct{ header, name string }

var (
	li   = who{"X-Buyer", "li"}
	wu   = who{"X-Buyer", "wu"}
	wang = who{"X-Staff", "wang"}
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: patience}

// send sends a request and returns the status and the JSON of the answer. The method is POST if
// there is a body.
func send(by who, address, body string, headers ...string) (int, map[string]any, error) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(bg, method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set(by.header, by.name)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	var v map[string]any
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(text, &v)
	}
	return resp.StatusCode, v, err
}

// must calls send and checks the status.
func must(t *testing.T, want int, by who, address, body string, headers ...string) map[string]any {
	t.Helper()
	status, v, err := send(by, address, body, headers...)
	require.NoError(t, err)
	require.Equal(t, want, status, "%s %v", address, v)
	return v
}

// number reads one number from the database.
func (s *opened) number(t *testing.T, query string, args ...any) int64 {
	t.Helper()
	all, err := each(bg, s.app.DB, func(n *int64) []any { return []any{n} }, query, args...)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func sqliteFile(t *testing.T) string { return filepath.Join(t.TempDir(), "shop.db") }

// onEach runs a test on every kind of database that is configured.
func onEach(t *testing.T, run func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { run(t, sqliteFile(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, freshPostgres(t)) })
	t.Run("MySQL", func(t *testing.T) { run(t, freshMySQL(t)) })
}

var serial atomic.Int64

func freshPostgres(t *testing.T) string {
	t.Helper()
	dsn := server(t, "ORDERFSM_POSTGRES_DSN")
	name := makePlace(t, "pgx", dsn, "SCHEMA", " CASCADE")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func freshMySQL(t *testing.T) string {
	t.Helper()
	dsn := server(t, "ORDERFSM_MYSQL_DSN")
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.InterpolateParams = true // one round trip for a statement instead of three
	cfg.DBName = makePlace(t, "mysql", dsn, "DATABASE", "")
	return cfg.FormatDSN()
}

func server(t *testing.T, variable string) string {
	t.Helper()
	dsn := os.Getenv(variable)
	if dsn == "" {
		t.Skip("set " + variable + "; without it nothing shows that the shop's own statements run there")
	}
	return dsn
}

// makePlace makes a schema or a database and drops it when the test ends.
func makePlace(t *testing.T, driver, dsn, kind, how string) string {
	t.Helper()
	name := fmt.Sprintf("orderfsm_shop_test_%d_%d", os.Getpid(), serial.Add(1))
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	_, err = db.ExecContext(bg, "CREATE "+kind+" "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(bg, "DROP "+kind+" "+name+how)
		db.Close()
		require.NoError(t, err)
	})
	return name
}
