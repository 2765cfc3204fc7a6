package wechatv2

import "time"

// ErrorCode is the err_code of WeChat Pay.
type ErrorCode string

// Error codes that hosts act on. Explain knows all documented ones.
const (
	CodeNotEnough           ErrorCode = "NOTENOUGH"
	CodeUserAccountAbnormal ErrorCode = "USER_ACCOUNT_ABNORMAL"
	CodeCertError           ErrorCode = "CERT_ERROR"

	codeParamError     ErrorCode = "PARAM_ERROR"
	codeRefundNotExist ErrorCode = "REFUNDNOTEXIST"
)

// Class is what an error code means for the refund.
type Class int

// The classes. The zero value decides nothing.
const (
	// ClassUnknown says nothing about the money: the gateway returns an error.
	ClassUnknown Class = iota
	// ClassDeclined is a definite refusal of a refund. In the answer to a query it is an error.
	ClassDeclined
	// ClassEcho is a refusal that may be the echo of an earlier success of the same refund. The
	// gateway queries the number and returns declined only if WeChat Pay does not know it.
	ClassEcho
	// ClassNotFound means that WeChat Pay has never seen the queried refund number. In the answer
	// to a refund it is an error.
	ClassNotFound
	// ClassSetup is a fault of the set-up: the gateway returns a [*refund.SetupError].
	ClassSetup
	// ClassBusy means that WeChat Pay is busy: the gateway returns a [*refund.BusyError].
	ClassBusy
)

// Advice explains an error code.
type Advice struct {
	// Class decides what the gateway returns.
	Class Class
	// Person reports whether somebody has to act before the refund can go on.
	Person bool
	// After is the least time to wait, with ClassBusy.
	After time.Duration
	// Account reports, with ClassBusy, that no refund of the merchant should be sent before
	// After has passed. If false, only the refused refund waits.
	Account bool
	// Text is for the merchant: what happened and what to do.
	Text string
}

// Explain returns the advice for an error code. It returns false for a code that is not documented;
// such a code is ClassUnknown.
func Explain(code ErrorCode) (Advice, bool) {
	a, ok := advice[code]
	if !ok {
		a = Advice{Person: true, Text: "WeChat Pay sent a code that is not documented. The refund is queried again; look it up in the merchant platform."}
	}
	return a, ok
}

// advice holds every documented code (4011935217 and 4011935218). It is never written to.
var advice = map[ErrorCode]Advice{
	"SYSTEMERROR": {Class: ClassUnknown, Text: "WeChat Pay had an internal fault; the refund may have been made. It is queried and, if WeChat Pay does not know it, sent again under the same number."},

	"BIZERR_NEED_RETRY":    {Class: ClassBusy, After: 5 * time.Second, Text: "WeChat Pay was busy with the same order. The refund is tried again under the same number."},
	"FREQUENCY_LIMITED":    {Class: ClassBusy, After: time.Minute, Text: "Refunds came too fast. Refunds of one order must be a minute apart; orders older than a month have a lower rate. The refund is tried again."},
	"INVALID_REQ_TOO_MUCH": {Class: ClassBusy, After: time.Minute, Account: true, Person: true, Text: "WeChat Pay blocks this merchant for a while after too many bad requests. Find what sends them; the refund is tried again."},
	"ORDER_NOT_READY":      {Class: ClassBusy, After: time.Minute, Text: "WeChat Pay is still processing the order. The refund is tried again."},

	CodeNotEnough:           {Class: ClassDeclined, Person: true, Text: "The merchant's funds do not cover the refund. Top up, then retry this refund: it keeps its number."},
	"TRADE_OVERDUE":         {Class: ClassDeclined, Person: true, Text: "The order was paid more than a year ago. Return the money by other means."},
	CodeUserAccountAbnormal: {Class: ClassDeclined, Person: true, Text: "The buyer's WeChat Pay account is closed. Return the money by other means."},
	"ORDERNOTEXIST":         {Class: ClassDeclined, Person: true, Text: "WeChat Pay has no such paid order for this merchant. Check the order number, the merchant number and the environment."},
	"INVALID_TRANSACTIONID": {Class: ClassDeclined, Person: true, Text: "WeChat Pay does not know the payment's number. Check the transaction number of the order."},
	codeParamError:          {Class: ClassDeclined, Person: true, Text: "WeChat Pay refused a value of the request. The message names it."},

	"ERROR":               {Class: ClassEcho, Person: true, Text: "WeChat Pay refused for a business reason, often because the order is already fully refunded. The message names it."},
	"INVALID_REQUEST":     {Class: ClassEcho, Person: true, Text: "The request breaks a rule, for example more than what is left of the order. The message names it."},
	"REFUND_FEE_MISMATCH": {Class: ClassEcho, Person: true, Text: "The amounts differ from the order or from an earlier refund of this number. Compare both in the merchant platform."},

	codeRefundNotExist: {Class: ClassNotFound, Text: "WeChat Pay does not have this refund. It is sent again under the same number."},

	"APPID_NOT_EXIST":       {Class: ClassSetup, Person: true, Text: "WeChat Pay does not know the app_id. Correct the configuration."},
	"MCHID_NOT_EXIST":       {Class: ClassSetup, Person: true, Text: "WeChat Pay does not know the mch_id. Correct the configuration."},
	"APPID_MCHID_NOT_MATCH": {Class: ClassSetup, Person: true, Text: "The app_id is not bound to the mch_id. Bind it in the merchant platform, or correct the configuration."},
	"SIGNERROR":             {Class: ClassSetup, Person: true, Text: "WeChat Pay found the signature wrong. Check the API key and the sign type."},
	"XML_FORMAT_ERROR":      {Class: ClassSetup, Person: true, Text: "WeChat Pay could not read the message. Look for something between here and WeChat Pay that changes it."},
	"REQUIRE_POST_METHOD":   {Class: ClassSetup, Person: true, Text: "WeChat Pay did not receive a POST. Look for something between here and WeChat Pay that changes requests."},
	"NOAUTH":                {Class: ClassSetup, Person: true, Text: "The merchant may not use refunds from here. Check permissions and the list of addresses in the merchant platform."},
	CodeCertError:           {Class: ClassSetup, Person: true, Text: "WeChat Pay refused the merchant's certificate. Renew or replace it."},
}
