// Package di puts the parts together with google/wire: provider sets by role, from which a host's own
// injector picks, and ready injectors.
//
// The inputs and outputs of a set are API. CoreSet leaves the machine, the store and the gateway to the
// other sets or to the host, so that a host's own never collides with ours.
//
// Only this package imports wire. Every provider is an ordinary constructor; a host that wires by hand calls
// them directly, as the example of NewInMemoryWeChat shows.
package di
