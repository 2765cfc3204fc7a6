package killtest

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// workerVar in the environment makes a process a worker; it names the file with its account.
const workerVar = "ORDERFSM_KILLTEST_WORKER"

// gatewayName is the orders' gateway.
const gatewayName = wechatv2.GatewayName

// account is the configuration of a worker.
type account struct {
	Database             sqlstore.Dialect
	DSN, URL             string
	AppID, MchID, APIKey string
	Cert, Key, Authority []byte
}

func newAccount(d sqlstore.Dialect, dsn string, srv *wechattest.Server) *account {
	cfg := srv.Config()
	return &account{
		Database: d, DSN: dsn, URL: cfg.BaseURL, AppID: cfg.AppID, MchID: cfg.MchID,
		APIKey: cfg.APIKey, Cert: cfg.CertPEM, Key: cfg.KeyPEM, Authority: srv.CACertPEM(),
	}
}

func (a *account) write(file string) error {
	text, err := json.Marshal(a) //nolint:gosec // the key is generated, the file is ours
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// Worker must be called at the beginning of main (or TestMain). In a process that the driver has
// started it works until the standard input ends, and returns the exit code and true. In any other
// process it returns false. The driver must have the same engine.
func Worker(e Engine) (code int, is bool) {
	path := os.Getenv(workerVar)
	if path == "" {
		return 0, false
	}
	if err := work(context.Background(), e.orPoller(), path, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1, true
	}
	return 0, true
}

func work(ctx context.Context, e Engine, path string, stop io.Reader) error {
	text, err := os.ReadFile(path) //nolint:gosec // the driver's own file
	if err != nil {
		return err
	}
	var a account
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	s, err := a.open(e)
	if err != nil {
		return err
	}
	defer s.DB.Close()
	stopping, begin := context.WithCancel(ctx)
	defer begin()
	go func() { // the input also ends if the driver dies
		_, _ = io.Copy(io.Discard, stop)
		begin()
	}()
	return e.Work(stopping, s)
}

// open makes the parts of a Shop.
func (a *account) open(e Engine) (*Shop, error) {
	gateway, err := a.gateway()
	if err != nil {
		return nil, err
	}
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	s := &Shop{DSN: a.DSN}
	if s.DB, err = open(a.Database, a.DSN); err != nil {
		return nil, err
	}
	if s.Store, err = sqlstore.New(s.DB, a.Database, sqlstore.Options{}); err != nil {
		return nil, errors.Join(err, s.DB.Close())
	}
	opt := refund.Options{
		CallTimeout: CallTimeout,
		Lease:       Lease,
		QuietPeriod: time.Second,
		Backoff:     refund.ExponentialBackoff(50*time.Millisecond, 500*time.Millisecond),
		MaxWait:     time.Second,
	}
	if e.Scheduler != nil {
		if opt.Scheduler, err = e.Scheduler(s); err != nil {
			return nil, errors.Join(err, s.DB.Close())
		}
	}
	if s.Service, err = refund.NewService(m, s.Store, gateway, opt); err != nil {
		return nil, errors.Join(err, s.DB.Close())
	}
	return s, nil
}

func (a *account) gateway() (*wechatv2.Gateway, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.Authority) {
		return nil, errors.New("the account has no CA certificate")
	}
	return wechatv2.New(wechatv2.Config{
		AppID: a.AppID, MchID: a.MchID, APIKey: a.APIKey, SignType: wechatv2.SignHMACSHA256,
		CertPEM: a.Cert, KeyPEM: a.Key, BaseURL: a.URL, RootCAs: roots,
		Timeout: CallTimeout * 3 / 4, TotalTimeout: CallTimeout,
		// Without WeChat Pay's wait of a minute.
		RefundRate: -1, QueryRate: -1, Limits: &refund.Limits{},
	})
}
