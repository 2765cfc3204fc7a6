package wechatv2

import (
	"crypto/aes"
	"time"
)

// Functions of the package that external tests use.
var (
	Decode     = func(body []byte) (map[string]string, error) { return decode(body) }
	DecodeRoot = func(body []byte, root string) (map[string]string, error) {
		return decodeRoot(body, root)
	}
	Encode     = func(f map[string]string) []byte { return encode(fields(f).message(nil)) }
	Sorted     = func(f map[string]string) message { return fields(f).message(nil) }
	EncodeThis = encode
	Sign       = func(f map[string]string, key string, t SignType) string {
		return newSigner(key, t).sign(fields(f).message(nil))
	}
	NewSign = func(key string, t SignType) func(message) string {
		return newSigner(key, t).sign
	}
	Signed = func(f map[string]string, key string, t SignType) bool {
		return newSigner(key, t).signed(f)
	}
	InfoKey     = infoKey
	DecryptInfo = func(info string, key []byte) ([]byte, error) {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return decryptInfo(info, block)
	}
	RefundDesc = refundDesc
)

// Class is what an error code means for the refund.
type Class = class

// The classes.
const (
	ClassUnknown  = classUnknown
	ClassDeclined = classDeclined
	ClassEcho     = classEcho
	ClassNotFound = classNotFound
	ClassSetup    = classSetup
	ClassBusy     = classBusy
)

// Meaning returns what the gateway knows of an error code, besides its Advice.
func Meaning(code string) (c Class, after time.Duration, account bool) {
	m := meanings[code]
	return m.class, m.after, m.account
}

// Codes is the number of documented error codes.
var Codes = len(meanings)

// Functions that read numbers and times.
var (
	ParseNumber = parseNumber
	Beijing     = beijing
)
