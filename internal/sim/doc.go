// Package sim simulates refunds and breaks everything around them. A seed determines the run.
//
// A run has some orders, several worker processes (each a real [refund.Service]), one store
// (memstore behind faults) and one simulated provider with its own ledger. A [Plan], made from
// the seed, says what happens: commands from the host, polls, notifications that are delayed,
// doubled, reordered, lost or forged, what the provider does with each refund, and what breaks.
//
// # What breaks
//
//   - Any call to store or provider, before or after it has its effect, late, slow, or with the
//     death of the process; outages, kills, and callers that no longer wait.
//   - COMMITs whose answer is lost: executed, not executed, or executed later. Others commit before
//     the store looks for proof, and if the order's row does not name the update, it returns an
//     error that leaves open what happened.
//   - Clocks: seconds, hours or years ahead or behind, on any process, for a moment or for good.
//   - Hooks in the transaction that fail, panic or end their goroutine, other hooks and a Backoff
//     that panic or return nonsense.
//   - The transport, which sends a request twice, and the provider, which is busy, lags behind,
//     answers about something else, answers in 100,000 bytes that are not text, or denies what it
//     has accepted.
//   - The book, which is replaced by a backup.
//   - People, who pay a refund by bank transfer that the provider pays too.
//
// # Time
//
// There is one thread of control and no real time. Each command runs in a goroutine, and gives the
// token back whenever it calls the store or the provider; it gets it back when the call's virtual
// time has passed. So all interleavings at the borders of calls can happen, and the same Plan
// always gives the same one.
//
// A killed process is unwound by [runtime.Goexit]: unlike a panic, nothing recovers it. Deferred
// functions run, which a kill -9 would not do; they reach nothing that outlives the process.
//
// # What is checked
//
// While the run goes on, whatever the clocks say:
//
//   - The history is a legal walk, and no refund is lost from it. What is booked as refunded was
//     paid, by the provider or by a person who says so. What the provider says always fits the
//     columns.
//   - A command that failed committed nothing. A command whose COMMIT is in doubt reports that. An
//     update whose hook failed, or whose goroutine ended, is not committed. An answer of the
//     provider is recorded although the caller has gone.
//   - A number is always sent with the same terms, under a lease that is in the book, with room for
//     it, and not again once the provider has accepted it. A denial after an acceptance does not
//     fail it, and releases nothing. An answer that is older than the book revives nothing and
//     raises no discrepancy.
//   - What is due is listed, and taken unless another refund of the order holds a lease. What a row
//     says of the future counts only as far as a right clock can have written it: a next attempt up
//     to MaxWait, a lease up to two leases; an approval in the future is reported as stuck.
//   - An alert is given once, and again only if the store could not record it.
//
// If clocks agree and requests arrive in time, also: no two calls for one order at the same time,
// nothing is sent after its lease, no order is asked for more than its total, no failure is booked
// that is none, no call is made to a busy provider before the delay that it asked for, and the
// provider pays only refunds that are approved in the book.
//
// When the faults are over, all clocks are right, and nothing is due any more: every approved
// refund has ended, everything that was reported to callers has happened, and book and ledger agree
// to the last unit: at once on what was paid, and after a Sync on everything. Before it the
// console's refunds are missing, and if clocks disagreed or requests arrived late a refund may be
// booked as failed that was paid in the end; Stats count these. After a backup was restored only
// Sync makes book and ledger agree, and what was reported to callers may be lost. Whatever was paid
// by a person and by the provider, or is denied until a person acts, was reported to one.
//
// # What is assumed of the provider
//
// It pays a number once, and never more than the order's total. It does not close a refund for good
// while a copy of the request is still on its way to it. It lies in one way only: it
// may deny a refund whose acceptance is in the book. Before that nobody can tell a denial from the
// truth. Its queries may lag behind by 30 seconds, which together with the time that a request is
// on its way is less than the quiet period. In most runs a request arrives within that; in the
// others a refusal may be booked that was true then, and Sync must correct it.
//
// A gateway gives up when its context ends. If its transport sends a request twice, it takes a
// refusal of the second copy as doubtful. A person's evidence is true.
//
// # A failing run
//
// It prints its seed and is shrunk to the fewest operations and faults that break the same rule,
// with the trace of what happened. The seed reproduces the run as long as neither the code nor the
// generator changes:
//
//	go run ./internal/sim/cmd/sim -seed 1234 -trace
//
// Deliberate bugs in the tests show that each rule can break, and within how many runs.
package sim
