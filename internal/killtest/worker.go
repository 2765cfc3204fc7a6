package killtest

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// workerVar in the environment makes a process a worker; it names the file with its account.
const workerVar = "ORDERFSM_KILLTEST_WORKER"

// gatewayName is the orders' gateway.
const gatewayName = wechatv2.DefaultName

// account is what a worker has to know.
type account struct {
	Database             sqlstore.Dialect
	DSN, URL             string
	AppID, MchID, APIKey string
	Cert, Key, Authority []byte
}

func newAccount(d sqlstore.Dialect, dsn string, srv *wechattest.Server) *account {
	return &account{
		Database: d, DSN: dsn, URL: srv.URL(), AppID: srv.AppID(), MchID: srv.MchID(), APIKey: srv.APIKey(),
		Cert: srv.ClientCertPEM(), Key: srv.ClientKeyPEM(), Authority: srv.CACertPEM(),
	}
}

func (a *account) write(file string) error {
	text, err := json.Marshal(a) //nolint:gosec // a made-up key, in a file of our own
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// Worker is for the beginning of main (or TestMain): in a process that the driver has started it works until its
// standard input ends, and reports true and the exit code. In any other process it reports false.
func Worker() (code int, is bool) {
	path := os.Getenv(workerVar)
	if path == "" {
		return 0, false
	}
	if err := work(context.Background(), path, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1, true
	}
	return 0, true
}

func work(ctx context.Context, path string, stop io.Reader) error {
	text, err := os.ReadFile(path) //nolint:gosec // the driver's own file
	if err != nil {
		return err
	}
	var a account
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.db.Close()
	p, err := poller.New(s.svc, poller.Options{IdleMin: 20 * time.Millisecond, IdleMax: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { // also where the driver dies
		_, _ = io.Copy(io.Discard, stop)
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		stopped <- p.Shutdown(ctx)
	}()
	return errors.Join(p.Run(ctx), <-stopped)
}

// shop is what the driver and the workers alike have of the module.
type shop struct {
	db    *sql.DB
	store *sqlstore.Store
	svc   *refund.Service
}

// open wires a shop. Its times are short, so that what a killed worker leaves is soon taken up.
func (a *account) open() (*shop, error) {
	gateway, err := a.gateway()
	if err != nil {
		return nil, err
	}
	m, err := order.NewMachine()
	if err != nil {
		return nil, err
	}
	db, err := open(a.Database, a.DSN)
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.New(db, a.Database, sqlstore.Options{})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	svc, err := refund.NewService(m, store, gateway, refund.Options{
		CallTimeout: time.Second,
		Lease:       1500 * time.Millisecond,
		Quiet:       time.Second,
		Backoff:     refund.ExponentialBackoff(50*time.Millisecond, 500*time.Millisecond),
		MaxWait:     time.Second,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &shop{db, store, svc}, nil
}

func (a *account) gateway() (*wechatv2.Gateway, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.Authority) {
		return nil, errors.New("the account has no authority")
	}
	return wechatv2.New(wechatv2.Config{
		AppID: a.AppID, MchID: a.MchID, APIKey: a.APIKey, SignType: wechatv2.SignHMACSHA256,
		CertPEM: a.Cert, KeyPEM: a.Key, BaseURL: a.URL, RootCAs: roots,
		Timeout: 500 * time.Millisecond, TotalTimeout: time.Second,
		RefundRate: -1, QueryRate: -1, Limits: &refund.Limits{}, // nobody waits a minute here
	})
}
