// Package riverqueue carries approved refunds to their end with River (riverqueue.com), a job queue in the same
// PostgreSQL database as the orders. It is a module of its own: River is young, owns tables of its own, and its
// version is forced on nobody who does not use it.
//
// Package poller needs less and does the same for most hosts. Take River where it runs already, or where its
// user interface, its metrics and its queues are worth their keep.
//
//	inserter, err := river.NewClient(riverdatabasesql.New(db), &river.Config{}) // inserts, works nothing
//	scheduler, err := riverqueue.NewScheduler(inserter, sqlstore.TxFrom, riverqueue.Lanes{})
//	svc, err := refund.NewService(machine, store, gateway, refund.Options{
//		Scheduler: scheduler, CallTimeout: riverqueue.CallTimeout, Lease: riverqueue.Lease,
//	})
//	…
//	worker, err := riverqueue.NewWorker(svc, riverqueue.Options{})
//	client, err := river.NewClient(riverdatabasesql.New(db), riverqueue.Config(worker, scheduler))
//	err = client.Start(ctx)
//
// With riverdatabasesql.New the working client looks for jobs every second. With riverpgxv5.New, or with
// riverdatabasesql.NewWithPgxListener of River 0.46, PostgreSQL wakes it at the commit of Approve.
//
// There are two clients because the service needs the first and the second needs the service. A process that
// only takes commands has the first alone. River's tables are made by its own migrations (package rivermigrate, or
// its command line). What the host wants beyond goes into the Config before the client is made: its own workers,
// periodic jobs and queues, hooks, a logger.
//
// # Design
//
// Why River: it keeps its jobs in PostgreSQL, so that a job is inserted in the transaction that approves the refund,
// and a queue that is elsewhere cannot promise that. It works jobs at least once and rescues those of processes
// that died, which is all that Process asks of an engine. It is v0 and its versions change its tables: hence a
// module of its own.
//
// # One job per refund
//
// [Scheduler] inserts the job in the transaction that approves or retries the refund: both are committed, or
// neither is. The transaction is found by the function that NewScheduler is given: sqlstore.TxFrom with River's
// driver for database/sql, or pgxtx.TxFrom with riverpgxv5 and a store of pgxtx.New. A command without a transaction of
// that kind fails with [ErrNoTx], and changes nothing.
//
// As long as a job of the refund is not final no second one is inserted. One that sleeps is woken instead.
//
// # Never given up
//
// [Worker] calls Service.Process and has the job sleep until that is due again, as the Backoff of
// the service has it. The job completes when the refund is not approved any more. Nothing else ends
// it: trouble with the provider, with the store, panics, and code of the host that calls
// runtime.Goexit are reasons to sleep. Every refund waits by itself: if the provider limits the
// account ([refund.BusyError] with Account), each of the others still asks once before it waits
// too. River's own count of attempts, which counts the errors outside of the Worker and the killed
// processes, is set to the most it can be.
//
// [Scheduler.Sweep] looks for due refunds that have no job, or one that sleeps: what was approved before River
// came, what somebody has cancelled or deleted in River's tables, what was retried while its last job was about to
// complete, and what sleeps by a clock that was wrong. Config has River do it every [SweepEvery]: its leader
// inserts a job into [Queue], which at least one client must work.
//
// # After a crash
//
// A job whose process was killed is running until River's leader looks for such jobs, every 30 s, and finds
// it older than Config.RescueStuckJobsAfter. By then the lease of the refund should be over. With [CallTimeout]
// and [Lease] a refund moves again in under a minute, at any rate; the defaults of refund.Options take somewhat more.
//
// A client that runs outlives a database that is away for a while. One that is started then does not start: Start
// returns an error, and is to be called again.
//
// RescueStuckJobsAfter holds for all jobs of a client. Give the host's own jobs that may run longer their own
// Timeout, which River respects, or have the refunds in a schema of their own. Every client that may become the
// leader must have the Worker: River gives up rescued jobs of a kind that its leader does not know. (The sweep
// makes new ones.)
//
// # Fairness
//
// A queue of River is first come, first served: a provider that hangs holds as many places of its queue as it has
// refunds due, for CallTimeout each. With several gateways, name them:
//
//	lanes := riverqueue.Lanes{Gateways: []string{"wechatv2", "alipay"}, Orders: store}
//	scheduler, err := riverqueue.NewScheduler(inserter, sqlstore.TxFrom, lanes)
//
// Each has a queue of its own then, [QueueOf], with places of its own, so that whatever becomes of one the others
// do not notice; Config.Queues sets how many. It costs one more read when a refund is approved, and some ninety
// statements a minute for each when idle. Gateways that are not named share [Queue]. A refund has one job whatever
// the queue, and the sweep moves a job out of a queue that is not among the Lanes any more.
//
// # Logs
//
// [Options].Logger gets these records; messages and keys are stable. River has a logger of its own.
//
//	ERROR  refund could not be processed                order_id, refund_no, error, [stack]
//	INFO   due refunds had no job, or one that slept    count
package riverqueue
