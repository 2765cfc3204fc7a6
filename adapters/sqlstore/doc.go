// Package sqlstore is a [refund.Store] in the host's own SQL database: SQLite, PostgreSQL, MySQL and MariaDB,
// over database/sql. It imports no driver; package pgxtx beside it is for hosts that use pgx natively.
//
// # Use
//
//	db, err := sql.Open("pgx", dsn)                              // the host's pool
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
//	err = store.Migrate(ctx)                                     // or run Migrations with your own tool
//
// SQLite wants some pragmas with every connection; with modernc.org/sqlite they are part of the DSN:
//
//	file:orders.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)
//
// A database in memory (":memory:") is one connection's own: give it db.SetMaxOpenConns(1), or the next connection
// finds no tables. Leave the synchronous pragma at FULL where the machine may lose power. Statements are prepared
// once per connection (on PostgreSQL that is the driver's business); a proxy that takes no prepared statements has
// them run as they are.
//
// # Joining the host's transaction
//
// A command joins a transaction that its context carries:
//
//   - [WithTx] takes the host's *sql.Tx (GORM's is in db.Statement.ConnPool, see examples/gorm; pgx's is for package
//     pgxtx). The store then neither commits, rolls back nor retries, and After hooks do not run.
//   - [Store.InTx] begins one, commits it, runs the After hooks when it has, and begins again after a deadlock. [InTx]
//     is the same on any pool, without that.
//   - [TxFrom] gives a hook the transaction it runs in, for the host's own rows.
//   - What asks the provider (Process, ApproveAndSend, Sync, a notification, Abandon) refuses with refund.ErrInTx before
//     it asks: a rollback must not lose a payment that was made.
//   - An Update of the same order inside an Update is an error, and so is any call with the transaction that a Store
//     on another pool began. Which database the host's own transaction is of, nobody can tell: give it to no other's Store.
//   - A command that fails leaves nothing in the transaction (it has a savepoint), which goes on.
//   - A transaction that the database has ended is not written to. MySQL ends it on a deadlock, SQLite on a full disk,
//     and both would commit what is sent next, statement by statement. After a statement of the store has failed, the
//     store sends no other until it has rolled back to a savepoint. If your code has had the transaction in its hands,
//     the store checks that it still lives before it writes and before it commits: two more statements for a command
//     on MySQL and SQLite, none on PostgreSQL, which refuses by itself. [Store.InTx] and single commands then begin again.
//     On MySQL with autocommit=0 a transaction that ended before the first command in it cannot be told from a new one:
//     return the errors of your own statements.
//
// Call the command first, and read your own rows after it: the command waits for the order's row, and on MySQL, in its
// default isolation, what was read before stays as it was before the wait (SELECT … FOR UPDATE sees the present).
// A column of the host's own that holds a refund number must tell b from B: MySQL's default collation does not, and
// two refunds would be one; utf8mb4_bin does.
//
// On SQLite a transaction that has read before it writes can fail with SQLITE_BUSY: begin the host's own with
// _txlock=immediate, or all of them by [Store.InTx].
//
// # What is promised
//
// Two Updates of one order never interleave: the order's row is locked (on SQLite the database), and the order read,
// by one statement. Only what changed is written, new refunds and transitions in one statement each, on MySQL the order
// and its refund in one (no trigger on either may write to the other then), on PostgreSQL all of it together;
// transitions are never changed or deleted. Deadlocks and serialization failures are retried, with a pause, unless
// joined.
//
// If the answer to COMMIT is lost, the store looks for the random number that it wrote into the order's row. If it is
// there, the command has succeeded. If it is not, for example because others have written to the order since, the error
// wraps [ErrCommit], and nobody knows. Give the same command again: each one is idempotent.
//
// Amounts are minor units. Times are microseconds since 1970 UTC, so that no session setting changes them; the
// constraints of the tables hold the invariants of an order whoever writes to it. What refunds repeat of their order, its
// gateway, they do not hold: change it by Update, or in both tables. Text that the database could not hold exactly is
// refused by the name of its field.
//
// # Growth
//
// An Update does not read the order's history, so that it costs the same for the ten-thousandth transition as for the
// tenth. Get, Update, History, Due and a review queue (ListRefunds with States) cost what they return, however many refunds are stored: each
// reads a range of an index, state by state, which a test asks the database to explain. The Gateway of a
// [refund.Filter] is compared within the index, the OrderID on PostgreSQL row by row: of a queue that is cheap, of all
// refunds it is not, if few of them match. Give such a list a From, or States that few are in. A queue that is spread
// over years of orders needs the pages of them: give SQLite a cache that holds these, for example
// _pragma=cache_size(-65536) for 64 MiB.
//
// Due takes no locks, not with SKIP LOCKED either: such a lock ends with the list, before anything is
// processed, and PostgreSQL writes to each row for it. Who gets a refund is decided by the lease, in an Update of one
// order; others that come for it find it taken and have lost one locking read.
//
// # What was run
//
// The conformance suite, with two processes and under the race detector, and tests that cut the connection at
// every statement, kill the writing process, restart the server, fill the disk and lock in both orders: with every change
// on SQLite 3.46, PostgreSQL 15 and MariaDB 10.11, and by hand, less the restarts, on MySQL 8.0.36 and 9.7.4.
package sqlstore
