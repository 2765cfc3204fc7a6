package wechatv2_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
)

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/sign.json")
	require.NoError(t, err)
	var file struct {
		Sign []struct {
			Name   string            `json:"name"`
			APIKey string            `json:"api_key"`
			Params map[string]string `json:"params"`
			MD5    string            `json:"md5"`
			HMAC   string            `json:"hmac_sha256"`
		} `json:"sign"`
	}
	require.NoError(t, json.Unmarshal(raw, &file))
	require.Len(t, file.Sign, 9)
	for _, v := range file.Sign {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, v.MD5, wechatv2.Sign(v.Params, v.APIKey, wechatv2.SignMD5))
			require.Equal(t, v.HMAC, wechatv2.Sign(v.Params, v.APIKey, wechatv2.SignHMACSHA256))
			require.Equal(t, v.MD5, wechatv2.Sign(v.Params, v.APIKey, ""), "MD5 is the default")
		})
	}
}

// TestPublishedSignatures checks signatures from official documents and from the tests of other
// clients.
func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	const official = "192006250b4c09247ec02edce69f6a2d"
	tests := []struct{ name, text, key, md5, hmac string }{
		{
			"official sample",
			"appid=wxd930ea5d5a258f4f&body=test&device_info=1000&mch_id=10000100&nonce_str=ibuaiVcKdpRxkhJA",
			official, "9A0A8659F005D6984697E2CA0A9CF3B7",
			"6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6",
		},
		{
			"two fields", "test1=test1&test2=test2",
			official, "1E3A8D73B5A4AEE787C0F68B5DAB8520",
			"EDAC6D70D2FDF5A2382F8204FC96A1918017E46ACC5297F565ED1A7610ACF659",
		},
		{
			"value with an equals sign, MD5",
			"appId=mock-appid&nonceStr=mock-nonce&package=prepay_id=mock-prepay-id&signType=MD5&timeStamp=1601234567",
			"mock-v2-secret-key", "C52D6B09E8A039D6E8696A014BB37160", "",
		},
		{
			"value with an equals sign, HMAC",
			"appId=mock-appid&nonceStr=mock-nonce&package=prepay_id=mock-prepay-id&signType=HMAC-SHA256&timeStamp=1601234567",
			"mock-v2-secret-key", "",
			"BAC9240577E86EDC7753264E502196C61F78F24777E9E7CCE82A7BD97F906EED",
		},
		{
			"sandbox refund request",
			"appid=wx8888888888888888&device_info=013467007045764&mch_id=1900000109&nonce_str=uuzXIIKoZ_KNU5_pycfpwnOrDPDEdJB" +
				"&op_user_id=1900000109&out_refund_no=1217752501201407033233368018&out_trade_no=1217752501201407033233368018" +
				"&refund_account=REFUND_SOURCE_RECHARGE_FUNDS&refund_fee=100&refund_fee_type=CNY&total_fee=100" +
				"&transaction_id=1217752501201407033233368018",
			official, "9573EC9028AFC91BE507BE79BBBD9C6C", "",
		},
		{
			"sandbox query answer",
			"appid=wx2421b1c4370ec43b&mch_id=10000100&nonce_str=TeqClE3i0mvn3DrK&out_refund_no_0=1415701182" +
				"&out_trade_no=1415757673&refund_count=1&refund_fee_0=1&refund_id_0=2008450740201411110000174436" +
				"&refund_status_0=PROCESSING&result_code=SUCCESS&return_code=SUCCESS&return_msg=OK" +
				"&transaction_id=1008450740201411110005820873",
			official, "68D267B5AEA32EAB799174129F6131EE", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := map[string]string{}
			for _, pair := range strings.Split(tt.text, "&") {
				name, value, ok := strings.Cut(pair, "=")
				require.True(t, ok)
				f[name] = value
			}
			if tt.md5 != "" {
				require.Equal(t, tt.md5, wechatv2.Sign(f, tt.key, wechatv2.SignMD5))
			}
			if tt.hmac != "" {
				require.Equal(t, tt.hmac, wechatv2.Sign(f, tt.key, wechatv2.SignHMACSHA256))
			}
		})
	}
}

func TestOnlyTheRightSignatureIsAccepted(t *testing.T) {
	t.Parallel()
	const key = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	f := map[string]string{"a": "1", "unknown": "2", "empty": ""}
	require.False(t, wechatv2.Signed(f, key, wechatv2.SignMD5), "no signature")
	f["sign"] = wechatv2.Sign(f, key, wechatv2.SignHMACSHA256)
	require.True(t, wechatv2.Signed(f, key, wechatv2.SignHMACSHA256))
	require.False(t, wechatv2.Signed(f, key, wechatv2.SignMD5),
		"the peer does not choose the algorithm")
	f["unknown"] = "3"
	require.False(t, wechatv2.Signed(f, key, wechatv2.SignHMACSHA256), "unknown fields are signed")
}

// plainSign signs with plain code.
func plainSign(f map[string]string, key string, t wechatv2.SignType) string {
	var names []string
	for name, value := range f {
		if value != "" && name != "sign" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	h := md5.New()
	if t == wechatv2.SignHMACSHA256 {
		h = hmac.New(sha256.New, []byte(key))
	}
	for _, name := range names {
		_, _ = io.WriteString(h, name+"="+f[name]+"&")
	}
	_, _ = io.WriteString(h, "key="+key)
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// FuzzEncodeDecode checks that a signed and encoded message is decoded to the same fields with a
// valid signature.
func FuzzEncodeDecode(f *testing.F) {
	f.Add("a", "1", "b_0", "<&>\"'", "key", false)
	f.Add("Z", "\t\r\n ", "_a", "]]>中😀", testKey, true)
	f.Add("sign", "x", "sign_type", "0", "", true)
	f.Add("a.b-c", strings.Repeat("long", 500), "x", "", strings.Repeat("k", 100), true)
	names := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, key string, isHMAC bool) {
		for _, name := range []string{name1, name2} {
			if !names.MatchString(name) {
				t.Skip("not a name that XML can have")
			}
		}
		for _, value := range []string{value1, value2} {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, func(c rune) bool {
				return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF
			}) {
				t.Skip("not a value that XML can hold")
			}
		}
		signType := wechatv2.SignMD5
		if isHMAC {
			signType = wechatv2.SignHMACSHA256
		}
		msg := map[string]string{name1: value1, name2: value2}
		msg["sign"] = wechatv2.Sign(msg, key, signType)
		require.Equal(t, plainSign(msg, key, signType), msg["sign"])
		got, err := wechatv2.Decode(wechatv2.Encode(msg))
		require.NoError(t, err)
		require.True(t, wechatv2.Signed(got, key, signType))
		maps.DeleteFunc(msg, func(_, value string) bool { return value == "" }) // not written
		require.Equal(t, msg, got)
	})
}

// refundFields returns the fields of a usual refund request.
func refundFields() map[string]string {
	return map[string]string{
		"appid": "wx0000000000000001", "mch_id": "1000000001",
		"nonce_str": "0123456789abcdef0123456789abcdef",
		"sign_type": "MD5", "out_trade_no": "ORD-1", "out_refund_no": "RF-1", "total_fee": "100",
		"refund_fee":      "30",
		"refund_fee_type": "CNY", "refund_desc": "商品已售完",
		"notify_url": "https://example.test/refund/notify",
		"op_user_id": "1000000001",
	}
}
