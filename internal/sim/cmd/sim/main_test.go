package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMany(t *testing.T) {
	var out bytes.Buffer
	require.Zero(t, many(&out, 1, 30, 2, 5), "%s", &out)
	require.Contains(t, out.String(), "30 of 30 runs")
	require.Contains(t, out.String(), "seeds 1 to 30: 0 broken")
}

func TestOne(t *testing.T) {
	var out bytes.Buffer
	require.Zero(t, one(&out, 7), "%s", &out)
	require.Contains(t, out.String(), "plan of seed 7")
	require.Contains(t, out.String(), "all faults are over")
}
