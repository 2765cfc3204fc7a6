// Command killtest kills workers while they refund, and compares the books afterwards; see package killtest.
//
//	go run ./internal/killtest/cmd/killtest -orders 2000 -workers 4 -database sqlite
//	go run ./internal/killtest/cmd/killtest -database postgresql -dsn postgres://postgres@127.0.0.1:5432/test
//	go run ./internal/killtest/cmd/killtest -database mysql -dsn 'root@tcp(127.0.0.1:3306)/' -midway 'systemctl restart mariadb'
//
// It prints a line of progress every few seconds and a table at the end, and exits with 1 on any difference.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() {
	if code, is := killtest.Worker(); is {
		os.Exit(code)
	}
	os.Exit(drive())
}

func drive() int {
	opt := killtest.Options{Out: os.Stderr}
	flag.StringVar((*string)(&opt.Database), "database", string(sqlstore.SQLite), "sqlite, postgresql or mysql (MariaDB)")
	flag.StringVar(&opt.DSN, "dsn", "", "the database server; default: ORDERFSM_POSTGRES_DSN or ORDERFSM_MYSQL_DSN")
	flag.IntVar(&opt.Orders, "orders", 2000, "how many orders, of one or two refunds each")
	flag.IntVar(&opt.Workers, "workers", 4, "how many worker processes; SQLite has one")
	flag.DurationVar(&opt.For, "for", 10*time.Minute, "when to give up: what has not ended then is lost")
	flag.DurationVar(&opt.KillEvery, "kill", 300*time.Millisecond, "the mean time between two kills")
	flag.Uint64Var(&opt.Seed, "seed", 1, "of the dice")
	midway := flag.String("midway", "", "a shell command to run once when half of the refunds have ended: restart the database")
	flag.Parse()
	if opt.DSN == "" {
		opt.DSN = os.Getenv(map[sqlstore.Dialect]string{
			sqlstore.PostgreSQL: "ORDERFSM_POSTGRES_DSN", sqlstore.MySQL: "ORDERFSM_MYSQL_DSN",
		}[opt.Database])
	}
	if *midway != "" {
		opt.Midway = func(ctx context.Context) error {
			cmd := exec.CommandContext(ctx, "sh", "-c", *midway) //nolint:gosec // the caller's own
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			return cmd.Run()
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	rep, err := killtest.Run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "killtest:", err)
		return 1
	}
	if err := rep.Print(os.Stdout); err != nil || len(rep.Differences) > 0 {
		return 1
	}
	return 0
}
