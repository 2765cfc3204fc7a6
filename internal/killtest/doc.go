// Package killtest kills workers that carry refunds to their end, and compares the books
// afterwards. It runs the real thing: a database, worker processes with adapters/poller, package
// wechatv2 over mutual TLS, and the simulator of WeChat Pay, which keeps the ledger.
//
//	go run ./internal/killtest/cmd/killtest -orders 2000 -workers 4 -database sqlite
//	go run ./internal/killtest/cmd/killtest -database postgresql -dsn postgres://postgres@127.0.0.1:5432/test
//	go run ./internal/killtest/cmd/killtest -database mysql -dsn 'root@tcp(127.0.0.1:3306)/'
//
// The driver asks for one or two refunds of each order and approves them. Meanwhile it kills a
// random worker (SIGKILL) every few hundred milliseconds and starts another in its place. At random
// the simulator loses answers, breaks connections, hangs, or answers SYSTEMERROR or NOTENOUGH. When
// every refund has ended, or the time is over, the driver stops the workers, and [Run] checks to
// the fen:
//
//   - No refund number is paid twice, none is paid without approval, and no order pays more than
//     its total.
//   - Every approved refund has ended: refunded and paid once, or failed and not paid.
//   - Refunded in the book equals what the provider paid, order by order, and the sum equals what
//     left the merchant's balance.
//   - Every order's history is legal ([order.Machine.Verify]).
//
// Options.Midway (-midway, a shell command) can restart the database during the run.
//
// The random choices are seeded, but processes on a real machine do not repeat themselves. A seed
// gives the same orders and the same mix of faults, not the same run.
//
// [order.Machine.Verify]: https://pkg.go.dev/github.com/orderfsm/orderfsm/order#Machine.Verify
package killtest
