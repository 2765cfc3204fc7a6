package wechatv2

// What the external tests need of the inside.
var (
	Decode      = func(body []byte) (map[string]string, error) { return decode(body) }
	DecodeRoot  = func(body []byte, root string) (map[string]string, error) { return decodeRoot(body, root) }
	Encode      = func(f map[string]string) []byte { return encode(f, fields(f).names()) }
	Names       = func(f map[string]string) []string { return fields(f).names() }
	EncodeNames = func(f map[string]string, names []string) []byte { return encode(f, names) }
	Sign        = func(f map[string]string, key string, t SignType) string {
		var names [32]string
		return sign(f, fields(f).appendNames(names[:0]), key, t)
	}
	Signed               = func(f map[string]string, key string, t SignType) bool { return signed(f, key, t) }
	InfoKey, DecryptInfo = infoKey, decryptInfo
	Desc                 = describe
)

// Codes is the number of documented error codes.
var Codes = len(advice)

// KeyOf is what holds a gateway's API key.
func KeyOf(g *Gateway) any { return g.key }

// The readers of numbers and times.
var (
	ParseNumber = parseNumber
	Beijing     = beijing
)
