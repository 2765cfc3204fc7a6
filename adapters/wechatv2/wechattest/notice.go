package wechattest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// schedule returns how long the service waits after each failed delivery of a notification. After
// the last one it gives up (official document 4011989265).
func schedule() []time.Duration {
	return []time.Duration{
		15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute,
		20 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute, time.Hour,
		3 * time.Hour, 3 * time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour,
	}
}

// Delivery is one attempt to deliver a notification.
type Delivery struct {
	// OutRefundNo names the refund.
	OutRefundNo string
	// Status is the refund_status of the notification.
	Status string
	// Attempt counts from 1; At is by the server's clock.
	Attempt int
	At      time.Time
	// Err is nil if the receiver has acknowledged the notification, else the reason why not.
	Err error
	// Next is the time of the next attempt. It is zero if there is none.
	Next time.Time
}

// notice is a notification to deliver.
type notice struct {
	r       *record
	status  string
	ended   time.Time
	url     string
	attempt int
	due     time.Time // zero after the last attempt
}

// NoticeFault is a fault of one delivery. The zero NoticeFault changes nothing.
type NoticeFault struct {
	lost, twice bool
	key         string
	inner       func(message)
	outer       func(message)
}

// LoseNotice does not send the notification.
func LoseNotice() NoticeFault { return NoticeFault{lost: true} }

// TwiceAtOnce delivers the notification twice, at the same time. One acknowledgement is enough for
// both.
func TwiceAtOnce() NoticeFault { return NoticeFault{twice: true} }

// WrongKey encrypts the notification with another API key.
func WrongKey(apiKey string) NoticeFault { return NoticeFault{key: apiKey} }

// FailEnvelope sends return_code FAIL without content.
func FailEnvelope(text string) NoticeFault {
	return NoticeFault{outer: func(m message) {
		clear(m)
		m["return_code"], m["return_msg"] = "FAIL", text
	}}
}

// EnvelopeField sets one field of the envelope. An empty value removes the field.
func EnvelopeField(name, value string) NoticeFault {
	return NoticeFault{outer: Fault{}.Field(name, value).fields}
}

// ContentField sets one field of the encrypted content. An empty value removes the field.
func ContentField(name, value string) NoticeFault {
	return NoticeFault{inner: Fault{}.Field(name, value).fields}
}

// InjectNotice appends faults to the script of deliveries. Each delivery takes the first one.
func (s *Server) InjectNotice(faults ...NoticeFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoils = append(s.spoils, faults...)
}

// announce queues the notification of a refund that has ended. It must be called with s.mu held.
func (s *Server) announce(r *record) {
	url := r.notifyURL
	if url == "" {
		url = s.opts.NotifyURL
	}
	if url != "" {
		n := &notice{r: r, status: r.Status, ended: r.EndedAt, url: url, due: s.now()}
		s.notices = append(s.notices, n)
	}
}

// Deliver ends the refunds that are due and then makes one attempt to deliver each notification
// that is due, the oldest first, and returns the attempts. A notification is due when its refund
// ends and, until it is acknowledged, on the service's schedule of 15 more attempts in 24 hours.
// The server's clock decides: [Server.Advance] reaches the later attempts. Deliver must not be
// called concurrently.
func (s *Server) Deliver(ctx context.Context) []Delivery {
	var done []Delivery
	for _, n := range s.due() {
		if ctx.Err() != nil {
			break
		}
		done = append(done, s.deliver(ctx, n))
	}
	return done
}

func (s *Server) due() []*notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.book.ledger {
		s.endDue(r)
	}
	var due, open []*notice
	for _, n := range s.notices {
		if n.due.IsZero() {
			continue
		}
		open = append(open, n)
		if !n.due.After(s.now()) {
			due = append(due, n)
		}
	}
	s.notices = open
	return due
}

func (s *Server) deliver(ctx context.Context, n *notice) Delivery {
	s.mu.Lock()
	var fault NoticeFault
	if len(s.spoils) > 0 {
		fault, s.spoils = s.spoils[0], s.spoils[1:]
	}
	body, at := s.envelope(n, fault), s.now()
	s.mu.Unlock()

	err := s.push(ctx, n.url, body, fault)

	s.mu.Lock()
	defer s.mu.Unlock()
	n.attempt++
	n.due = time.Time{}
	if err != nil && n.attempt <= len(schedule()) {
		n.due = at.Add(schedule()[n.attempt-1])
	}
	return Delivery{
		OutRefundNo: n.r.OutRefundNo, Status: n.status, Attempt: n.attempt,
		At: at, Err: err, Next: n.due,
	}
}

