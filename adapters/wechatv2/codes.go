package wechatv2

import "time"

// ErrorCode is WeChat Pay's err_code.
type ErrorCode string

// The documented error codes of refund and refund query (official documents 4011935217 and 4011935218).
const (
	CodeSystemError          ErrorCode = "SYSTEMERROR"
	CodeRetry                ErrorCode = "BIZERR_NEED_RETRY"
	CodeFrequencyLimited     ErrorCode = "FREQUENCY_LIMITED"
	CodeTooManyBadRequests   ErrorCode = "INVALID_REQ_TOO_MUCH"
	CodeOrderNotReady        ErrorCode = "ORDER_NOT_READY"
	CodeNotEnough            ErrorCode = "NOTENOUGH"
	CodeTradeOverdue         ErrorCode = "TRADE_OVERDUE"
	CodeUserAccountAbnormal  ErrorCode = "USER_ACCOUNT_ABNORMAL"
	CodeError                ErrorCode = "ERROR"
	CodeInvalidRequest       ErrorCode = "INVALID_REQUEST"
	CodeRefundFeeMismatch    ErrorCode = "REFUND_FEE_MISMATCH"
	CodeOrderNotExist        ErrorCode = "ORDERNOTEXIST"
	CodeInvalidTransactionID ErrorCode = "INVALID_TRANSACTIONID"
	CodeParamError           ErrorCode = "PARAM_ERROR"
	CodeAppIDNotExist        ErrorCode = "APPID_NOT_EXIST"
	CodeMchIDNotExist        ErrorCode = "MCHID_NOT_EXIST"
	CodeAppIDMchIDNotMatch   ErrorCode = "APPID_MCHID_NOT_MATCH"
	CodeSignError            ErrorCode = "SIGNERROR"
	CodeXMLFormatError       ErrorCode = "XML_FORMAT_ERROR"
	CodeRequirePostMethod    ErrorCode = "REQUIRE_POST_METHOD"
	CodeNoAuth               ErrorCode = "NOAUTH"
	CodeCertError            ErrorCode = "CERT_ERROR"
	CodeRefundNotExist       ErrorCode = "REFUNDNOTEXIST"
)

// Class is what an error code means for the refund that met it.
type Class int

// The classes. The zero value decides nothing.
const (
	// ClassUnknown says nothing about the money: the gateway returns an error.
	ClassUnknown Class = iota
	// ClassDeclined is a definite no to a refund. In the answer to a query it is an error.
	ClassDeclined
	// ClassEcho is a no that may be the echo of this refund's own earlier success: the gateway queries the
	// number, and only one that WeChat Pay does not know is declined.
	ClassEcho
	// ClassNotFound is a refund number that WeChat Pay has never seen, in the answer to a query. In the
	// answer to a refund it is an error.
	ClassNotFound
	// ClassSetup is a fault of the set-up: [*refund.SetupError].
	ClassSetup
	// ClassBusy is a busy service: [*refund.BusyError].
	ClassBusy
)

// Advice is what to make of an error code.
type Advice struct {
	// Class is what the gateway makes of the code.
	Class Class
	// Person reports whether somebody has to do something before the refund can go on.
	Person bool
	// After is the least time to wait, with ClassBusy.
	After time.Duration
	// Account reports, with ClassBusy, that no refund of the merchant should be sent before
	// After has passed. If false, only the refund that met the code waits.
	Account bool
	// Text tells the merchant what happened and what to do.
	Text string
}

// Explain returns what to make of an error code, and false for one that is not documented; such a code is
// ClassUnknown.
func Explain(code ErrorCode) (Advice, bool) {
	a, ok := advice[code]
	if !ok {
		a = Advice{Person: true, Text: "WeChat Pay gave a code that is not documented. The refund is asked about again; look it up in the merchant platform."}
	}
	return a, ok
}

// advice is never written to.
var advice = map[ErrorCode]Advice{
	CodeSystemError: {Class: ClassUnknown, Text: "WeChat Pay had an internal fault; the refund may have been made. It is asked again under the same number."},

	CodeRetry:              {Class: ClassBusy, After: 5 * time.Second, Text: "WeChat Pay was busy with the same order. The refund is asked again under the same number."},
	CodeFrequencyLimited:   {Class: ClassBusy, After: time.Minute, Text: "Refunds came too fast: of one order at least a minute apart, of orders older than a month slowly. The refund is asked again."},
	CodeTooManyBadRequests: {Class: ClassBusy, After: time.Minute, Account: true, Person: true, Text: "WeChat Pay blocks this merchant for a while after too many bad requests. Find what sends them; the refund is asked again."},
	CodeOrderNotReady:      {Class: ClassBusy, After: time.Minute, Text: "WeChat Pay is still processing the order. The refund is asked again."},

	CodeNotEnough:            {Class: ClassDeclined, Person: true, Text: "The merchant's funds do not cover the refund. Top up, then retry this refund: it keeps its number."},
	CodeTradeOverdue:         {Class: ClassDeclined, Person: true, Text: "The order was paid more than a year ago. Return the money by other means."},
	CodeUserAccountAbnormal:  {Class: ClassDeclined, Person: true, Text: "The buyer's WeChat Pay account is closed. Return the money by other means."},
	CodeOrderNotExist:        {Class: ClassDeclined, Person: true, Text: "WeChat Pay has no such paid order for this merchant. Check the order number, the merchant number and the environment."},
	CodeInvalidTransactionID: {Class: ClassDeclined, Person: true, Text: "WeChat Pay does not know the payment's number. Check the transaction number of the order."},
	CodeParamError:           {Class: ClassDeclined, Person: true, Text: "WeChat Pay refused a value of the request. The message names it."},

	CodeError:             {Class: ClassEcho, Person: true, Text: "WeChat Pay refused for a business reason, often because the order is already fully refunded. The message names it."},
	CodeInvalidRequest:    {Class: ClassEcho, Person: true, Text: "The request breaks a rule, for example more than what is left of the order. The message names it."},
	CodeRefundFeeMismatch: {Class: ClassEcho, Person: true, Text: "The amounts differ from the order or from an earlier refund of this number. Compare both in the merchant platform."},

	CodeRefundNotExist: {Class: ClassNotFound, Text: "WeChat Pay does not have this refund. It is sent again under the same number."},

	CodeAppIDNotExist:      {Class: ClassSetup, Person: true, Text: "WeChat Pay does not know the app_id. Correct the configuration."},
	CodeMchIDNotExist:      {Class: ClassSetup, Person: true, Text: "WeChat Pay does not know the mch_id. Correct the configuration."},
	CodeAppIDMchIDNotMatch: {Class: ClassSetup, Person: true, Text: "The app_id is not bound to the mch_id. Bind it in the merchant platform, or correct the configuration."},
	CodeSignError:          {Class: ClassSetup, Person: true, Text: "WeChat Pay found the signature wrong. Check the API key and the sign type."},
	CodeXMLFormatError:     {Class: ClassSetup, Person: true, Text: "WeChat Pay could not read the message. Look for something between here and WeChat Pay that changes it."},
	CodeRequirePostMethod:  {Class: ClassSetup, Person: true, Text: "WeChat Pay did not receive a POST. Look for something between here and WeChat Pay that changes requests."},
	CodeNoAuth:             {Class: ClassSetup, Person: true, Text: "The merchant may not use refunds from here. Check permissions and the list of addresses in the merchant platform."},
	CodeCertError:          {Class: ClassSetup, Person: true, Text: "WeChat Pay refused the merchant's certificate. Renew or replace it."},
}
