// Command killriver kills processes with River clients while they refund, and compares the books
// afterwards. Package internal/killtest documents what it checks. The engine is
// adapters/riverqueue: the driver approves with the Scheduler in its own transaction, and the
// workers are clients that may lead and sweep.
//
//	go run ./internal/killtest/cmd/killriver -kill 1s -dsn postgres://postgres@127.0.0.1:5432/test
//	go run ./internal/killtest/cmd/killriver -kill 1s -midway 'systemctl restart postgresql'
//
// A run takes longer than with adapters/poller, because the job of a killed process waits for
// River's rescuer. The rescuer runs in the leader; if the leader is killed too, another client
// leads after 15 s at most. With -kill 300ms few leaders live until they have rescued a job, and a
// run takes half an hour: use -for 1h.
package main

import (
	"os"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() { os.Exit(killtest.Command(engine(), sqlstore.PostgreSQL)) }
