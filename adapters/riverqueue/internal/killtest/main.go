// Command killtest kills processes with River clients while they refund, and compares the books afterwards. It is the
// one of the root's package internal/killtest, whose doc says what is demanded, with this module for an engine: the
// driver approves with the Scheduler in its own transaction, and the workers are clients that may lead and sweep.
//
//	go -C adapters/riverqueue run ./internal/killtest -orders 2000 -workers 4 -dsn postgres://postgres@127.0.0.1:5432/test
//	go -C adapters/riverqueue run ./internal/killtest -midway 'systemctl restart postgresql'
//
// It takes longer than with adapters/poller: the job of a killed process waits for River's rescuer, which looks
// every 30 s, and where the leader is killed, another one leads after 15 s.
package main

import (
	"os"

	"github.com/orderfsm/orderfsm/adapters/sqlstore" //nolint:depguard // a program that puts them together
	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() { os.Exit(killtest.Command(engine(), sqlstore.PostgreSQL)) }
