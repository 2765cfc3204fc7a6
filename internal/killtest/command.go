package killtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// Command is the main function of a command. It makes one run with the flags of the process, or it
// works, if the process is a worker of such a run. It returns the exit code, which is 1 if anything
// differs. If database is not empty, the engine runs on that one alone, and there is no flag
// -database.
func Command(e Engine, database sqlstore.Dialect) int {
	if code, is := Worker(e); is {
		return code
	}
	opt := Options{Out: os.Stderr, Engine: e, Database: database}
	if database == "" {
		flag.StringVar((*string)(&opt.Database), "database", string(sqlstore.SQLite), "sqlite, postgresql or mysql (MariaDB)")
	}
	flag.StringVar(&opt.DSN, "dsn", "", "the database server; default: ORDERFSM_POSTGRES_DSN or ORDERFSM_MYSQL_DSN")
	flag.IntVar(&opt.Orders, "orders", 2000, "number of orders, with one or two refunds each")
	flag.IntVar(&opt.Workers, "workers", 4, "number of worker processes; always 1 with SQLite")
	flag.DurationVar(&opt.For, "for", 10*time.Minute, "time limit; refunds that have not ended by then count as lost")
	flag.DurationVar(&opt.KillEvery, "kill", 300*time.Millisecond, "the mean time between two kills")
	flag.Int64Var(&opt.Kills, "kills", 0, "the most kills; if 0, there is no limit")
	flag.Uint64Var(&opt.Seed, "seed", 1, "seed of the random choices")
	midway := flag.String("midway", "", "a shell command to run once when half of the refunds have ended, for example to restart the database")
	flag.Parse()
	if opt.DSN == "" {
		opt.DSN = os.Getenv(map[sqlstore.Dialect]string{
			sqlstore.PostgreSQL: "ORDERFSM_POSTGRES_DSN", sqlstore.MySQL: "ORDERFSM_MYSQL_DSN",
		}[opt.Database])
	}
	if *midway != "" {
		opt.Midway = func(ctx context.Context) error {
			cmd := exec.CommandContext(ctx, "sh", "-c", *midway) //nolint:gosec // the command comes from the caller
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			return cmd.Run()
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	rep, err := Run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "killtest:", err)
		return 1
	}
	if err := rep.Print(os.Stdout); err != nil || len(rep.Differences) > 0 {
		return 1
	}
	return 0
}
