package riverqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/orderfsm/orderfsm/order"
)

// Lanes name the gateways that have their own queue, so that a provider that does not answer
// does not delay the refunds of the others. With the zero value, the refunds of all gateways wait
// in [Queue].
//
// All processes should have the same Lanes. If they differ for a while, or if a gateway is removed,
// refunds may wait in a queue that no client works, until the sweep moves them to Queue.
type Lanes struct {
	// Gateways have a queue each, [QueueOf]. All others share Queue. By order.Order.Gateway.
	Gateways []string
	// Orders returns an order within the transaction of ctx. Use the store of the service. It is
	// required if Gateways is set.
	Orders interface {
		Get(ctx context.Context, orderID string) (*order.Order, error)
	}
}

// QueueOf returns the name of River's queue for a gateway of Lanes.
func QueueOf(gateway string) string {
	// River allows letters and digits with at most one sign between two of them. A dot is not a
	// sign.
	parts := strings.FieldsFunc(gateway, func(r rune) bool { return r == '_' || r == '-' })
	signs := strings.Count(gateway, "_") + strings.Count(gateway, "-")
	if len(parts) != signs+1 || strings.Contains(gateway, ".") {
		sum := sha256.Sum256([]byte(gateway))
		gateway = hex.EncodeToString(sum[:8])
	}
	return Queue + "_" + gateway
}

func (l Lanes) validate() error {
	if len(l.Gateways) > 0 && l.Orders == nil {
		return &order.InvalidError{Field: "orders", Problem: "is required if gateways is set"}
	}
	return nil
}

// queue returns the queue of a gateway.
func (l Lanes) queue(gateway string) string {
	if slices.Contains(l.Gateways, gateway) {
		return QueueOf(gateway)
	}
	return Queue
}

// queueOfOrder returns the queue of an order. It reads the order only if there are several queues.
func (l Lanes) queueOfOrder(ctx context.Context, id string) (string, error) {
	if len(l.Gateways) == 0 {
		return Queue, nil
	}
	o, err := l.Orders.Get(ctx, id)
	if err != nil {
		return "", fmt.Errorf("find the gateway: %w", err)
	}
	return l.queue(o.Gateway), nil
}

// queues returns all queues that a client must work.
func (l Lanes) queues() []string {
	all := []string{Queue}
	for _, g := range l.Gateways {
		all = append(all, QueueOf(g))
	}
	return all
}
