package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func TestRun(t *testing.T) {
	r, err := run(context.Background())
	require.NoError(t, err)
	require.Equal(t, order.StateRefunded, r.State)
	require.EqualValues(t, 3000, r.Amount)
}
