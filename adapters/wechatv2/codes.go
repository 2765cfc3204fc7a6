package wechatv2

import "time"

// Error codes (err_code) that hosts act on. Explain knows all documented ones.
const (
	// CodeNotEnough means that the merchant's funds do not cover the refund. Retry it after a
	// top-up.
	CodeNotEnough = "NOTENOUGH"
	// CodeUserAccountAbnormal means that the buyer's account is closed. Return the money by other
	// means.
	CodeUserAccountAbnormal = "USER_ACCOUNT_ABNORMAL"

	codeParamError     = "PARAM_ERROR"
	codeRefundNotExist = "REFUNDNOTEXIST"
)

// class is what an error code means for the refund.
type class int

// The classes. The zero value decides nothing.
const (
	// classUnknown says nothing about the money: the gateway returns an error.
	classUnknown class = iota
	// classDeclined is a definite refusal of a refund. In the answer to a query it is an error.
	classDeclined
	// classEcho is a refusal that may be the echo of an earlier success of the same refund. The
	// gateway queries the number and returns declined only if WeChat Pay does not know it.
	classEcho
	// classNotFound means that WeChat Pay has never seen the queried refund number. In the answer
	// to a refund it is an error.
	classNotFound
	// classSetup is a fault of the set-up: the gateway returns a [*refund.SetupError].
	classSetup
	// classBusy means that WeChat Pay is busy: the gateway returns a [*refund.BusyError].
	classBusy
)

// Advice explains an error code to the merchant.
type Advice struct {
	// Person reports whether somebody has to act before the refund can go on.
	Person bool
	// Text says what happened and what to do.
	Text string
}

// Explain returns the advice for an err_code, for example that of [refund.Result]. It returns false
// for a code that is not documented; such a code decides nothing.
func Explain(code string) (Advice, bool) {
	m, ok := meanings[code]
	if !ok {
		m = meaning{person: true, text: "WeChat Pay sent a code that is not documented. The refund is queried again; look it up in the merchant platform."}
	}
	return Advice{Person: m.person, Text: m.text}, ok
}

// meaning is what the gateway knows of an error code.
type meaning struct {
	class  class
	person bool
	// after is the least time to wait, with classBusy.
	after time.Duration
	// account reports, with classBusy, that no refund of the merchant should be sent before after
	// has passed. If false, only the refused refund waits.
	account bool
	text    string
}

// meanings holds every documented code (4011935217 and 4011935218). It is never written to.
var meanings = map[string]meaning{
	"SYSTEMERROR": {class: classUnknown, text: "WeChat Pay had an internal fault; the refund may have been made. It is queried and, if WeChat Pay does not know it, sent again under the same number."},

	"BIZERR_NEED_RETRY":    {class: classBusy, after: 5 * time.Second, text: "WeChat Pay was busy with the same order. The refund is tried again under the same number."},
	"FREQUENCY_LIMITED":    {class: classBusy, after: time.Minute, text: "Refunds came too fast. Refunds of one order must be a minute apart; orders older than a month have a lower rate. The refund is tried again."},
	"INVALID_REQ_TOO_MUCH": {class: classBusy, after: time.Minute, account: true, person: true, text: "WeChat Pay blocks this merchant for a while after too many bad requests. Find what sends them; the refund is tried again."},
	"ORDER_NOT_READY":      {class: classBusy, after: time.Minute, text: "WeChat Pay is still processing the order. The refund is tried again."},

	CodeNotEnough:           {class: classDeclined, person: true, text: "The merchant's funds do not cover the refund. Top up, then retry this refund: it keeps its number."},
	"TRADE_OVERDUE":         {class: classDeclined, person: true, text: "The order was paid more than a year ago. Return the money by other means."},
	CodeUserAccountAbnormal: {class: classDeclined, person: true, text: "The buyer's WeChat Pay account is closed. Return the money by other means."},
	"ORDERNOTEXIST":         {class: classDeclined, person: true, text: "WeChat Pay has no such paid order for this merchant. Check the order number, the merchant number and the environment."},
	"INVALID_TRANSACTIONID": {class: classDeclined, person: true, text: "WeChat Pay does not know the payment's number. Check the transaction number of the order."},
	codeParamError:          {class: classDeclined, person: true, text: "WeChat Pay refused a value of the request. The message names it."},

	"ERROR":               {class: classEcho, person: true, text: "WeChat Pay refused for a business reason, often because the order is already fully refunded. The message names it."},
	"INVALID_REQUEST":     {class: classEcho, person: true, text: "The request breaks a rule, for example more than what is left of the order. The message names it."},
	"REFUND_FEE_MISMATCH": {class: classEcho, person: true, text: "The amounts differ from the order or from an earlier refund of this number. Compare both in the merchant platform."},

	codeRefundNotExist: {class: classNotFound, text: "WeChat Pay does not have this refund. It is sent again under the same number."},

	"APPID_NOT_EXIST":       {class: classSetup, person: true, text: "WeChat Pay does not know the app_id. Correct the configuration."},
	"MCHID_NOT_EXIST":       {class: classSetup, person: true, text: "WeChat Pay does not know the mch_id. Correct the configuration."},
	"APPID_MCHID_NOT_MATCH": {class: classSetup, person: true, text: "The app_id is not bound to the mch_id. Bind it in the merchant platform, or correct the configuration."},
	"SIGNERROR":             {class: classSetup, person: true, text: "WeChat Pay found the signature wrong. Check the API key and the sign type."},
	"XML_FORMAT_ERROR":      {class: classSetup, person: true, text: "WeChat Pay could not read the message. Look for something between here and WeChat Pay that changes it."},
	"REQUIRE_POST_METHOD":   {class: classSetup, person: true, text: "WeChat Pay did not receive a POST. Look for something between here and WeChat Pay that changes requests."},
	"NOAUTH":                {class: classSetup, person: true, text: "The merchant may not use refunds from here. Check permissions and the list of addresses in the merchant platform."},
	"CERT_ERROR":            {class: classSetup, person: true, text: "WeChat Pay refused the merchant's certificate. Renew or replace it."},
}
