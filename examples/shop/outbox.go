package main

import (
	"context"
	"log/slog"
	"time"
)

// outbox sends the messages that the InTx hook has written. It sends each message at least once. A
// message is sent again if the process dies before it has marked the message, and two processes may
// send the same message.
type outbox struct {
	db    *database
	log   *slog.Logger
	wake  chan struct{}
	every time.Duration
}

func newOutbox(db *database, log *slog.Logger) *outbox {
	return &outbox{db: db, log: log, wake: make(chan struct{}, 1), every: 5 * time.Second}
}

// nudge wakes run now. If a nudge is lost, the messages wait a few seconds.
func (o *outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default: // run has not received the last one yet
	}
}

// run sends the messages in the outbox until ctx ends.
func (o *outbox) run(ctx context.Context) {
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	for {
		if err := o.sendAll(ctx); err != nil && ctx.Err() == nil {
			o.log.ErrorContext(ctx, "messages not sent; will retry", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-ticker.C:
		}
	}
}

type message struct {
	orderID, buyer, text string
	seq                  int64
}

func (o *outbox) sendAll(ctx context.Context) error {
	fields := func(m *message) []any { return []any{&m.orderID, &m.seq, &m.buyer, &m.text} }
	unsent, err := each(ctx, o.db, fields,
		`SELECT m.order_id, m.seq, o.buyer, m.text FROM messages m JOIN orders o ON o.id = m.order_id
			WHERE m.sent_at = 0 ORDER BY m.order_id, m.seq LIMIT 100`)
	for _, m := range unsent {
		// A real shop calls its mail or message service here.
		o.log.InfoContext(ctx, "message", slog.String("buyer", m.buyer),
			slog.String("order_id", m.orderID), slog.String("text", m.text))
		if _, err := o.db.exec(ctx, `UPDATE messages SET sent_at = ? WHERE order_id = ? AND seq = ?`,
			time.Now().UnixMicro(), m.orderID, m.seq); err != nil {
			return err
		}
	}
	if len(unsent) == 100 {
		o.nudge()
	}
	return err
}
