package wechatv2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// infoKey is the AES key of req_info: the API key's MD5 as 32 lower-case hex characters (4011989265).
func infoKey(apiKey string) []byte {
	sum := md5.Sum([]byte(apiKey))
	return hex.AppendEncode(nil, sum[:])
}

// decryptInfo opens req_info: base64 of AES-256 in ECB mode with PKCS#7 padding. ECB proves nothing of where
// a block came from. There is one error for everything that does not decrypt: it tells a forger nothing.
func decryptInfo(reqInfo string, block cipher.Block) ([]byte, error) {
	bad := errors.New("req_info does not decrypt")
	data, err := base64.StdEncoding.Strict().DecodeString(reqInfo)
	if err != nil || len(data)%aes.BlockSize != 0 {
		return nil, bad
	}
	for rest := data; len(rest) > 0; rest = rest[aes.BlockSize:] {
		block.Decrypt(rest, rest)
	}
	plain, ok := unpad(data)
	if !ok {
		return nil, bad
	}
	return plain, nil
}

// unpad removes PKCS#7 padding: 1 to 16 bytes, each of which is their number.
func unpad(data []byte) ([]byte, bool) {
	if len(data) == 0 {
		return nil, false
	}
	n := int(data[len(data)-1])
	if n == 0 || n > aes.BlockSize || n > len(data) {
		return nil, false
	}
	for _, c := range data[len(data)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return data[:len(data)-n], true
}