// Notification returns the body of a refund's notification as it would be sent now, for a test that
// delivers it late, early, changed or again.
func (s *Server) Notification(outRefundNo string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.refunds[outRefundNo]
	if r == nil {
		return nil, fmt.Errorf("notification of refund %s: not in the ledger", outRefundNo)
	}
	return s.envelope(&notice{r: r, status: r.Status, ended: r.EndedAt}, NoticeFault{}), nil
}

// envelope returns the body of a notification. It must be called with s.mu held.
func (s *Server) envelope(n *notice, fault NoticeFault) []byte {
	r, source := n.r, "API"
	if r.inConsole {
		source = "VENDOR_PLATFORM"
	}
	inner := message{
		"transaction_id": r.order.TransactionID, "out_trade_no": r.OutTradeNo,
		"refund_id": r.RefundID, "out_refund_no": r.OutRefundNo,
		"total_fee": itoa(r.order.TotalFee), "refund_fee": itoa(r.Amount),
		"settlement_refund_fee": itoa(r.settlement), "refund_status": n.status,
		"refund_recv_accout": receiver, "refund_account": funds,
		"refund_request_source": source,
	}
	if free := sum(r.order.Coupons, noCash); free > 0 {
		inner["settlement_total_fee"] = itoa(r.order.TotalFee - free)
	}
	if n.status == StatusSuccess {
		inner["success_time"] = beijing(n.ended)
	}
	if fault.inner != nil {
		fault.inner(inner)
	}
	key := s.apiKey
	if fault.key != "" {
		key = fault.key
	}
	outer := message{
		"return_code": "SUCCESS", "appid": s.appID, "mch_id": s.mchID,
		"sub_appid": s.opts.SubAppID, "sub_mch_id": s.opts.SubMchID,
		"nonce_str": nonce() + nonce(), "req_info": encrypt(renderAs("root", inner), key),
	}.compact()
	if fault.outer != nil {
		fault.outer(outer)
	}
	return render(outer)
}

// encrypt makes req_info: base64 of AES-256 in ECB mode, keyed with the hex of the API key's MD5.
func encrypt(plain []byte, apiKey string) string {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := append(append([]byte(nil), plain...), bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(hexKey(apiKey))
	if err != nil {
		return "" // does not happen: hexKey returns 32 bytes
	}
	for rest := data; len(rest) > 0; rest = rest[aes.BlockSize:] {
		block.Encrypt(rest, rest)
	}
	return base64.StdEncoding.EncodeToString(data)
}

func hexKey(apiKey string) []byte {
	digest := md5.Sum([]byte(apiKey))
	return []byte(hex.EncodeToString(digest[:]))
}

func (s *Server) push(ctx context.Context, url string, body []byte, fault NoticeFault) error {
	if fault.lost {
		return errors.New("lost by a fault")
	}
	if !fault.twice {
		return s.post(ctx, url, body)
	}
	var errs [2]error
	var both sync.WaitGroup
	for i := range errs {
		both.Add(1)
		go func() {
			defer both.Done()
			errs[i] = s.post(ctx, url, body)
		}()
	}
	both.Wait()
	if errs[0] == nil || errs[1] == nil {
		return nil
	}
	return errors.Join(errs[:]...)
}

// notifyTimeout is how long the service waits for the acknowledgement.
const notifyTimeout = 5 * time.Second

func newNotifyClient() *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: &http.Transport{}, CheckRedirect: stay}
}

// post sends a notification and checks the acknowledgement.
func (s *Server) post(ctx context.Context, url string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	resp, err := s.opts.NotifyClient.Do(req)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read the acknowledgement: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("notify: HTTP status %d", resp.StatusCode)
	}
	m, err := parse(answer)
	if err != nil {
		return fmt.Errorf("read the acknowledgement: %w", err)
	}
	if m["return_code"] != "SUCCESS" {
		return fmt.Errorf("not acknowledged: %s %s", m["return_code"], m["return_msg"])
	}
	return nil
}
