// Package wechattest is WeChat Pay's v2 refund interface for tests and demos: a real TLS server on the
// loopback interface that asks for a client certificate of its own authority, verifies and makes
// signatures, keeps orders, balance and a ledger, and breaks on command.
//
// # What it does
//
// [NewServer] starts it; [Server.AddOrder] makes orders to refund. /secapi/pay/refund and /pay/refundquery
// check a request in the order that published captures show: certificate, method, XML, fields, signature,
// amounts, merchant, order, known number, limits, funds. Both signature algorithms are served.
//
// The same number with the same amounts is one refund, however often it is asked for. Money leaves the
// balance when a refund is accepted; it comes back when the refund ends as REFUNDCLOSE, and stays away when
// it ends as CHANGE. NOTENOUGH leaves the number unused. [Server.Ledger], [Server.Paid] and
// [Server.PaidTotal] tell what was really paid, whatever the client was told.
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
// [Server.Next] takes a script of [Fault] values. Each call takes the first one that its path allows; when
// the script is used up, calls succeed again. A fault may let a test hold a call at a precise moment
// ([Fault.Before], [Fault.After]), so that tests need no sleep.
//
// # Sources
//
// Official documents 4011935217 (refund), 4011935218 (query), 4011986737 and 4011986592 (signature) of
// pay.weixin.qq.com/doc/v2/merchant and doc/v2/partner. What no document says (the order of the checks, the
// answer to the 51st refund) follows captures, or is a guess that tests should not lean on.
package wechattest
