// Package sim is a simulation of refunds in which everything breaks: a deterministic one, from a seed.
//
// A run has some orders, several worker processes (each a real [refund.Service]), one store (memstore) and
// one simulated provider with a ledger of its own. A [Plan], made from the seed, says what happens: commands
// from the host, polls, notifications that are delayed, doubled, reordered, lost or forged, what the provider
// does with each refund, and what breaks: any call to store or provider, before or after it has its effect,
// late, slow or with the death of the process; outages, kills, clocks that jump.
//
// # Time
//
// There is one thread of control and no real time. Each command runs in a goroutine, and gives the token away
// whenever it calls the store or the provider; it gets it back when the call's virtual time has passed. So all
// interleavings at the borders of calls can happen, and the same Plan always gives the same one.
//
// A killed process is unwound by [runtime.Goexit]: unlike a panic, nothing recovers it. Deferred functions
// run, which a kill -9 would not do; they reach nothing that outlives the process.
//
// # What is checked
//
// While the run goes on: the history only grows and is a legal walk, what is booked as refunded was paid, a
// command that failed committed nothing, and a number is always sent with the same terms. Where clocks agree
// and requests arrive in time also: no two calls for one order at the same time, nothing is sent after its
// lease, no order is asked for more than its total, no failure is booked that is none, and the provider pays
// nothing that the book calls anything but approved.
//
// When the faults are over and nothing is due any more: every approved refund has ended, what callers were
// told has happened has happened, and book and ledger agree to the last unit: at once on what was paid, and
// after a Sync on everything. Before it the console's refunds are missing, and where clocks disagree or
// requests arrive late a refund may be booked as failed that was paid in the end; Stats count these.
//
// # What is assumed of the provider
//
// It pays a number once, never more than the order's total, and does not lie. It does not close a refund for
// good and for all while a copy of the request is still on its way to it. A gateway gives up when its context
// ends. In most runs a request arrives within the quiet period; in the others a no may be booked that was
// true then, and Sync must put it right.
//
// # A failing run
//
// It prints its seed and is shrunk to the fewest operations and faults that break the same rule, with the
// trace of what happened. The seed reproduces the run as long as neither the code nor the generator changes:
//
//	go run ./internal/sim/cmd/sim -seed 1234 -trace
package sim
