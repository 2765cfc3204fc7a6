package wechattest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxBody bounds a request. Real ones stay far below.
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
	out := s.answer(r.Method, path, body, fault)
	if fault.after != nil {
		fault.after(r.Context())
	}
	s.reply(w, out, fault)
}

// answer executes the request and renders the signed answer.
func (s *Server) answer(method, path string, body []byte, fault Fault) []byte {
	ans, signType := s.handle(method, path, body, fault)
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
	const page = "<html>\r\n<head><title>400 %[1]s</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n" +
		"<center>%[1]s</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	switch {
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return fmt.Sprintf(page, "No required SSL certificate was sent")
	case !s.ca.trusts(r.TLS.PeerCertificates[0]):
		return fmt.Sprintf(page, "The SSL certificate error")
	}
	return ""
}

// handle checks a request in the order of the real service and executes it. It returns the answer and the
// algorithm to sign it by.
func (s *Server) handle(method, path string, body []byte, fault Fault) (message, string) {
	if method != http.MethodPost {
		return s.fail("REQUIRE_POST_METHOD", "请使用post方法"), signMD5
	}
	m, err := parse(body)
	if err != nil {
		return returnFail("XML格式错误"), signMD5
	}
	signType := m["sign_type"]
	if signType == "" {
		signType = signMD5
	}
	if problem := checkForm(path, m); problem != "" {
		return returnFail(problem), signType
	}
	if m["sign"] != sign(m, s.apiKey, signType) {
		return returnFail("签名错误"), signType
	}
	if path == PathRefund && atoi(m["refund_fee"]) > atoi(m["total_fee"]) {
		return returnFail("invalid refund_fee"), signType
	}
	switch {
	case m["appid"] != s.appID:
		return s.fail("APPID_NOT_EXIST", "appid不存在"), signType
	case m["mch_id"] != s.mchID:
		return s.fail("MCHID_NOT_EXIST", "mch_id不存在"), signType
	case fault.skip:
		return s.success(), signType
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == PathRefund {
		return s.refund(m, fault.ends), signType
	}
	return s.query(m), signType
}

// success is an accepted answer without its subject.
func (s *Server) success() message {
	return message{
		"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS",
		"appid": s.appID, "mch_id": s.mchID, "nonce_str": nonce(),
	}
}

func (s *Server) fail(code, text string) message {
	m := s.success()
	m["result_code"], m["err_code"], m["err_code_des"] = "FAIL", code, text
	return m
}

func returnFail(text string) message { return message{"return_code": "FAIL", "return_msg": text} }
