package wechattest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxBody bounds a request. Real requests are far smaller.
const maxBody = 64 << 10

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path != PathRefund && path != PathQuery {
		http.NotFound(w, r)
		return
	}
	fault := s.arrive(path)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return
	}
	if path == PathRefund {
		if page := s.certificateFault(r); page != "" {
			writeBody(w, http.StatusBadRequest, "text/html", []byte(page))
			return
		}
	}
	if fault.before != nil {
		fault.before(r.Context())
	}
	c := &call{method: r.Method, path: path, body: body, fault: fault}
	out := s.answer(c)
	if fault.after != nil {
		fault.after(r.Context())
	}
	s.release(c) // before the answer: after it the client may call again
	s.reply(w, out, fault)
}

// call is one running request.
type call struct {
	method, path string
	body         []byte
	fault        Fault
	busy         *account // the order that the call keeps busy
}

func (s *Server) release(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.busy != nil {
		c.busy.busy = false
	}
}

// answer executes the request and renders the signed answer.
func (s *Server) answer(c *call) []byte {
	ans, signType := s.handle(c)
	fault := c.fault
	if fault.fields != nil {
		fault.fields(ans)
	}
	if ans["return_code"] == "SUCCESS" {
		signer := sign
		if fault.sign != nil {
			signer = fault.sign
		}
		ans["sign"] = signer(ans, s.apiKey, signType)
	}
	return render(ans)
}

func (s *Server) reply(w http.ResponseWriter, out []byte, fault Fault) {
	if fault.drop {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	if fault.body != nil {
		out = fault.body(out)
	}
	status, kind := http.StatusOK, "text/plain;charset=utf-8"
	if fault.status != 0 {
		status, kind = fault.status, "text/html"
	}
	if fault.broken {
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
		_, _ = w.Write(out[:len(out)/2])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	writeBody(w, status, kind, out)
}

func writeBody(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// certificateFault returns the page for a missing or untrusted client certificate.
func (s *Server) certificateFault(r *http.Request) string {
	const page = "<html>\r\n<head><title>400 %[1]s</title></head>\r\n" +
		"<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n" +
		"<center>%[1]s</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	switch {
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return fmt.Sprintf(page, "No required SSL certificate was sent")
	case !s.ca.trusts(r.TLS.PeerCertificates[0]):
		return fmt.Sprintf(page, "The SSL certificate error")
	}
	return ""
}

// handle checks a request in the order of the real service and executes it. It returns the answer
// and the algorithm that signs it.
func (s *Server) handle(c *call) (message, string) {
	if c.method != http.MethodPost {
		return s.fail("REQUIRE_POST_METHOD", "请使用post方法"), signMD5
	}
	m, err := parse(c.body)
	if err != nil {
		return returnFail("XML格式错误"), signMD5
	}
	signType := m["sign_type"]
	if signType == "" {
		signType = signMD5
	}
	if problem := checkForm(c.path, m); problem != "" {
		return returnFail(problem), signType
	}
	if m["sign"] != sign(m, s.apiKey, signType) {
		return returnFail("签名错误"), signType
	}
	if c.path == PathRefund && atoi(m["refund_fee"]) > atoi(m["total_fee"]) {
		return returnFail("invalid refund_fee"), signType
	}
	if refusal := s.identity(m); refusal != nil {
		return refusal, signType
	}
	if c.fault.skip {
		return s.success(), signType
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.path == PathQuery:
		return s.query(m), signType
	case s.opts.RefuseConcurrent:
		a, _ := s.account(m)
		if a != nil && a.busy {
			return s.fail("BIZERR_NEED_RETRY", "并发情况下，业务被拒绝，商户重试即可解决"), signType
		}
		if a != nil {
			c.busy, a.busy = a, true
		}
	}
	return s.refund(m, c.fault), signType
}

// identity refuses a request for an unknown application or merchant.
func (s *Server) identity(m message) message {
	switch {
	case m["appid"] != s.appID:
		return s.stranger(m, "APPID_NOT_EXIST", "appid不存在")
	case m["mch_id"] != s.mchID:
		return s.stranger(m, "MCHID_NOT_EXIST", "mch_id不存在")
	case s.opts.SubMchID != "" && m["sub_mch_id"] == "":
		return returnFail("缺少参数sub_mch_id")
	case m["sub_mch_id"] != s.opts.SubMchID:
		return s.stranger(m, "MCHID_NOT_EXIST", "sub_mch_id不存在")
	case m["sub_appid"] != "" && m["sub_appid"] != s.opts.SubAppID:
		return s.stranger(m, "APPID_NOT_EXIST", "sub_appid不存在")
	}
	return nil
}

// stranger refuses an unknown application or merchant. Its answer names the ones of the request.
func (s *Server) stranger(asked message, code, text string) message {
	m := s.fail(code, text)
	for _, name := range []string{"appid", "mch_id", "sub_appid", "sub_mch_id"} {
		m[name] = asked[name]
	}
	return m.compact()
}

// success returns the fields that all answers with a result have.
func (s *Server) success() message {
	return message{
		"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS",
		"appid": s.appID, "mch_id": s.mchID,
		"sub_mch_id": s.opts.SubMchID, "sub_appid": s.opts.SubAppID, "nonce_str": nonce(),
	}.compact()
}

func (s *Server) fail(code, text string) message {
	m := s.success()
	m["result_code"], m["err_code"], m["err_code_des"] = "FAIL", code, text
	return m
}

func returnFail(text string) message { return message{"return_code": "FAIL", "return_msg": text} }
