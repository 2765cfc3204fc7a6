// Package wechattest is WeChat Pay's v2 refund interface for tests and demos: a real TLS server on the
// loopback interface that asks for a client certificate of its own authority, verifies and makes
// signatures, keeps orders, balance and a ledger, and breaks on command.
//
// # What it does
//
// [NewServer] starts it; [Server.AddOrder] makes orders to refund. /secapi/pay/refund and /pay/refundquery
// check a request in the order that published captures show: certificate, method, XML, fields, signature,
// amounts, merchant, order, known number, limits, funds. Both signature algorithms are served, a service
// provider's requests with [Options].SubMchID, and queries by any of the four numbers, ten refunds a page.
//
// The same number with the same amounts is one refund, however often it is asked for. Money leaves the
// balance when a refund is accepted; it comes back when the refund ends as REFUNDCLOSE, and stays away when
// it ends as CHANGE. NOTENOUGH leaves the number unused. Refunds of an order with [Coupon] values give each
// coupon its share; with [Options].OldFundFlow they are paid from unsettled funds unless refund_account says
// otherwise. [Server.RefundInConsole] refunds behind the shop's back. [Server.Ledger], [Server.Paid] and
// [Server.PaidTotal] tell what was really paid, whatever the client was told.
//
// These codes come without a script: ORDERNOTEXIST, INVALID_TRANSACTIONID, REFUND_FEE_MISMATCH, TRADE_OVERDUE,
// ERROR, INVALID_REQUEST, NOTENOUGH, APPID_NOT_EXIST, MCHID_NOT_EXIST, REQUIRE_POST_METHOD, REFUNDNOTEXIST and
// PARAM_ERROR always; FREQUENCY_LIMITED, BIZERR_NEED_RETRY and INVALID_REQ_TOO_MUCH with [Options].Spacing,
// RefuseConcurrent and BadRequests; ORDER_NOT_READY and USER_ACCOUNT_ABNORMAL after [Server.ChangeOrder].
// [ErrCode] gives any other.
//
// # When a refund ends
//
// An accepted refund is PROCESSING. It ends at the first query that comes after Options.SettleAfter (by the
// server's clock, see [Server.Advance]) and after Options.ProcessingQueries other queries; both are 0 by
// default, so that the first query sees it ended. [Server.Settle] ends it at once. It ends as SUCCESS, or as
// [EndsAs] has it.
//
// # Faults
//
// [Server.Inject] takes a script of [Fault] values. Each call takes the first one that its path allows; when
// the script is used up, calls succeed again. A fault may let a test hold a call at a precise moment
// ([Fault.Before], [Fault.After]), so that tests need no sleep.
//
// # Notifications
//
// A refund that ends is announced to its notify_url, or to [Options].NotifyURL, encrypted with the API key.
// [Server.Deliver] tries what is due by the server's clock, so that with [Server.Advance] a test walks through
// the service's schedule of 15 more attempts in 24 hours without waiting; what is not acknowledged exactly is
// tried again. [Server.InjectNotice] takes a script of [NoticeFault] values (lost, twice at once, another key,
// another amount …), and [Server.Notification] gives the message itself, to deliver late, early or changed.
//
// # Alone
//
// Command wechatpay-sim in this folder runs the server on its own, for a shop in any language.
//
// # Sources
//
// Official documents 4011935217 (refund), 4011935218 (query), 4011989265 (notification), 4011986737 and 4011986592 (signature) of
// pay.weixin.qq.com/doc/v2/merchant and doc/v2/partner. What no document says (the order of the checks, the
// answer to the 51st refund) follows captures, or is a guess that tests should not lean on.
package wechattest
