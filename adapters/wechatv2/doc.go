// Package wechatv2 is a [refund.RefundGateway] for WeChat Pay v2: the XML interface with an API key
// and a client certificate.
//
// # Use
//
// [New] takes a [Config] and returns a [Gateway] for a [refund.Service]. Besides the standard
// library it needs go-pkcs12 and x/time/rate. Package wechattest is a server that behaves as WeChat
// Pay does, for tests in Go; its Config method returns one that is ready for New. Its command
// wechatpay-sim is the same server for a shop in any language.
//
// # Promises
//
//   - An accepted refund is [refund.OutcomeAccepted]. Only a query's SUCCESS is money returned.
//   - The Gateway returns [refund.OutcomeDeclined] only for a signed answer with a documented code
//     that moved nothing. If such a code may be the echo of an earlier success of the same refund
//     (ERROR, INVALID_REQUEST, REFUND_FEE_MISMATCH), the Gateway first queries the number.
//   - A refusal counts only if the request was sent once. If it was sent again, to the backup host
//     or by a wrapper from [Config].WrapTransport, the first sending may have paid. The Gateway
//     then queries the number; if the query does not find it, the outcome stays unknown.
//   - Everything else is an error, which means unknown: a time-out, an HTTP status, broken or
//     oversized XML, a missing or wrong signature, another merchant, refund, order or amount in the
//     answer, SYSTEMERROR, a code or a status that no document names, and every unsigned refusal
//     (return_code FAIL).
//   - A fault of the set-up (certificate, signature, permission, unknown merchant) is a
//     [*refund.SetupError]. If the service is busy, the error is a [*refund.BusyError]. It concerns
//     the whole account if the configured rate is used up, after INVALID_REQ_TOO_MUCH, and after
//     HTTP status 429, else only the one refund.
//
// The Gateway checks an answer in this order: HTTP status and size, strict form, return_code,
// signature (in constant time, by the algorithm of the request, over all fields including unknown
// ones), merchant, result_code, refund number, order and amounts.
//
// # Security
//
// TLS is always verified, at least version 1.2. Nothing turns it off or replaces the TLS
// configuration. Redirects are not followed, and no proxy is read from the environment. The API
// key, the private key, signatures and message bodies are in no log line and no error, and a
// printed Config or Gateway shows none.
//
// # Notifications
//
// [Gateway.ReadNotification] reads refund notifications, so one line puts
// [refund.Service.NotificationHandler] on a mux. WeChat Pay does not sign them. Whoever has seen
// one can send it again, or build another one from its blocks. So a notification only causes a
// query.
//
// # Speed
//
// The table compares the package with plain code (encoding/xml, crypto/hmac, net/http posting the
// same bytes): medians of one run on two busy cores. Only the ratio matters. Repeat it with
// go test -run '^$' -bench . ./adapters/wechatv2
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
// [Explain] returns whether a person has to act on an err_code, and a text for the merchant. What
// the code means for the refund is in the outcome, the [*refund.SetupError] or the
// [*refund.BusyError] that the Gateway returns. Both come from the same table.
//
// # Limits
//
// WeChat Pay accepts refunds for a year after payment, at most 50 of one order, a minute apart. The
// Gateway declares these limits ([Gateway.Limits]), and the Service refuses or waits. Requests are
// paced at WeChat Pay's 150 refunds and 300 queries a second ([Config].RefundRate and QueryRate).
// The currency is CNY. The refund reason that the buyer sees is cut to 80 bytes and loses
// characters of four bytes (emoji), which WeChat Pay does not accept.
//
// # Logs
//
// [Config].Logger gets these records; messages and keys are stable. A key in brackets is optional.
//
//	DEBUG  wechat pay call                          path, order_id, refund_no, result_code, err_code, [error]
//	DEBUG  wechat pay goes on at the backup host    path, error
//
// # Sources
//
// Official documents of pay.weixin.qq.com/doc/v2/merchant: 4011935217 (refund), 4011935218 (refund
// query), 4011989265 (notification); doc/v2/partner: 4011986737 and 4011986592 (signature),
// 4011987474 and 4011987559 (protocol).
package wechatv2
