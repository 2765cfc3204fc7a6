// Package wechatv2 is a [refund.RefundGateway] for WeChat Pay v2, the XML interface with an API key and a
// client certificate.
//
// # Use
//
// [New] takes a [Config] and returns a [Gateway], which a [refund.Service] calls. Beside the standard library it
// needs go-pkcs12 and x/time/rate. Package wechattest beside it is a server that behaves as WeChat Pay does, for
// tests in Go, and its command wechatpay-sim the same for a shop in any language.
//
// # What it promises
//
//   - A refund that was accepted is [refund.OutcomeAccepted]; only a query's SUCCESS is money returned.
//   - Declined is said only on a signed answer with a documented code that moved nothing. Where such a code
//     may be the echo of this refund's own earlier success (ERROR, INVALID_REQUEST, REFUND_FEE_MISMATCH),
//     the number is queried first.
//   - A refusal counts only if the request was sent once. After a second sending, to the backup host
//     or by what [Config].WrapTransport added, the first one may have paid: the number is queried, and
//     if the query does not find it, the outcome stays unknown.
//   - Everything else is an error, which means unknown: a time-out, an HTTP status, broken or oversized XML,
//     a missing or wrong signature, another merchant, refund, order or amount in the answer, SYSTEMERROR, a
//     code or a status that no document names, and every unsigned refusal (return_code FAIL).
//   - Faults of the set-up (certificate, signature, permission, unknown merchant) are [*refund.SetupError],
//     a busy service is [*refund.BusyError]. It is about the whole account if the configured rate is
//     used up, after INVALID_REQ_TOO_MUCH, and after HTTP status 429, else about the one refund.
//
// An answer is believed in this order: HTTP status and size, strict form, return_code, signature (in
// constant time, by the algorithm of the request, over all fields including unknown ones), merchant,
// result_code, refund number, order and amounts.
//
// # What it guards
//
// TLS is always verified, at least version 1.2; there is no switch to turn it off, and no way to bring
// another TLS configuration. Redirects are not followed, and no proxy is taken from the environment. The API
// key, the private key, signatures and message bodies are in no log line and no error, and a printed Config or
// Gateway shows none.
//
// # Notifications
//
// The Gateway reads refund notifications ([Gateway.ReadNotification]; [Gateway.OpenNotification] gives every
// field), so that [refund.Service.NotificationHandler] puts the endpoint on a mux in one line. WeChat Pay does
// not sign them: whoever has seen one can send it again, or another one made of its blocks. So a
// notification is only ever the reason to query.
//
// # Speed
//
// Beside the plain way (encoding/xml, crypto/hmac, net/http posting the same bytes), medians of one run on
// two busy cores. The ratio is what counts; go test -run '^$' -bench . ./adapters/wechatv2 repeats it.
//
//	                               this package        plain               ratio
//	sign 10 fields, MD5             0.71 µs,   1 alloc   3.5 µs,  29 allocs   0.20
//	sign 10 fields, HMAC-SHA256     0.52 µs,   1 alloc   4.5 µs,  36 allocs   0.12
//	encode a request                0.39 µs,   1 alloc   4.4 µs,  10 allocs   0.09
//	decode an answer of 20 fields   3.9 µs,    5 allocs   35 µs, 215 allocs   0.11
//	read a notification              11 µs,   21 allocs   57 µs, 212 allocs   0.20
//	refund over mutual TLS          294 µs               291 µs               1.01
//	the same, 32 at once            157 µs               148 µs               1.06
//
// # Error codes
//
// [Explain] tells what an err_code means for a refund, whether a person has to act, and what to tell the
// merchant. It reads the same table as the gateway.
//
// # Limits
//
// WeChat Pay takes refunds for a year after payment, at most 50 of one order, a minute apart: the Gateway declares
// it ([Gateway.Limits]), and the Service refuses or waits. Requests are paced at WeChat Pay's 150 refunds and 300
// queries a second ([Config].RefundRate and QueryRate). CNY only.
// The refund reason that the buyer sees is cut to 80 bytes and loses characters of four bytes (emoji), which
// WeChat Pay does not take.
//
// # Logs
//
// [Config].Logger gets these records; messages and keys are stable. A key in brackets is there where it applies.
//
//	DEBUG  wechat pay call                          path, order_id, refund_no, result_code, err_code, [error]
//	DEBUG  wechat pay goes on at the backup host    path, error
//
// # Sources
//
// Official documents of pay.weixin.qq.com/doc/v2/merchant: 4011935217 (refund), 4011935218 (refund query),
// 4011989265 (notification);
// doc/v2/partner: 4011986737 and 4011986592 (signature), 4011987474 and 4011987559 (protocol).
package wechatv2
