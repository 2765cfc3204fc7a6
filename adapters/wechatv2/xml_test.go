package wechatv2_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
)

func TestDecodeReadsFlatMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       map[string]string
	}{
		{"plain", "<xml><a>1</a><b>2</b></xml>", map[string]string{"a": "1", "b": "2"}},
		{"no elements", "<xml></xml>", map[string]string{}},
		{"empty elements are kept", "<xml><a/><b></b></xml>", map[string]string{"a": "", "b": ""}},
		{
			"unknown names are kept", "<xml><coupon_refund_fee_0_1>1</coupon_refund_fee_0_1></xml>",
			map[string]string{"coupon_refund_fee_0_1": "1"},
		},
		{"cdata", "<xml><a><![CDATA[<b>&amp;]]></a></xml>", map[string]string{"a": "<b>&amp;"}},
		{
			"split cdata", "<xml><a><![CDATA[]]]]><![CDATA[>]]></a></xml>",
			map[string]string{"a": "]]>"},
		},
		{"entities", "<xml><a>&lt;&amp;&#x4e2d;&#13;</a></xml>", map[string]string{"a": "<&中\r"}},
		{"space is kept in values", "<xml><a> 1 \n</a></xml>", map[string]string{"a": " 1 \n"}},
		{"space between elements", "\n<xml>\r\n\t<a>1</a>\n</xml>\n", map[string]string{"a": "1"}},
		{"space in tags", "<xml ><a >1</a ></xml >", map[string]string{"a": "1"}},
		{
			"declaration", `<?xml version="1.0" encoding="UTF-8"?><xml><a>1</a></xml>`,
			map[string]string{"a": "1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := wechatv2.Decode([]byte(tt.body))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// badBodies holds bodies that must be refused.
var badBodies = map[string]string{
	"empty":                  "",
	"space":                  " \n",
	"text":                   "OK",
	"json":                   `{"return_code":"SUCCESS"}`,
	"html":                   "<html><head></head><body><hr></body></html>",
	"other root":             "<root><a>1</a></root>",
	"document type":          `<!DOCTYPE xml [<!ENTITY e "1">]><xml><a>&e;</a></xml>`,
	"document type, plain":   "<!DOCTYPE xml><xml><a>1</a></xml>",
	"unknown entity":         "<xml><a>&e;</a></xml>",
	"instruction":            "<xml><?php x?><a>1</a></xml>",
	"instruction in front":   "<?php x?><xml><a>1</a></xml>",
	"late declaration":       `<xml><?xml version="1.0"?><a>1</a></xml>`,
	"declaration after text": "\n<?xml version=\"1.0\"?><xml><a>1</a></xml>",
	"other encoding":         `<?xml version="1.0" encoding="GBK"?><xml><a>1</a></xml>`,
	"comment":                "<xml><a>1<!-- -->2</a></xml>",
	"attribute":              `<xml><a b="1">1</a></xml>`,
	"name space":             `<xml xmlns="x"><a>1</a></xml>`,
	"prefix":                 "<xml><x:a>1</x:a></xml>",
	"nested":                 "<xml><a><b>1</b></a></xml>",
	"twice":                  "<xml><a>1</a><a>1</a></xml>",
	"twice, once empty":      "<xml><a/><a>1</a></xml>",
	"text beside":            "<xml>1<a>1</a></xml>",
	"text behind":            "<xml><a>1</a></xml>1",
	"element behind":         "<xml><a>1</a></xml><xml/>",
	"byte order mark":        "\ufeff<xml><a>1</a></xml>",
	"not utf-8":              "<xml><a>\xff</a></xml>",
	"control character":      "<xml><a>\x01</a></xml>",
	"truncated":              "<xml><a>1</a>",
	"truncated in a tag":     "<xml><a>1</a",
	"wrong end":              "<xml><a>1</b></xml>",
	"unusual name":           "<xml><é>1</é></xml>",
	"name with a digit":      "<xml><1>1</1></xml>",
	"name of =":              "<xml><a=b>1</a=b></xml>",
	"end of cdata":           "<xml><a>1]]>2</a></xml>",
	"end of cdata, behind":   "<xml><a><![CDATA[1]]>]]></a></xml>",
	"cdata beside":           "<xml><![CDATA[ ]]><a>1</a></xml>",
	"cdata cut off":          "<xml><a><![CDATA[1</a></xml>",
	"lower-case cdata":       "<xml><a><![cdata[1]]></a></xml>",
	"reference beside":       "<xml>&#32;<a>1</a></xml>",
	"reference cut off":      "<xml><a>&amp</a></xml>",
	"reference to nul":       "<xml><a>&#0;</a></xml>",
	"reference to half":      "<xml><a>&#xD800;</a></xml>",
	"reference too high":     "<xml><a>&#x110000;</a></xml>",
	"reference, negative":    "<xml><a>&#-65;</a></xml>",
	"reference, upper X":     "<xml><a>&#X41;</a></xml>",
	"not a character":        "<xml><a>\uffff</a></xml>",
	"version 1.1":            `<?xml version="1.1"?><xml><a>1</a></xml>`,
	"declaration cut off":    `<?xml version="1.0"`,
	"overlong utf-8":         "<xml><a>\xc0\xbc</a></xml>",
	"utf-16":                 "<\x00x\x00m\x00l\x00>\x00",
	"too many":               "<xml>" + manyElements(1001) + "</xml>",
}

func manyElements(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<a%d/>", i)
	}
	return b.String()
}

func TestDecodeBoundsTheFields(t *testing.T) {
	t.Parallel()
	got, err := wechatv2.Decode([]byte("<xml>" + manyElements(1000) + "</xml>"))
	require.NoError(t, err)
	require.Len(t, got, 1000)
}

func TestDecodeRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for name, body := range badBodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wechatv2.Decode([]byte(body))
			require.Error(t, err)
		})
	}
}

