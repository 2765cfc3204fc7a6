package wechattest

import (
	"context"
	"maps"
)

// Fault is a fault of one call. The functions of this package make Faults, and their methods return
// a changed copy. The zero Fault changes nothing: in a script it lets one call succeed.
//
// Unless its documentation says otherwise, a fault affects only the answer: the request is
// executed, and a refund is paid. See [Fault.NotExecuted].
type Fault struct {
	path   string
	before func(context.Context)
	after  func(context.Context)
	skip   bool
	drop   bool
	broken bool
	ends   string
	fields func(message)
	sign   func(message, string, string) string
	body   func([]byte) []byte
	status int
}

// On limits the fault to one path, [PathRefund] or [PathQuery]. Calls to other paths leave it in
// the script.
func (f Fault) On(path string) Fault { f.path = path; return f }

// NotExecuted makes the server not execute the request: no refund is paid.
func (f Fault) NotExecuted() Fault { f.skip = true; return f }

// Before makes the server call wait before it executes the request. wait may block, for example on
// a channel. Its ctx ends when the client hangs up or the server closes; wait must then return.
func (f Fault) Before(wait func(ctx context.Context)) Fault { f.before = wait; return f }

// After makes the server call wait after it has executed the request and before it answers, under
// the same terms as [Fault.Before].
func (f Fault) After(wait func(ctx context.Context)) Fault { f.after = wait; return f }

// Field sets one field of the answer before it is signed, besides those that the fault sets
// already. An empty value removes the field. Field can make any wrong but correctly signed answer,
// for example for another refund:
//
//	wechattest.Fault{}.Field("out_refund_no", "R-2").On(wechattest.PathRefund)
//	wechattest.Fault{}.Field("out_refund_no_0", "R-2").On(wechattest.PathQuery)
func (f Fault) Field(name, value string) Fault {
	before := f.fields
	f.fields = func(m message) {
		if before != nil {
			before(m)
		}
		if value == "" {
			delete(m, name)
			return
		}
		m[name] = value
	}
	return f
}

// LoseAnswer executes the request (a refund is paid) and closes the connection without an answer.
// With [Fault.NotExecuted] it is the request that is lost.
func LoseAnswer() Fault { return Fault{drop: true} }

// Status answers with an HTTP status and an HTML page, as a proxy in front of the service does.
func Status(code int) Fault {
	return Fault{status: code, body: func([]byte) []byte {
		return []byte("<html>\r\n<head><title>proxy error</title></head>\r\n" +
			"<body><hr></body>\r\n</html>\r\n")
	}}
}

// Body answers HTTP 200 with the given bytes instead of the message: garbage, HTML, or nothing.
func Body(raw []byte) Fault {
	raw = append([]byte(nil), raw...)
	return Fault{body: func([]byte) []byte { return raw }}
}

// Truncate answers with the first half of the message in a complete HTTP response.
func Truncate() Fault {
	return Fault{body: func(b []byte) []byte { return b[:len(b)/2] }}
}

// BreakOff closes the connection in the middle of the answer.
func BreakOff() Fault { return Fault{broken: true} }

// WrongSign signs the answer with another key.
func WrongSign() Fault {
	return Fault{sign: func(m message, key, signType string) string {
		return sign(m, key+"x", signType)
	}}
}

// NoSign leaves the answer unsigned.
func NoSign() Fault {
	return Fault{sign: func(message, string, string) string { return "" }}
}

// OtherSign signs the answer with the algorithm that the request did not use.
func OtherSign() Fault {
	return Fault{sign: func(m message, key, signType string) string {
		if signType == signHMAC {
			return sign(m, key, signMD5)
		}
		return sign(m, key, signHMAC)
	}}
}

// ErrCode answers result_code FAIL with err_code and err_code_des, correctly signed. If executed is
// true, the request is executed all the same, as it may be after SYSTEMERROR. A query that does not
// find a new refund yet is
//
//	wechattest.ErrCode("REFUNDNOTEXIST", "not exist", false).On(wechattest.PathQuery)
func ErrCode(code, text string, executed bool) Fault {
	return Fault{skip: !executed, fields: func(m message) {
		maps.DeleteFunc(m, func(name, _ string) bool {
			switch name {
			case "return_code", "return_msg", "nonce_str",
				"appid", "mch_id", "sub_appid", "sub_mch_id":
				return false
			}
			return true
		})
		m["result_code"], m["err_code"], m["err_code_des"] = "FAIL", code, text
	}}
}

// ReturnFail answers return_code FAIL with return_msg. Such answers are never signed.
func ReturnFail(text string, executed bool) Fault {
	return Fault{skip: !executed, fields: func(m message) {
		clear(m)
		m["return_code"], m["return_msg"] = "FAIL", text
	}}
}

// EndsAs makes the refund that the call creates end as [StatusChange] or [StatusClosed]. Any other
// status means [StatusSuccess]. The call itself is answered as usual.
func EndsAs(status string) Fault {
	if status != StatusChange && status != StatusClosed {
		status = StatusSuccess
	}
	return Fault{path: PathRefund, ends: status}
}
