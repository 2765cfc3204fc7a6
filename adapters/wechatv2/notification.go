package wechatv2

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/orderfsm/orderfsm/refund"
)

// ReadNotification implements [refund.NotificationReader] (official document 4011989265). It
// accepts a POST of at most [refund.MaxNotification] bytes with strict XML for this Gateway's
// merchant, whose req_info holds strict XML that names one refund. It stops reading when r's
// context ends; give the server a ReadTimeout too. A status that no document names is
// [refund.OutcomeUnknown].
//
// A notification is a hint, never proof: it is not signed, and its encryption lets anybody swap and
// replay blocks. Confirm it with Query before you book money, as [refund.Service] does.
//
// Errors match [refund.ErrNotification], and [refund.ErrMismatch] if the notification is for
// another merchant. They hold nothing that was encrypted.
func (g *Gateway) ReadNotification(r *http.Request) (refund.Notification, error) {
	info, err := g.openNotification(r)
	var n refund.Notification
	if err == nil {
		n, err = info.notification()
	}
	if err != nil {
		return refund.Notification{}, fmt.Errorf("%w: %w", refund.ErrNotification, err)
	}
	return n, nil
}

// openNotification returns the fields of req_info.
func (g *Gateway) openNotification(r *http.Request) (fields, error) {
	switch {
	case r.Method != http.MethodPost:
		return nil, errors.New("not a POST")
	case r.Header.Get("Content-Encoding") != "":
		return nil, errors.New("body with a content encoding")
	case r.Body == nil:
		return nil, errors.New("no body")
	}
	body, err := readBody(ctxReader{r.Context(), r.Body}, 2<<10, refund.MaxNotification)
	if err != nil {
		return nil, err
	}
	if len(body) > refund.MaxNotification {
		return nil, fmt.Errorf("body of more than %d bytes", refund.MaxNotification)
	}
	f, err := decode(body)
	if err != nil {
		return nil, err
	}
	if f["return_code"] != success {
		return nil, errors.New("return_code is not SUCCESS")
	}
	if err := g.matchMerchant(f); err != nil {
		return nil, err
	}
	text, err := decryptInfo(f["req_info"], g.infoCipher())
	if err != nil {
		return nil, err
	}
	info, err := decodeRoot(text, "root")
	if err != nil {
		return nil, fmt.Errorf("req_info: %w", err)
	}
	return info, nil
}

// notification reads the content of req_info.
func (f fields) notification() (refund.Notification, error) {
	n := refund.Notification{Result: f.result("", "success_time"), PaymentID: f["transaction_id"]}
	n.Result.OrderID = f["out_trade_no"]
	n.Total, _ = parseNumber(f["total_fee"])
	if a := n.Result.Amount; a == 0 || a > n.Total {
		return refund.Notification{}, errors.New("refund_fee is not a number from 1 to total_fee")
	}
	if !isNumber(n.Result.RefundNo, 64) || !isNumber(n.Result.OrderID, 32) ||
		!isPaymentID(n.PaymentID) {
		return refund.Notification{}, errors.New(
			"out_refund_no, out_trade_no or transaction_id is missing or malformed")
	}
	return n, nil
}

// ctxReader ends a slow body when the context ends.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r ctxReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// The acknowledgements. After any answer but the first WeChat Pay delivers again.
const (
	ackAccepted = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
	ackAgain    = "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[not accepted]]></return_msg></xml>"
)

// Acknowledge implements [refund.NotificationReader]. If err is not nil, WeChat Pay delivers again,
// up to 15 times in 24 hours. The text of err is not sent.
func (*Gateway) Acknowledge(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	ack := ackAccepted
	if err != nil {
		ack = ackAgain
	}
	_, _ = io.WriteString(w, ack)
}

// infoKey is the AES key of req_info: the API key's MD5 as 32 lower-case hex characters
// (4011989265).
func infoKey(apiKey string) []byte {
	sum := md5.Sum([]byte(apiKey))
	return hex.AppendEncode(nil, sum[:])
}

// decryptInfo decrypts req_info: base64 of AES-256 in ECB mode with PKCS#7 padding. ECB does not
// prove where a block came from. Every failure is the same error, so that a forger learns nothing.
func decryptInfo(reqInfo string, block cipher.Block) ([]byte, error) {
	bad := errors.New("req_info does not decrypt")
	data, err := base64.StdEncoding.Strict().DecodeString(reqInfo)
	if err != nil || len(data)%aes.BlockSize != 0 {
		return nil, bad
	}
	for rest := data; len(rest) > 0; rest = rest[aes.BlockSize:] {
		block.Decrypt(rest, rest)
	}
	plain, ok := unpad(data)
	if !ok {
		return nil, bad
	}
	return plain, nil
}

// unpad removes PKCS#7 padding: 1 to 16 bytes, each of which is their number.
func unpad(data []byte) ([]byte, bool) {
	if len(data) == 0 {
		return nil, false
	}
	n := int(data[len(data)-1])
	if n == 0 || n > aes.BlockSize || n > len(data) {
		return nil, false
	}
	for _, c := range data[len(data)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return data[:len(data)-n], true
}
