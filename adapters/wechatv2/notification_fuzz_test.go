package wechatv2_test

import (
	"encoding/base64"
	"flag"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/refund"
)

// go test -run TestNotificationInputs -notifications 10000000
var notifications = flag.Int("notifications", 20_000, "inputs of TestNotificationInputs")

func toBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// checkNotification reads a notification and reports whether it was accepted. An accepted one is
// complete, and a refused one is zero.
func checkNotification(t *testing.T, g *wechatv2.Gateway, body []byte) bool {
	n, err := g.ReadNotification(post(body))
	if err != nil {
		require.ErrorIs(t, err, refund.ErrNotification)
		require.Zero(t, n)
		return false
	}
	require.NotEmpty(t, n.Result.RefundNo)
	require.NotEmpty(t, n.Result.OrderID)
	require.Positive(t, n.Result.Amount)
	require.LessOrEqual(t, n.Result.Amount, n.Total)
	return true
}

// FuzzNotification reads bodies, encrypted plaintexts and ciphertexts.
func FuzzNotification(f *testing.F) {
	inner := encodeRoot(innerFields())
	for as := range uint8(3) {
		for _, v := range infoVectors(f) {
			f.Add([]byte(v.Plaintext), as)
		}
		f.Add([]byte(inner), as)
		f.Add(encryptBlocks([]byte(inner), testKey), as)
		f.Add(wechatv2.Encode(envelope(encryptInfo(inner, testKey))), as)
	}
	g := newReader(f, testKey)
	f.Fuzz(func(t *testing.T, data []byte, as uint8) {
		switch as % 3 {
		case 1:
			data = wechatv2.Encode(envelope(encryptInfo(string(data), testKey)))
		case 2:
			data = wechatv2.Encode(envelope(toBase64(data)))
		}
		checkNotification(t, g, data)
	})
}

// TestNotificationInputs reads notifications with random damage: in the ciphertext, or in the
// plaintext before it is encrypted.
func TestNotificationInputs(t *testing.T) {
	t.Parallel()
	g := newReader(t, testKey)
	plain := []byte(encodeRoot(innerFields()))
	cipher := encryptBlocks(plain, testKey)
	const seed = 1
	rnd := rand.New(rand.NewSource(seed))
	taken := 0
	for i := range *notifications {
		var info []byte
		if i%2 == 0 {
			info = damage(rnd, append([]byte{}, cipher...))
		} else {
			info = encryptBlocks(damage(rnd, append([]byte{}, plain...)), testKey)
		}
		if checkNotification(t, g, wechatv2.Encode(envelope(toBase64(info)))) {
			taken++
		}
	}
	t.Logf("seed %d: %d inputs, %d of them readable", seed, *notifications, taken)
	require.Positive(t, taken,
		"some changes leave a notification that can be read: to be confirmed")
	require.Less(t, taken, *notifications)
}

// damage changes bytes, swaps blocks, or cuts.
func damage(rnd *rand.Rand, b []byte) []byte {
	switch rnd.Intn(4) {
	case 0:
		return b[:rnd.Intn(len(b))]
	case 1:
		i, j := rnd.Intn(len(b)/16)*16, rnd.Intn(len(b)/16)*16
		var block [16]byte
		copy(block[:], b[i:])
		copy(b[i:i+16], b[j:])
		copy(b[j:j+16], block[:])
		return b
	case 2:
		i := rnd.Intn(len(b))
		rnd.Read(b[i:min(len(b), i+1+rnd.Intn(16))])
		return b
	}
	for range 1 + rnd.Intn(3) {
		b[rnd.Intn(len(b))] ^= 1 << rnd.Intn(8)
	}
	return b
}
