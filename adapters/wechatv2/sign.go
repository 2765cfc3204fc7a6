package wechatv2

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"slices"
	"strings"
	"sync"
)

// SignType is the algorithm of signatures (official document 4011986737).
type SignType string

// The sign types.
const (
	// SignMD5 is the protocol's default.
	SignMD5 SignType = "MD5"
	// SignHMACSHA256 is stronger; prefer it for new merchants.
	SignHMACSHA256 SignType = "HMAC-SHA256"
)

// fields are the elements of one flat message, by name.
type fields map[string]string

// message holds the elements to sign and send, in byte order of their names. Empty ones are neither
// signed nor sent.
type message []element

type element struct{ name, value string }

// message sorts the fields of an answer. It appends to m, which may be on the caller's stack.
func (f fields) message(m message) message {
	for name, value := range f {
		m = append(m, element{name, value})
	}
	slices.SortFunc(m, func(a, b element) int { return strings.Compare(a.name, b.name) })
	return m
}

// signer makes and checks signatures with one key. It is safe for concurrent use.
type signer struct {
	key  func() string // a func, so that printing by reflection does not show the key
	kind SignType
	work sync.Pool // of *signing: a keyed digest costs more to set up than to use
}

type signing struct {
	digest    hash.Hash
	text, sum []byte
}

func newSigner(key string, kind SignType) *signer {
	s := &signer{key: func() string { return key }, kind: kind}
	s.work.New = func() any {
		if kind == SignHMACSHA256 {
			return &signing{digest: hmac.New(sha256.New, []byte(key))}
		}
		return &signing{digest: md5.New()}
	}
	return s
}

// sign returns the signature over every non-empty element except sign, unknown ones included:
// the upper-case hex digest of the name=value pairs, with raw values, and of the key (4011986592).
func (s *signer) sign(m message) string {
	w := s.work.Get().(*signing) //nolint:errcheck,forcetypeassert // New makes nothing else
	defer s.work.Put(w)
	text := w.text[:0]
	for _, e := range m {
		if e.value != "" && e.name != "sign" {
			text = append(text, e.name...)
			text = append(text, '=')
			text = append(text, e.value...)
			text = append(text, '&')
		}
	}
	text = append(text, "key="...)
	w.text = append(text, s.key()...)
	w.digest.Reset()
	w.digest.Write(w.text)
	w.sum = w.digest.Sum(w.sum[:0])
	return upperHex(w.sum)
}

func upperHex(sum []byte) string {
	const digits = "0123456789ABCDEF"
	var out [2 * sha256.Size]byte
	for i, b := range sum {
		out[2*i], out[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(out[:2*len(sum)])
}

// signed reports, in constant time, whether f has its correct signature by the algorithm of the
// request. The peer cannot choose the algorithm.
func (s *signer) signed(f fields) bool {
	var m [32]element
	want := s.sign(f.message(m[:0]))
	return subtle.ConstantTimeCompare([]byte(f["sign"]), []byte(want)) == 1
}
