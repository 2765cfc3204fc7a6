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

// Lanes give gateways queues of their own, so that one whose provider hangs does not hold up the others. The zero
// value has the refunds of all gateways wait in [Queue].
//
// All processes should have the same. Where they differ for a while, or a gateway is taken out, refunds wait in
// a queue that nobody works, until the sweep finds them due and puts them into Queue.
type Lanes struct {
	// Gateways have a queue each, [QueueOf]; all others share Queue. By order.Order.Gateway.
	Gateways []string
	// Orders tells the gateway of an order within the transaction that ctx carries: the store of the service.
	// Required where there are Gateways.
	Orders interface {
		Get(ctx context.Context, orderID string) (*order.Order, error)
	}
}

// QueueOf is the name of River's queue for a gateway that has one of its own.
func QueueOf(gateway string) string {
	// River wants letters and digits, and one sign at most between two of them; a dot is none of its signs.
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
		return &order.InvalidError{Field: "orders", Problem: "is nil, and there are gateways"}
	}
	return nil
}

// queue is where the refunds of a gateway wait.
func (l Lanes) queue(gateway string) string {
	if slices.Contains(l.Gateways, gateway) {
		return QueueOf(gateway)
	}
	return Queue
}

// queueOfOrder is the same for an order. It asks only where there is a choice.
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

// queues are all those that a client has to work.
func (l Lanes) queues() []string {
	all := []string{Queue}
	for _, g := range l.Gateways {
		all = append(all, QueueOf(g))
	}
	return all
}
