package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/di"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

const (
	buyer  order.Actor = "buyer:li"
	seller order.Actor = "staff:wang"
)

// shop is a host: a service, the simulator that it calls, and a clock that the stories advance.
type shop struct {
	sim *wechattest.Server
	svc *refund.Service
	out io.Writer

	mu  sync.Mutex
	now time.Time
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shop) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// playStories plays each story on its order, then compares ledger and book.
func playStories(ctx context.Context, out io.Writer) error {
	s := &shop{out: out, now: time.Date(2026, 1, 5, 2, 0, 0, 0, time.UTC)}
	silent := slog.New(slog.DiscardHandler) // the stories print what happens
	var err error
	//nolint:contextcheck // Close ends the server
	if s.sim, err = wechattest.NewServer(wechattest.Options{Now: s.clock}); err != nil {
		return err
	}
	defer s.sim.Close()
	cfg := s.sim.Config()
	cfg.SignType, cfg.Logger = wechatv2.SignHMACSHA256, silent
	s.svc, err = di.NewInMemoryWeChat(cfg, refund.Options{Now: s.clock, Logger: silent})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "WeChat Pay v2 simulator at %s, mutual TLS, signatures HMAC-SHA256.\n", cfg.BaseURL)

	stories := []struct {
		title string
		play  func(context.Context, string) error
	}{
		{"full refund: the buyer asks, the merchant approves, WeChat Pay returns the money", s.full},
		{"two partial refunds open at once, then nothing is left", s.partial},
		{"rejected, with a note", s.rejected},
		{"not enough balance: failed, topped up, sent again under the same number", s.notEnough},
		{"WeChat Pay pays but its answer is lost: unknown, asked again, paid once", s.lostAnswer},
		{"the money cannot arrive (CHANGE): abnormal, then resolved with evidence", s.abnormal},
	}
	var ids []string
	for i, story := range stories {
		id := fmt.Sprintf("ORDER-%c", 'A'+i)
		ids = append(ids, id)
		fmt.Fprintf(out, "\n(%c) %s\n", 'a'+i, story.title)
		if err := s.pay(ctx, id, 10000); err != nil {
			return err
		}
		if err := story.play(ctx, id); err != nil {
			return fmt.Errorf("story (%c): %w", 'a'+i, err)
		}
		o, err := s.svc.Order(ctx, id)
		if err != nil {
			return err
		}
		printTimeline(out, o)
	}
	return s.compare(ctx, ids)
}

func (s *shop) full(ctx context.Context, id string) error {
	if err := s.request(ctx, id, "R1", 10000, "wrong size"); err != nil {
		return err
	}
	return s.approveAndFinish(ctx, id, "R1", 10000)
}

func (s *shop) partial(ctx context.Context, id string) error {
	if err := s.request(ctx, id, "R1", 6000, "one of two is broken"); err != nil {
		return err
	}
	if err := s.request(ctx, id, "R2", 4000, "the other one too"); err != nil {
		return err
	}
	if err := s.request(ctx, id, "R3", 1, "one fen more"); err != nil {
		fmt.Fprintf(s.out, "    refused: %v\n", err)
	} else {
		return fmt.Errorf("a request for more than was paid was accepted")
	}
	if err := s.approveAndFinish(ctx, id, "R1", 6000); err != nil {
		return err
	}
	return s.approveAndFinish(ctx, id, "R2", 4000)
}

func (s *shop) rejected(ctx context.Context, id string) error {
	if err := s.request(ctx, id, "R1", 10000, "changed my mind"); err != nil {
		return err
	}
	s.advance(time.Hour)
	_, err := s.svc.Reject(ctx, refund.RejectParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number(id, "R1")}, Actor: seller, Note: "worn, see photo 3",
	})
	return err
}

func (s *shop) notEnough(ctx context.Context, id string) error {
	funds := s.sim.Balance()
	s.sim.SetBalance(0)
	if err := s.request(ctx, id, "R1", 10000, "never arrived"); err != nil {
		return err
	}
	if err := s.approveAndFinish(ctx, id, "R1", 10000); err != nil {
		return err
	}
	s.sim.SetBalance(funds)
	s.advance(time.Hour)
	if _, err := s.svc.Retry(ctx, refund.RetryParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number(id, "R1")}, Actor: seller, Note: "balance topped up",
	}); err != nil {
		return err
	}
	return s.finish(ctx, id, "R1")
}

func (s *shop) lostAnswer(ctx context.Context, id string) error {
	s.sim.Inject(wechattest.LoseAnswer())
	if err := s.request(ctx, id, "R1", 10000, "never arrived"); err != nil {
		return err
	}
	return s.approveAndFinish(ctx, id, "R1", 10000)
}

func (s *shop) abnormal(ctx context.Context, id string) error {
	s.sim.Inject(wechattest.EndsAs(wechattest.StatusChange))
	if err := s.request(ctx, id, "R1", 10000, "wrong colour"); err != nil {
		return err
	}
	if err := s.approveAndFinish(ctx, id, "R1", 10000); err != nil {
		return err
	}
	s.advance(48 * time.Hour)
	_, err := s.svc.Resolve(ctx, refund.ResolveParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number(id, "R1")}, Resolution: refund.ResolutionPaid,
		Actor:    seller,
		Evidence: "sent to the buyer's new card, bank receipt 8812",
	})
	return err
}

// pay adds a paid order to WeChat Pay and registers it.
func (s *shop) pay(ctx context.Context, id string, total int64) error {
	if err := s.sim.AddOrder(wechattest.Order{OutTradeNo: id, TotalFee: total}); err != nil {
		return err
	}
	_, err := s.svc.Register(ctx, refund.RegisterParams{
		OrderID: id, Gateway: wechatv2.GatewayName, Currency: "CNY", Total: total, PaidAt: s.clock(),
	})
	return err
}

func (s *shop) request(ctx context.Context, id, name string, fen int64, reason string) error {
	s.advance(time.Minute)
	_, err := s.svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number(id, name)}, Amount: fen, Reason: reason,
		Actor: buyer,
	})
	return err
}

// approveAndFinish approves a refund and processes it until it has an outcome.
func (s *shop) approveAndFinish(ctx context.Context, id, name string, fen int64) error {
	s.advance(10 * time.Minute)
	if _, err := s.svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number(id, name)}, Amount: fen, Actor: seller,
	}); err != nil {
		return err
	}
	return s.finish(ctx, id, name)
}

// finish processes a refund as a poller does, until no attempt is due. It advances the clock.
func (s *shop) finish(ctx context.Context, id, name string) error {
	for {
		next, err := s.svc.Process(ctx, refund.Ref{OrderID: id, RefundNo: number(id, name)})
		if err != nil {
			return err
		}
		if next.Err != nil {
			fmt.Fprintf(s.out, "    %s stays %s: %v\n", number(id, name), next.State, next.Err)
		}
		if next.At.IsZero() {
			return nil
		}
		s.advance(next.At.Sub(s.clock()))
	}
}

// number returns a refund number that is unique in the shop.
func number(orderID, name string) string { return orderID + "-" + name }
