// Package wechattest simulates WeChat Pay's v2 refund interface for tests and demos. It is a real
// TLS server on the loopback interface. It asks for a client certificate that its authority issued,
// verifies and makes signatures, keeps orders, a balance and a ledger, and breaks on command.
//
// # What it does
//
// [NewServer] starts it, [Server.Config] configures a gateway for it, and [Server.AddOrder] makes
// orders to refund. /secapi/pay/refund and /pay/refundquery check a request in the order that
// published captures show: certificate, method, XML, fields, signature, amounts, merchant, order,
// known number, limits, funds. The server accepts both signature algorithms, a service provider's
// requests with [Options].SubMchID, and queries by any of the four numbers, ten refunds a page.
//
// Requests with the same number and the same amounts are one refund. Money leaves the balance when
// a refund is accepted. It comes back if the refund ends as REFUNDCLOSE, and stays away if it ends
// as CHANGE. NOTENOUGH leaves the number unused. If an order has [Coupon] values, its refunds give
// each coupon its share. [Server.RefundInConsole] makes refunds that the shop does not know.
// [Server.Ledger], [Server.Paid] and [Server.PaidTotal] report what was really paid, whatever the
// answers said.
//
// These codes need no script: ORDERNOTEXIST, INVALID_TRANSACTIONID, REFUND_FEE_MISMATCH,
// TRADE_OVERDUE, ERROR, INVALID_REQUEST, NOTENOUGH, APPID_NOT_EXIST, MCHID_NOT_EXIST,
// REQUIRE_POST_METHOD, REFUNDNOTEXIST and PARAM_ERROR always; FREQUENCY_LIMITED and
// BIZERR_NEED_RETRY with [Options].Spacing and RefuseConcurrent. [ErrCode] answers with any other
// code, for example ORDER_NOT_READY, or INVALID_REQUEST in place of REFUND_FEE_MISMATCH, which the
// real service has answered since about 2021. All refunds are paid from the available balance,
// whatever refund_account says.
//
// # When a refund ends
//
// An accepted refund is PROCESSING. It ends at the first query after [Options].SettleAfter, by the
// server's clock (see [Server.Advance]). SettleAfter is 0 by default: the first query then finds
// the refund ended. [Server.Settle] ends a refund at once. A refund ends as SUCCESS, unless
// [EndsAs] says otherwise.
//
// # Faults
//
// [Server.Inject] takes a script of [Fault] values. Each call takes the first one that its path
// allows. After the script calls succeed again. [Fault.Before] and [Fault.After] hold a call at an
// exact moment, so that tests need no sleep.
//
// # Notifications
//
// When a refund ends, the server sends a notification to its notify_url, or to [Options].NotifyURL,
// encrypted with the API key. [Server.Deliver] sends the notifications that are due by the server's
// clock. An exact acknowledgement ends a notification; any other answer causes the next of 15 more
// attempts in 24 hours, which a test reaches with [Server.Advance]. [Server.InjectNotice] takes a
// script of [NoticeFault] values (lost, twice at once, another key, another amount …).
// [Server.Notification] returns the message itself, to deliver late, early or changed.
//
// # Alone
//
// Command wechatpay-sim in this folder runs the server as a program, for a shop in any language.
//
// # Sources
//
// Official documents 4011935217 (refund), 4011935218 (query), 4011989265 (notification), 4011986737
// and 4011986592 (signature) of pay.weixin.qq.com/doc/v2/merchant and doc/v2/partner. What no
// document says (the order of the checks, the answer to the 51st refund) follows captures or is a
// guess. Tests should not depend on it.
package wechattest
