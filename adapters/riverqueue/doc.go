// Package riverqueue processes approved refunds with River (riverqueue.com), a job queue in the
// same PostgreSQL database as the orders. It is a separate module, because River is young and has
// its own tables. Only a host that uses it depends on River.
//
// Package poller needs less and does the same for most hosts. Use River if you run it already, or
// if you need its user interface, its metrics or its queues.
//
//	inserter, err := river.NewClient(riverdatabasesql.New(db), &river.Config{}) // only inserts
//	scheduler, err := riverqueue.NewScheduler(inserter, sqlstore.TxFrom, riverqueue.Lanes{})
//	svc, err := refund.NewService(machine, store, gateway, refund.Options{
//		Scheduler: scheduler, CallTimeout: 10 * time.Second, Lease: 30 * time.Second,
//	})
//	…
//	config, err := riverqueue.Config(svc, scheduler, riverqueue.Options{})
//	client, err := river.NewClient(riverdatabasesql.New(db), config)
//	err = client.Start(ctx)
//
// With riverdatabasesql.New, the working client looks for jobs every second. With
// riverdatabasesql.NewWithPgxListener, the commit of Approve wakes it.
//
// There are two clients, because the service needs the first and the second needs the service. A
// process that only takes commands has only the first. River's own migrations make its tables
// (package rivermigrate, or its command line). Change the Config before you make the client, for
// example to add workers, periodic jobs, queues, hooks or a logger of your own.
//
// # Design
//
// River keeps its jobs in PostgreSQL, so a job is inserted in the transaction that approves the
// refund. A queue in another system cannot promise that. River works each job at least once and
// rescues the jobs of processes that died. Process needs no more from an engine. River is v0, and
// its versions change its tables. Therefore this package is a separate module.
//
// # One job per refund
//
// [Scheduler] inserts the job in the transaction that approves or retries the refund: both are
// committed, or neither is. The function txFrom of NewScheduler finds the transaction. It is
// sqlstore.TxFrom with River's driver for database/sql, or pgxtx.TxFrom with riverpgxv5 and a store
// of pgxtx.New. A command without such a transaction returns [ErrNoTx] and changes nothing.
//
// No second job is inserted before the first is final. If the job sleeps, it is woken instead.
//
// # Jobs are not given up
//
// A job calls Service.Process and sleeps until the refund is due again, as the Backoff of the
// service says. The job completes when the refund is not approved any more. Nothing else ends it.
// The job sleeps after errors of the provider or the store, after a panic, and after code of the
// host has called runtime.Goexit. Each refund waits by itself: if the provider limits the account
// ([refund.BusyError] with Account), each of the other refunds asks once before it waits too.
// River's own count of attempts is set to its maximum. It counts only errors outside of Process and
// processes that were killed.
//
// A sweep finds due refunds that have no job, or a job that sleeps. Such a refund was approved
// before the host used River, or its job was cancelled or deleted in River's tables, or it was
// retried while its last job was completing, or its job sleeps by a clock that was wrong. River's
// leader inserts the job of a sweep into [Queue] when it starts and then every 30 s. At least one
// client must work that queue.
//
// The job of a refund is of the kind orderfsm_refund, with the arguments order_id and refund_no.
// That of the sweep is of the kind orderfsm_refund_sweep.
//
// # After a crash
//
// The job of a killed process is still running for River. Every 30 s, River's leader looks for jobs
// that have run for longer than Config.RescueStuckJobsAfter. The lease of the refund should have
// ended by then. If CallTimeout is 10 s and Lease 30 s, as above, a refund is processed again in
// under a minute: its job is stuck after 15 s, River looks for it within 30 s, and it takes some
// seconds to start it. With the defaults of refund.Options it takes longer.
//
// A running client survives a database that is away for a while. A client that is started meanwhile
// does not start: Start returns an error, and the host must call it again.
//
// RescueStuckJobsAfter applies to all jobs of a client. If the host has jobs that may run longer,
// give them their own Timeout, which River respects, or use another schema for the refunds.
// Every client that may become the leader must have the Workers of [Config], because River gives up
// rescued jobs of a kind that its leader does not know. (The sweep inserts new ones.)
//
// # Fairness
//
// A queue of River works jobs in the order of their arrival. If a provider does not answer, each of
// its due refunds occupies a place of the queue for CallTimeout. With several gateways, name them:
//
//	lanes := riverqueue.Lanes{Gateways: []string{"wechatv2", "alipay"}, Orders: store}
//	scheduler, err := riverqueue.NewScheduler(inserter, sqlstore.TxFrom, lanes)
//
// Each of them then has its own queue, [QueueOf], with its own places, so that one does not delay
// the others. Config.Queues sets the number of places. This costs one more read for each approval,
// and about ninety statements a minute for each idle queue. Other gateways share [Queue]. A refund
// has one job in all queues. The sweep moves a job out of a queue that is not among the Lanes any
// more.
//
// # Logs
//
// [Options].Logger receives these records. Messages and keys are stable. River has a logger of its
// own.
//
//	ERROR  refund could not be processed                order_id, refund_no, error, [stack]
//	INFO   due refunds had no job, or one that slept    count
package riverqueue
