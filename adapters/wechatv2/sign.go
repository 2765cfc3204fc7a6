package wechatv2

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// SignType is the algorithm of signatures (official document 4011986737).
type SignType string

// The sign types.
const (
	// SignMD5 is the protocol's default.
	SignMD5 SignType = "MD5"
	// SignHMACSHA256 is the stronger one; prefer it for new merchants.
	SignHMACSHA256 SignType = "HMAC-SHA256"
)

// fields are the elements of one flat message, by name.
type fields map[string]string

// names returns the names in byte order, as signing needs them.
func (f fields) names() []string { return f.appendNames(make([]string, 0, len(f))) }

func (f fields) appendNames(names []string) []string {
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sign returns the signature of every non-empty field but sign, unknown ones included: upper-case hex of
// the digest of name=value pairs in byte order of the names, raw values, and the key (4011986592).
func sign(f fields, names []string, key string, t SignType) string {
	if t == SignHMACSHA256 {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(appendSigned(make([]byte, 0, 512), f, names, key))
		return upperHex(mac.Sum(nil))
	}
	var buf [1024]byte // on the stack; what is usual needs no more
	sum := md5.Sum(appendSigned(buf[:0], f, names, key))
	return upperHex(sum[:])
}

// appendSigned appends the text that is signed.
func appendSigned(text []byte, f fields, names []string, key string) []byte {
	for _, name := range names {
		if value := f[name]; value != "" && name != "sign" {
			text = append(text, name...)
			text = append(text, '=')
			text = append(text, value...)
			text = append(text, '&')
		}
	}
	text = append(text, "key="...)
	return append(text, key...)
}

func upperHex(sum []byte) string {
	const digits = "0123456789ABCDEF"
	var out [2 * sha256.Size]byte
	for i, b := range sum {
		out[2*i], out[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(out[:2*len(sum)])
}

// signed reports, in constant time, whether f carries its own signature by algorithm t. The answer must use
// the algorithm of the request: the peer does not choose.
func signed(f fields, key string, t SignType) bool {
	var names [32]string
	want := sign(f, f.appendNames(names[:0]), key, t)
	return subtle.ConstantTimeCompare([]byte(f["sign"]), []byte(want)) == 1
}
