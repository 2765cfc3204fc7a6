// Command killtest kills processes with River clients while they refund, and compares the books
// afterwards. It runs package internal/killtest of the root module, whose documentation lists the
// requirements, with this module as the engine. The driver approves with the Scheduler in its own
// transaction, and the workers are clients that may lead and sweep.
//
//	go -C adapters/riverqueue run ./internal/killtest -kill 1s -dsn postgres://postgres@127.0.0.1:5432/test
//	go -C adapters/riverqueue run ./internal/killtest -kill 1s -midway 'systemctl restart postgresql'
//
// It takes longer than with adapters/poller. The job of a killed process waits for River's rescuer,
// which runs in the leader. If the leader is killed too, the next one leads after at most 15 s. With
// -kill 300ms, few leaders live long enough to rescue a job, and a run takes half an hour: use
// -for 1h.
package main

import (
	"os"

	"github.com/orderfsm/orderfsm/adapters/sqlstore" //nolint:depguard // a program that puts them together
	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() { os.Exit(killtest.Command(engine(), sqlstore.PostgreSQL)) }