func TestEncodeEscapes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "<xml><a>&lt;&amp;&gt;&#34;&#39;]]&gt;&#9;&#10;&#13;中</a><c>0</c></xml>",
		string(wechatv2.Encode(map[string]string{"a": "<&>\"']]>\t\n\r中", "b": "", "c": "0"})))
}

// reference reads a message with encoding/xml, as strictly as it can.
func reference(body []byte, root string) (map[string]string, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	got, path, value := map[string]string{}, []string{}, ""
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Local)
			if tok.Name.Space != "" || len(tok.Attr) > 0 || len(path) > 2 || path[0] != root {
				return nil, errors.New("not flat")
			}
			value = ""
		case xml.CharData:
			if len(path) < 2 && len(bytes.TrimSpace(tok)) > 0 {
				return nil, errors.New("text beside the elements")
			}
			value += string(tok)
		case xml.EndElement:
			if _, twice := got[tok.Name.Local]; twice && len(path) == 2 {
				return nil, errors.New("twice")
			}
			if len(path) == 2 {
				got[tok.Name.Local] = value
			}
			path = path[:len(path)-1]
		case xml.ProcInst:
			if tok.Target != "xml" {
				return nil, errors.New("processing instruction")
			}
		default:
			return nil, errors.New("comment or directive")
		}
	}
}

// FuzzDecodeDifferential checks that encoding/xml reads every message that decode accepts to the
// same fields.
func FuzzDecodeDifferential(f *testing.F) {
	for _, body := range badBodies {
		f.Add([]byte(body))
	}
	for _, body := range []string{
		`<?xml version="1.0" encoding="UTF-8" standalone="yes"?><xml><a>1</a></xml>`,
		"<xml><a>\r\n\r\r\n&#13;\n\r&amp;\n</a><b><![CDATA[\r\n\r]]>\n<![CDATA[\n]]>]]<![CDATA[>]]></b></xml>",
		"<xml\t>\n<a\r\n/><b >&#x4e2d;&#0000009;&lt;&gt;&amp;&apos;&quot;</b\t>\r\n</xml\n> ",
		"<xml><xmlns>1</xmlns><_>\u0085\u00a0\ufffd\u007f😀</_><xml.a-b_c>]]&gt;</xml.a-b_c></xml>",
		"<xml><xml>1</xml></xml>", "<xml/>", "<root><a>1</a></root>", "<xml><a>&#xD800;</a></xml>",
		"<xml><a>&#xFFFE;</a></xml>", "<xml><a>\uffff</a></xml>", "<xml><a>&#X41;</a></xml>",
		"<xml><a>&#99999999999;</a></xml>",
	} {
		f.Add([]byte(body))
	}
	f.Add(wechatv2.Encode(refundFields()))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, root := range []string{"xml", "root"} {
			got, err := wechatv2.DecodeRoot(body, root)
			if err != nil {
				continue
			}
			want, err := reference(body, root)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, body := range badBodies {
		f.Add([]byte(body))
	}
	f.Add([]byte("<xml><a><![CDATA[<b>&amp;]]></a><b/><c>&#x4e2d;\r\n&#13;</c></xml>"))
	f.Add(wechatv2.Encode(refundFields()))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := wechatv2.Decode(body)
		if err != nil {
			return
		}
		maps.DeleteFunc(got, func(_, value string) bool { return value == "" }) // not written
		again, err := wechatv2.Decode(wechatv2.Encode(got))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

// FuzzSign checks that a sent message is read back with a valid signature, for all values, and that
// no other value has the same signature.
func FuzzSign(f *testing.F) {
	f.Add("商品已售完", true)
	f.Add("a&b<c>\"d'=e", false)
	f.Add(" \t\r\n]]>", true)
	f.Add("\xff\x00😀", false)
	f.Fuzz(func(t *testing.T, value string, hmac bool) {
		const key = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
		signType := wechatv2.SignMD5
		if hmac {
			signType = wechatv2.SignHMACSHA256
		}
		desc := wechatv2.RefundDesc(value)
		require.LessOrEqual(t, len(desc), 80)
		require.True(t, utf8.ValidString(desc))
		require.Equal(t, desc, wechatv2.RefundDesc(desc),
			"every call for one refund sends the same")
		msg := map[string]string{"out_refund_no": "R1", "refund_desc": desc}
		msg["sign"] = wechatv2.Sign(msg, key, signType)
		got, err := wechatv2.Decode(wechatv2.Encode(msg))
		require.NoError(t, err)
		require.True(t, wechatv2.Signed(got, key, signType))
		got["refund_desc"] += "."
		require.False(t, wechatv2.Signed(got, key, signType))
	})
}

func TestRefundDescFits(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"as it is", "不想要了", "不想要了"},
		{"emoji dropped", "ok😀!", "ok!"},
		{"control characters", " a\tb\r\nc\x00\x1b\x7f ", "a b  c"},
		{"not utf-8", "a\xff\xfeb", "ab"},
		{"not characters of XML", "a\ufffe\uffff\ufffdb", "ab"},
		{"cut at a character", strings.Repeat("中", 27), strings.Repeat("中", 26)},
		{"cut after a space", strings.Repeat("a", 79) + " b", strings.Repeat("a", 79)},
		{"huge", strings.Repeat("a", 1<<20), strings.Repeat("a", 80)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, wechatv2.RefundDesc(tt.in))
		})
	}
}
