// Package sqlstore is a [refund.Store] in the host's own SQL database: SQLite, PostgreSQL, MySQL or
// MariaDB, over database/sql. It imports no driver. Package pgxtx is for hosts that use pgx without
// database/sql.
//
// # Use
//
//	db, err := sql.Open("pgx", dsn) // the host's pool
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
//	err = store.Migrate(ctx) // or run Migrations with your own tool
//
// SQLite needs some pragmas on every connection. With modernc.org/sqlite they are part of the DSN:
//
//	file:orders.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)
//
// Every connection to ":memory:" opens another database: call db.SetMaxOpenConns(1), or the next
// connection finds no tables. Leave the synchronous pragma at FULL if the machine may lose power.
// Statements are prepared once per connection, on PostgreSQL by the driver. If a proxy refuses to
// prepare a statement, it runs unprepared.
//
// # Joining the host's transaction
//
// A command joins the transaction that its context carries:
//
//   - [WithTx] takes the host's *sql.Tx. GORM's is in db.Statement.ConnPool (see examples/gorm).
//     Package pgxtx takes a transaction of pgx.
//   - [Store.InTx] begins a transaction, and again after a deadlock. [InTx] works on any pool.
//   - [TxFrom] returns to a hook the transaction that it runs in, for the host's own rows.
//   - The commands that ask the provider (Process, ApproveAndSend, Sync, a notification, Abandon)
//     return refund.ErrInTx before they ask: a rollback must not lose a payment that was made.
//   - An Update of the same order inside an Update is an error. So is a call with a transaction
//     that a Store on another pool began. The store cannot know which database a transaction of the
//     host belongs to.
//   - Every command has a savepoint. If it fails, it leaves nothing in the transaction, which goes
//     on.
//
// The store does not write to a transaction that the database has ended. MySQL ends one on a
// deadlock and SQLite on a full disk, and both would commit each later statement by itself. After a
// statement of the store has failed, the store sends no other one until it has rolled back to a
// savepoint. If your code had the transaction, the store checks that it is alive before it writes
// and before it commits. This takes two more statements for a command on MySQL and SQLite, and none
// on PostgreSQL, which refuses statements by itself. [Store.InTx] and single commands then begin
// again. On MySQL with autocommit=0 the store cannot tell a transaction that ended before its first
// command from a new one: return the errors of your own statements.
//
// Call the command first and read your own rows after it. The command waits for the order's row. On
// MySQL, in the default isolation, what was read before the wait does not change (SELECT … FOR
// UPDATE sees the present). A column of your own that holds a refund number must distinguish b from
// B. The default collation of MySQL does not; utf8mb4_bin does.
//
// On SQLite a transaction that reads before it writes can fail with SQLITE_BUSY. Begin your own
// with _txlock=immediate, or begin all of them with [Store.InTx].
//
// # What is promised
//
// Two Updates of one order never interleave. One statement locks the order's row (on SQLite the
// database) and reads the order. Only what changed is written. MySQL writes the order and its
// refund in one statement, so that no trigger on either may write to the other. PostgreSQL writes
// everything in one statement. Transitions are never changed or deleted. After a deadlock or a
// serialization failure the store pauses and begins again, unless it has joined a transaction.
//
// If the answer to COMMIT is lost, [Store.Update] finds out what became of it, or returns
// [ErrCommit].
//
// Amounts are minor units. Times are microseconds since 1970 UTC, so that no session setting
// changes them. The constraints of the tables keep the invariants of an order, whoever writes to
// it. The gateway is stored with the order and, for the indexes, with each refund. No constraint
// keeps the two equal: change it through Update. Text that the database could not hold exactly is
// refused with the name of its field.
//
// # Growth
//
// An Update does not read the order's history. It costs the same for the ten-thousandth transition
// as for the tenth. Get, Update, History, Due and a review queue (ListRefunds with States) cost
// what they return, however many refunds are stored: each reads a range of an index. A test checks
// the plans of the databases. ListRefunds compares Gateway within the index, and OrderIDContains on
// PostgreSQL row by row. That is cheap for a queue. For a list of all refunds it is not, if few of
// them match: set From, or States that few refunds are in. A queue that is spread over years of
// orders needs the pages of these orders in memory. Set SQLite's cache accordingly, for example
// _pragma=cache_size(-65536) for 64 MiB.
//
// Due takes no locks, and no SKIP LOCKED: such a lock would end with the list, before a refund is
// processed. The lease, in an Update of one order, decides who processes a refund.
//
// # Tests
//
// The conformance suite and tests that cut the connection at every statement, kill the writing
// process, restart the server, fill the disk and lock in both orders run with every change on
// SQLite 3.46, PostgreSQL 15 and MariaDB 10.11. They were run by hand on MySQL 8.0.36 and 9.7.4,
// without the restarts.
package sqlstore
