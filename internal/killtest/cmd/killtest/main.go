// Command killtest kills workers while they refund, and compares the books afterwards; see package
// killtest.
//
//	go run ./internal/killtest/cmd/killtest -orders 2000 -workers 4 -database sqlite
//	go run ./internal/killtest/cmd/killtest -database postgresql -dsn postgres://postgres@127.0.0.1:5432/test
//	go run ./internal/killtest/cmd/killtest -database mysql -dsn 'root@tcp(127.0.0.1:3306)/' -midway 'systemctl restart mariadb'
//
// It prints a line of progress every few seconds and a table at the end, and exits with 1 on any
// difference.
package main

import (
	"os"

	"github.com/orderfsm/orderfsm/internal/killtest"
)

func main() { os.Exit(killtest.Command(killtest.Engine{}, "")) }
