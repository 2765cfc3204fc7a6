package wechattest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// The values of sign_type.
const (
	signMD5  = "MD5"
	signHMAC = "HMAC-SHA256"
)

// message is a flat XML message.
type message map[string]string

// compact removes the fields without a value.
func (m message) compact() message {
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	return m
}

// sign returns the signature of a message (official documents 4011986737 and 4011986592). It shares
// no code with the adapter, so that an error in one cannot hide in the other.
func sign(m message, key, signType string) string {
	pairs := make([]string, 0, len(m)+1)
	for name, value := range m {
		if name != "sign" && value != "" {
			pairs = append(pairs, name)
		}
	}
	sort.Strings(pairs)
	for i, name := range pairs {
		pairs[i] = name + "=" + m[name]
	}
	text := strings.Join(append(pairs, "key="+key), "&")
	var sum []byte
	if signType == signHMAC {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(text))
		sum = mac.Sum(nil)
	} else {
		md := md5.Sum([]byte(text))
		sum = md[:]
	}
	return strings.ToUpper(hex.EncodeToString(sum))
}

func parse(body []byte) (message, error) {
	m := message{}
	dec := xml.NewDecoder(bytes.NewReader(body))
	depth, name := 0, ""
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read XML: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && t.Name.Local != "xml", depth > 2:
				return nil, errors.New("not a flat <xml> message")
			case depth == 2:
				name = t.Name.Local
				if _, twice := m[name]; twice {
					return nil, fmt.Errorf("%s occurs twice", name)
				}
				m[name] = ""
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 2 {
				m[name] += string(t)
			}
		case xml.Directive:
			return nil, errors.New("directive in the message")
		}
	}
	if len(m) == 0 {
		return nil, errors.New("empty message")
	}
	for name, value := range m {
		for _, r := range value {
			if r > 0xFFFF {
				return nil, fmt.Errorf("%s has a character of four bytes", name)
			}
		}
	}
	return m, nil
}

// render writes a message in the form of captured answers: CDATA values in alphabetical order, one
// a line.
func render(m message) []byte { return renderAs("xml", m) }

func renderAs(root string, m message) []byte {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	var b bytes.Buffer
	b.WriteString("<" + root + ">")
	for i, name := range names {
		if i > 0 {
			b.WriteByte('\n')
		}
		value := strings.ReplaceAll(m[name], "]]>", "]]]]><![CDATA[>")
		fmt.Fprintf(&b, "<%s><![CDATA[%s]]></%s>", name, value, name)
	}
	b.WriteString("\n</" + root + ">")
	return b.Bytes()
}

// nonce returns a nonce of the length that captured answers have.
func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
