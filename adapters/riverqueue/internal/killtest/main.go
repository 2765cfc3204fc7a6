// Command killtest kills processes with River clients while they refund, and compares the books
// afterwards. It is the one of the root's package internal/killtest, whose doc says what is
// demanded, with this module for an engine: the driver approves with the Scheduler in its own
// transaction, and the workers are clients that may lead and sweep.
//
//	go -C adapters/riverqueue run ./internal/killtest -kill 1s -dsn postgres://postgres@127.0.0.1:5432/test
//	go -C adapters/riverqueue run ./internal/killtest -kill 1s -midway 'systemctl restart postgresql'
//
// It takes longer than with adapters/poller: the job of a killed process waits for River's rescuer,
// which runs in the leader, and where the leader is killed too, the next one leads after 15 s at
// most. With -kill 300ms hardly any leader lives until it has rescued somebody, and a run takes
// half an hour: give it -for 1h.
package main

import (
	"os"

	"github.com/orderfsm/orderfsm/adapters/sqlstore" //nolint:depguard // a program that puts them together
	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() { os.Exit(killtest.Command(engine(), sqlstore.PostgreSQL)) }
